/**
 * Which facts a set of rules asks about at all. Thousands of instances and people differ in nothing that the rules look at: what
 * is equal in all of that has the same answer, so Cedar is asked once for them.
 */
import { isNode, type Node, operand } from './cedar-json.ts';
import type { RuleAction, RuleContext, RuleFacts, RuleInstance, RulePerson } from './facts.ts';

type Of = 'principal' | 'requester' | 'resource';

/** Groups of the principal always count: they are what most rules are about. */
export type Relevance = {
  /** Whose identity is asked for beyond their groups. */
  ids: Set<Of>;
  /** Attributes, for people only `userName`. */
  attributes: Record<Of, Set<string>>;
  requesterGroups: boolean;
  /** The one comparison of two people that needs no identity: is it the same one? */
  samePerson: boolean;
  /** Tags of instances by name. */
  tags: Set<string>;
  allTags: boolean;
  context: Set<string>;
  allContext: boolean;
};

/** What an expression stands for, when it is one of the three entities of a question. */
const entityOf = (expression: unknown): Of | null => {
  if (!isNode(expression)) return null;
  const { Var: name } = expression;
  if (name === 'principal' || name === 'resource') return name;
  const field = operand(expression, '.');
  if (field?.['attr'] !== 'requester' || !isNode(field['left'])) return null;
  return field['left']['Var'] === 'context' ? 'requester' : null;
};

const isContext = (expression: unknown): boolean => isNode(expression) && expression['Var'] === 'context';

/** Literal groups, alone or in a set. */
const areGroups = (expression: unknown): boolean => {
  if (!isNode(expression)) return false;
  const { Set: members } = expression;
  if (Array.isArray(members)) return members.every(areGroups);
  const value = operand(expression, 'Value');
  const entity = value === null ? null : operand(value, '__entity');
  return entity?.['type'] === 'Curfew::Group';
};

const groupsOf = (of: Of, into: Relevance): void => {
  if (of === 'requester') into.requesterGroups = true;
  if (of === 'resource') into.ids.add(of);
};

const fieldNames = (attr: unknown): string[] => (Array.isArray(attr) ? attr : [attr]).map(String).slice(0, 1);

/** `x.name` and `x has name`. @returns whether that is all there is to note. */
const noteField = (node: Node, into: Relevance): boolean => {
  const field = operand(node, '.') ?? operand(node, 'has');
  if (field === null) return false;
  const of = entityOf(field['left']);
  if (of !== null) for (const name of fieldNames(field['attr'])) into.attributes[of].add(name);
  else if (isContext(field['left'])) for (const name of fieldNames(field['attr'])) into.context.add(name);
  else note(field['left'], into);
  return true;
};

const noteTag = (node: Node, into: Relevance): boolean => {
  const tag = operand(node, 'hasTag') ?? operand(node, 'getTag');
  if (tag === null) return false;
  const { left, right } = tag;
  const of = entityOf(left);
  const name = isNode(right) ? right['Value'] : undefined;
  if (of === null) note(left, into);
  else if (of !== 'resource') groupsOf(of, into);
  else if (typeof name === 'string') into.tags.add(name);
  else into.allTags = true;
  note(right, into);
  return true;
};

/** Membership in groups, and whether two people are one. */
const noteComparison = (node: Node, into: Relevance): boolean => {
  const membership = operand(node, 'in');
  const member = entityOf(membership?.['left']);
  if (membership !== null && member !== null && areGroups(membership['right'])) {
    groupsOf(member, into);
    return true;
  }
  const kind = operand(node, 'is');
  const [typed, within] = [entityOf(kind?.['left']), kind?.['in']];
  if (kind !== null && typed !== null && (within === undefined || areGroups(within))) {
    if (within !== undefined) groupsOf(typed, into);
    return true;
  }
  const equality = operand(node, '==') ?? operand(node, '!=');
  const sides = equality === null ? [] : [entityOf(equality['left']), entityOf(equality['right'])];
  if (!sides.includes('principal') || !sides.includes('requester')) return false;
  into.samePerson = true;
  return true;
};

