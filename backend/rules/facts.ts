/** What a rule may know, and how it is told to Cedar. In step with `schema.cedarschema`; checked when a set is loaded. */
import type { Context, EntityJson, EntityUidJson } from '@cedar-policy/cedar-wasm/nodejs';
import { type Capability, type Instance, refKey } from '../../src/shared/access.ts';

export type RulePerson = { id: string; userName: string; groups: readonly string[] };

export type RuleInstance = Pick<
  Instance,
  'accountId' | 'accountName' | 'region' | 'instanceId' | 'name' | 'kind' | 'platform' | 'tags'
>;

export type RuleContext = {
  durationSeconds: number;
  /** Continuous access with this request in it: equal to `durationSeconds` unless access is extended. */
  totalSeconds: number;
  capability: Capability;
  reason: string;
  ticket: string | null;
  /** 0 to 23, in the backend's time zone. */
  localHour: number;
  weekday: 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday' | 'sunday';
  breakGlass: boolean;
  /** How often this person asked for this instance in the last 24 h. */
  asksLately: number;
};

export type RuleFacts = { person: RulePerson; instance: RuleInstance; context: RuleContext };

export type RuleAction = 'request' | 'autoApprove' | 'approve';

/** One question in Cedar's form. */
export type Question = {
  principal: EntityUidJson;
  action: EntityUidJson;
  resource: EntityUidJson;
  context: Context;
  entities: EntityJson[];
};

const personUid = (person: RulePerson) => ({ type: 'Curfew::Person', id: person.id });
const groupUid = (name: string) => ({ type: 'Curfew::Group', id: name });

/**
 * Groups called `<team>-<role>` as team → roles. Cedar cannot join strings, so without this a rule could not compare
 * an instance's `team` tag with a group's name, and every team would need rules of its own.
 */
const rolesByTeam = (groups: readonly string[]): Record<string, string[]> => {
  const roles = new Map<string, string[]>();
  for (const group of groups) {
    const dash = group.lastIndexOf('-');
    if (dash <= 0 || dash === group.length - 1) continue;
    const team = group.slice(0, dash);
    roles.set(team, [...(roles.get(team) ?? []), group.slice(dash + 1)]);
  }
  return Object.fromEntries(roles);
};

const personEntity = (person: RulePerson): EntityJson => ({
  uid: personUid(person),
  attrs: { userName: person.userName },
  parents: person.groups.map(groupUid),
  tags: rolesByTeam(person.groups),
});

const instanceEntity = (instance: RuleInstance): EntityJson => ({
  uid: { type: 'Curfew::Instance', id: refKey(instance) },
  attrs: {
    accountId: instance.accountId,
    accountName: instance.accountName,
    region: instance.region,
    instanceId: instance.instanceId,
    name: instance.name,
    kind: instance.kind,
    platform: instance.platform,
  },
  parents: [],
  tags: { ...instance.tags },
});

const asked = ({ ticket, ...rest }: RuleContext): Context => (ticket === null ? rest : { ...rest, ticket });

/** @param approver who would decide, for `approve`; the person of the facts is then the requester. */
export const question = (action: RuleAction, facts: RuleFacts, approver: RulePerson | null): Question => {
  const people = approver === null || approver.id === facts.person.id ? [facts.person] : [facts.person, approver];
  const groups = new Set(people.flatMap((person) => person.groups));
  const context = asked(facts.context);
  return {
    principal: personUid(approver ?? facts.person),
    action: { type: 'Curfew::Action', id: action },
    resource: { type: 'Curfew::Instance', id: refKey(facts.instance) },
    context: approver === null ? context : { ...context, requester: { __entity: personUid(facts.person) } },
    entities: [
      ...people.map(personEntity),
      ...[...groups].map((name) => ({ uid: groupUid(name), attrs: {}, parents: [] })),
      instanceEntity(facts.instance),
    ],
  };
};

/** Facts of nobody: used to find out whether a schema fits what the backend tells Cedar. */
export const sampleFacts: RuleFacts = {
  person: { id: '0', userName: 'nobody', groups: ['team-role'] },
  instance: {
    accountId: '000000000000',
    accountName: 'none',
    region: 'eu-central-1',
    instanceId: 'i-00000000',
    name: 'none',
    kind: 'ec2',
    platform: 'Linux',
    tags: { team: 'team' },
  },
  context: {
    durationSeconds: 60,
    totalSeconds: 60,
    capability: 'shell',
    reason: 'none',
    ticket: 'NONE-1',
    localHour: 0,
    weekday: 'monday',
    breakGlass: false,
    asksLately: 0,
  },
};
