/**
 * What gives access without a person may look at trusted tags only (threats RQ-07): whoever may set a tag that `autoApprove` reads
 * could give themselves access. Judged by a policy's JSON form, which has no places; those are looked up in its text.
 */

import { isNode, type Node, operand } from './cedar-json.ts';

/** What is wrong, and how many characters into the rule's text it stands. */
export type UntrustedRead = { at: number; message: string };

/** A tag by its literal key; by a key that is worked out; or the name, which is the tag `Name`. */
type TagRead = { kind: 'key'; key: string } | { kind: 'computed' } | { kind: 'name' };

/** A person's tags are their teams. Anything that is not plainly a person may be the instance. */
const isPerson = (expression: unknown): boolean => {
  if (!isNode(expression)) return false;
  if (expression['Var'] === 'principal') return true;
  const field = operand(expression, '.');
  return field?.['attr'] === 'requester' && isNode(field['left']) && field['left']['Var'] === 'context';
};
const isContext = (expression: unknown): boolean => isNode(expression) && expression['Var'] === 'context';

const ownReads = (node: Node): TagRead[] => {
  const tag = operand(node, 'hasTag') ?? operand(node, 'getTag');
  if (tag !== null && !isPerson(tag['left'])) {
    const key = isNode(tag['right']) ? tag['right']['Value'] : undefined;
    return [typeof key === 'string' ? { kind: 'key', key } : { kind: 'computed' }];
  }
  const field = operand(node, '.') ?? operand(node, 'has');
  if (field === null || isPerson(field['left']) || isContext(field['left'])) return [];
  const { attr } = field;
  return attr === 'name' || (Array.isArray(attr) && attr[0] === 'name') ? [{ kind: 'name' }] : [];
};

const readsOf = (expression: unknown): TagRead[] => {
  if (Array.isArray(expression)) return expression.flatMap(readsOf);
  if (!isNode(expression)) return [];
  return [...ownReads(expression), ...Object.values(expression).flatMap(readsOf)];
};

/** Only what plainly names the other two actions does not: an unknown one may be a group of actions. */
const coversAutoApprove = (action: unknown): boolean => {
  if (!isNode(action) || action['op'] === 'All') return true;
  const { entity, entities } = action;
  const named: unknown[] = Array.isArray(entities) ? entities : [entity];
  return !named.every(
    (one) => isNode(one) && one['type'] === 'Curfew::Action' && (one['id'] === 'request' || one['id'] === 'approve'),
  );
};

/** The same text with blanks for comments. */
const withoutComments = (text: string): string =>
  text.replaceAll(/"(?:[^"\\]|\\.)*"|\/\/[^\n]*/g, (found) =>
    found.startsWith('"') ? found : ' '.repeat(found.length),
  );

const placeOf = (text: string, read: TagRead): number => {
  if (read.kind === 'name') return Math.max(0, withoutComments(text).search(/\.\s*name\b|"name"|\bhas\s+name\b/));
  const calls = withoutComments(text).matchAll(
    /(?<whose>\w*)\s*\.\s*(?:has|get)Tag\s*\(\s*(?<key>"(?:[^"\\]|\\.)*")?/g,
  );
  for (const { 0: call, index, groups } of calls) {
    const { whose, key } = groups ?? {};
    const found = read.kind === 'key' ? key === JSON.stringify(read.key) : key === undefined && whose !== 'principal';
    if (found) return index + call.search(/(?:has|get)Tag/);
  }
  return 0;
};

const messageOf = (read: TagRead, trusted: readonly string[]): string => {
  const these = `trustedTags: ${trusted.join(', ') || 'none'}`;
  if (read.kind === 'computed') {
    return `autoApprove may look at trusted tags only, each by its literal name (${these}): write the name in quotes`;
  }
  const what = read.kind === 'name' ? 'the name of an instance is its tag "Name", which' : `"${read.key}"`;
  return `autoApprove may look at trusted tags only, and ${what} is not one (${these}): let this rule cover request or approve alone, or reserve the tag (deploy/scp.json) and add it to trustedTags`;
};

/**
 * Tags that a rule reads of an instance though it may give access without a person and they are not trusted; each once.
 * @param policy as Cedar's JSON form has it (`policyToJson`), with the very text it was made of.
 */
export const untrustedReads = (
  { policy, text }: { policy: unknown; text: string },
  trusted: readonly string[],
): UntrustedRead[] => {
  if (!isNode(policy) || !coversAutoApprove(policy['action'])) return [];
  const wrong = readsOf(policy['conditions']).filter(
    (read) => read.kind === 'computed' || !trusted.includes(read.kind === 'name' ? 'Name' : read.key),
  );
  const each = new Map(wrong.map((read) => [read.kind === 'key' ? `key ${read.key}` : read.kind, read]));
  return [...each.values()].map((read) => ({ at: placeOf(text, read), message: messageOf(read, trusted) }));
};