/** Anything not known here counts for all that it touches, so that a new form of Cedar's makes answers slow, not wrong. */
const note = (expression: unknown, into: Relevance): void => {
  if (Array.isArray(expression)) {
    for (const part of expression) note(part, into);
    return;
  }
  if (!isNode(expression)) return;
  const of = entityOf(expression);
  if (of !== null) {
    into.ids.add(of);
    return;
  }
  if (isContext(expression)) {
    into.allContext = true;
    into.ids.add('requester');
    return;
  }
  const named = operand(expression, '__entity');
  if (named !== null && named['type'] !== 'Curfew::Group') for (const one of entities) into.ids.add(one);
  if (noteField(expression, into) || noteTag(expression, into) || noteComparison(expression, into)) return;
  for (const part of Object.values(expression)) note(part, into);
};

const entities = ['principal', 'requester', 'resource'] as const;

/** The part before `when`: `principal in Curfew::Group::"x"`, `resource == …`. */
const noteScope = (of: 'principal' | 'resource', scope: unknown, into: Relevance): void => {
  if (!isNode(scope) || scope['op'] === 'All') return;
  if (scope['op'] === 'is' && scope['in'] === undefined) return;
  const entity = operand(scope, 'entity') ?? operand(operand(scope, 'in') ?? {}, 'entity');
  if (of === 'principal' && scope['op'] !== '==' && entity?.['type'] === 'Curfew::Group') return;
  into.ids.add(of);
};

/** @param policies as Cedar's JSON form has them (`policyToJson`). */
export const relevanceOf = (policies: readonly unknown[]): Relevance => {
  const into: Relevance = {
    ids: new Set(),
    attributes: { principal: new Set(), requester: new Set(), resource: new Set() },
    requesterGroups: false,
    samePerson: false,
    tags: new Set(),
    allTags: false,
    context: new Set(),
    allContext: false,
  };
  for (const policy of policies) {
    if (!isNode(policy)) continue;
    noteScope('principal', policy['principal'], into);
    noteScope('resource', policy['resource'], into);
    note(policy['conditions'], into);
  }
  return into;
};

const personKey = (of: 'principal' | 'requester', person: RulePerson, relevance: Relevance): unknown[] => {
  const whole = relevance.ids.has(of);
  const named = whole || relevance.attributes[of].size > 0;
  const groups = of === 'principal' || whole || relevance.requesterGroups ? person.groups : null;
  return [groups, whole ? person.id : null, named ? person.userName : null];
};

const instanceKey = (instance: RuleInstance, relevance: Relevance): unknown[] => {
  const whole = relevance.ids.has('resource');
  const { tags, ...attributes } = instance;
  const fields = Object.entries(attributes).filter(([name]) => whole || relevance.attributes.resource.has(name));
  if (whole || relevance.allTags) return [fields, tags];
  return [fields, [...relevance.tags].map((name) => tags[name])];
};

const contextKey = (context: RuleContext, relevance: Relevance): unknown[] =>
  Object.entries(context).filter(([name]) => relevance.allContext || relevance.context.has(name));

/**
 * Equal for two questions only when every rule of the set must answer both alike. What is asked is put together once, however many
 * approvers there are.
 * @returns by who would decide, for `approve`; null for the other actions.
 */
export const questionKeys = (
  relevance: Relevance,
  action: RuleAction,
  { person, instance, context }: RuleFacts,
): ((approver: RulePerson | null) => string) => {
  const about = JSON.stringify([action, instanceKey(instance, relevance), contextKey(context, relevance)]);
  const requester = JSON.stringify(personKey('requester', person, relevance));
  return (approver) => {
    const same = approver === null || approver.id === person.id;
    const principal = JSON.stringify(personKey('principal', same ? person : approver, relevance));
    // JSON texts say themselves where they end.
    if (approver === null) return about + principal;
    return about + requester + (relevance.samePerson ? same : '') + principal;
  };
};
