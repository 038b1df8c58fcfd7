/** How far a kill switch reaches: what it is called, and who may pull it. */

import { type Instance, refKey } from '../../src/shared/access.ts';
import type { SwitchScope } from '../../src/shared/kill-switch.ts';
import { limits } from '../../src/shared/limits.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { instanceOf, loadInstances, loadInstancesByRef } from '../store/instances.ts';
import { loadPeople, type PersonFacts } from '../store/people.ts';
import type { Reach } from '../store/switch-reach.ts';
import type { Reader } from '../store/visibility.ts';
import type { AccessDeps } from './deps.ts';
import { gatherPerson } from './gather.ts';
import { nothingHeld } from './held.ts';
import { type Ask, mayDecide } from './judge.ts';
import { presentPerson } from './recorded.ts';

export type NamedReach = Reach & { name: string };

const nameOfInstance = ({ name, instanceId }: Pick<Instance, 'name' | 'instanceId'>): string =>
  name === '' ? instanceId : name;

const accountName = async (deps: Pick<AccessDeps, 'db' | 'config'>, accountId: string): Promise<string | null> => {
  const configured = deps.config.accounts.find(({ id }) => id === accountId);
  if (configured !== undefined) return configured.name;
  // One that left the configuration may still have live grants.
  const row = await deps.db
    .selectFrom('instances')
    .select('account_name')
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  return row?.account_name ?? null;
};

/** What the scope is called; null when there is no such person, instance or account. */
const nameOf = async (deps: Pick<AccessDeps, 'db' | 'config'>, scope: SwitchScope): Promise<string | null> => {
  switch (scope.kind) {
    case 'everything':
      return 'everything';
    case 'account':
      return accountName(deps, scope.accountId);
    case 'instance': {
      const row = (await loadInstancesByRef(deps.db, [scope.instance])).get(refKey(scope.instance));
      return row === undefined ? null : nameOfInstance(instanceOf(row));
    }
    case 'person':
      return (await loadPeople(deps.db, [scope.personId])).get(scope.personId)?.displayName ?? null;
  }
};

/** The least that could be asked for on these instances. */
const least = (person: PersonFacts, instances: readonly Instance[], at: Date): Ask => ({
  person,
  instances,
  capability: 'shell',
  durationSeconds: limits.shortestGrantSeconds,
  reason: 'kill switch',
  ticket: null,
  at,
  usedSeconds: new Map(),
  asksLately: new Map(),
  held: nothingHeld,
});

/** No person's id: a made-up colleague in the same groups, as nobody may decide about themselves. */
const colleagueOf = (approver: PersonFacts): PersonFacts => ({ ...approver, id: '0', email: null });

/** What an approver may stop: an instance they may decide about, or a person on those. */
const approversReach = async (deps: AccessDeps, caller: Reader, named: NamedReach): Promise<NamedReach | null> => {
  const { scope } = named;
  const set = deps.rules.current();
  const approver = await gatherPerson(deps, caller.person.id);
  if (scope.kind === 'instance') {
    const row = (await loadInstancesByRef(deps.db, [scope.instance])).get(refKey(scope.instance));
    const may =
      row !== undefined && mayDecide(set, least(colleagueOf(approver), [instanceOf(row)], deps.now()), approver);
    return may ? named : null;
  }
  if (scope.kind !== 'person') return null;
  const person = (await loadPeople(deps.db, [scope.personId])).get(scope.personId);
  if (person === undefined) return null;
  const owner = await presentPerson(deps, person);
  const theirs = (await loadInstances(deps.db)).filter((one) =>
    mayDecide(set, least(owner, [one], deps.now()), approver),
  );
  return theirs.length === 0 ? null : { ...named, within: theirs.map(refKey) };
};

/**
 * What the caller may stop of this scope: all of it for an admin, for an approver what they may decide about.
 * @throws Refusal `not_found` for what does not exist or is not theirs to decide about, `not_allowed` for an account or everything.
 */
export const reachFor = async (deps: AccessDeps, caller: Reader, scope: SwitchScope): Promise<NamedReach> => {
  if (!caller.isAdmin && (scope.kind === 'account' || scope.kind === 'everything')) {
    throw new Refusal('not_allowed', { message: 'Only an admin may stop a whole account or everything.' });
  }
  const name = await nameOf(deps, scope);
  if (name === null) throw new Refusal('not_found');
  const whole: NamedReach = { scope, within: null, name };
  const reach = caller.isAdmin ? whole : await approversReach(deps, caller, whole);
  if (reach === null) throw new Refusal('not_found');
  return reach;
};
