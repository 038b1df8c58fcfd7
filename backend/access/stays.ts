/** What stays reachable when a grant ends: other grants of the same person cover the same instances (threats RQ-21). */
import { type Grant, type Instance, type InstanceRef, refKey } from '../../src/shared/access.ts';
import type { Stays, StillReachable } from '../../src/shared/kill-switch.ts';
import { loadGrants } from '../store/grants.ts';
import type { Db } from '../store/open.ts';

type Ending = { id: string; person: { id: string }; instances: readonly InstanceRef[] };

const reachableBy = (other: Grant, instance: Instance): StillReachable[] => {
  const common = { instance, grantId: other.id };
  if (other.state === 'ready') {
    const { activateBy: at, durationSeconds } = other;
    return [{ ...common, until: { kind: 'connect-by', at, durationSeconds } }];
  }
  if (other.state !== 'granting' && other.state !== 'active') return [];
  return [{ ...common, until: { kind: 'end', at: other.endsAt } }];
};

/** Ids of the live or ready grants of this person that cover one of these instances, oldest yes first. */
export const grantsOn = async (db: Db, personId: string, refs: readonly InstanceRef[]): Promise<string[]> => {
  const rows = await db
    .selectFrom('grants')
    .innerJoin('grant_instances', 'grant_instances.grant_id', 'grants.id')
    .select(['grants.id', 'grant_instances.account_id', 'grant_instances.region', 'grant_instances.instance_id'])
    .where('person_id', '=', personId)
    .where('state', 'in', ['ready', 'granting', 'active'])
    .where('instance_id', 'in', ['', ...refs.map(({ instanceId }) => instanceId)])
    .orderBy('approved_at')
    .orderBy('grants.id')
    .execute();
  const wanted = new Set(refs.map(refKey));
  const here = rows.filter(({ account_id: accountId, region, instance_id: instanceId }) =>
    wanted.has(refKey({ accountId, region, instanceId })),
  );
  return [...new Set(here.map(({ id }) => id))];
};

/** Ids of the waiting requests of this person for one of these instances. */
export const waitingOn = async (db: Db, personId: string, refs: readonly InstanceRef[]): Promise<string[]> => {
  const rows = await db
    .selectFrom('requests')
    .innerJoin('request_instances', 'request_instances.request_id', 'requests.id')
    .select([
      'requests.id',
      'request_instances.account_id',
      'request_instances.region',
      'request_instances.instance_id',
    ])
    .where('requester_id', '=', personId)
    .where('state', '=', 'waiting')
    .where('instance_id', 'in', ['', ...refs.map(({ instanceId }) => instanceId)])
    .orderBy('requests.id')
    .execute();
  const wanted = new Set(refs.map(refKey));
  const here = rows.filter(({ account_id: accountId, region, instance_id: instanceId }) =>
    wanted.has(refKey({ accountId, region, instanceId })),
  );
  return [...new Set(here.map(({ id }) => id))];
};

/** What the owner of a grant goes on reaching of its instances without it, by which grant and until when. */
export const staysAfter = async (db: Db, grant: Ending): Promise<Stays> => {
  const [others, waiting] = await Promise.all([
    grantsOn(db, grant.person.id, grant.instances),
    waitingOn(db, grant.person.id, grant.instances),
  ]);
  const ids = others.filter((id) => id !== grant.id);
  const grants = ids.length === 0 ? [] : await loadGrants(db, (eb) => eb('grants.id', 'in', ids));
  const wanted = new Set(grant.instances.map(refKey));
  const reachable = grants.flatMap((other) =>
    other.instances.filter((one) => wanted.has(refKey(one))).flatMap((one) => reachableBy(other, one)),
  );
  return {
    reachable: reachable.sort((a, b) => refKey(a.instance).localeCompare(refKey(b.instance))),
    waiting: waiting.length,
  };
};
