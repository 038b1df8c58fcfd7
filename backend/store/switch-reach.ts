/** How far a kill switch reaches, as conditions in SQL. */
import { type RawBuilder, sql } from 'kysely';
import type { SwitchScope } from '../../src/shared/kill-switch.ts';
import { grantActions, liveGrantStates } from '../../src/shared/lifecycle.ts';
import type { Db } from './open.ts';

/** `within`: null, or the instances (`refKey`) that it is narrowed to. */
export type Reach = { scope: SwitchScope; within: readonly string[] | null };

type Parts = { people: 'grants.person_id' | 'requests.requester_id'; row: 'grant' | 'request' };

/** Does an instance of the grant or request fulfil it? */
const someInstance = (row: Parts['row'], condition: RawBuilder<boolean>): RawBuilder<boolean> =>
  row === 'grant'
    ? sql<boolean>`exists (select 1 from grant_instances i where i.grant_id = grants.id and ${condition})`
    : sql<boolean>`exists (select 1 from request_instances i where i.request_id = requests.id and ${condition})`;

const inReach = ({ scope, within }: Reach, { people, row }: Parts): RawBuilder<boolean> => {
  switch (scope.kind) {
    case 'everything':
      return sql<boolean>`true`;
    case 'account':
      return someInstance(row, sql<boolean>`i.account_id = ${scope.accountId}`);
    case 'instance': {
      const { accountId, region, instanceId } = scope.instance;
      return someInstance(
        row,
        sql<boolean>`i.account_id = ${accountId} and i.region = ${region} and i.instance_id = ${instanceId}`,
      );
    }
    case 'person': {
      const theirs = sql<boolean>`${sql.ref(people)} = ${scope.personId}`;
      if (within === null) return theirs;
      const keys = [...within];
      return sql<boolean>`(${theirs} and ${someInstance(
        row,
        sql<boolean>`i.account_id || '/' || i.region || '/' || i.instance_id = any(${keys}::text[])`,
      )})`;
    }
  }
};

/** Condition on `grants`. A grant is whole: it is reached when one of its instances is. */
export const grantsIn = (reach: Reach): RawBuilder<boolean> =>
  inReach(reach, { people: 'grants.person_id', row: 'grant' });

/** Condition on `requests`. */
export const requestsIn = (reach: Reach): RawBuilder<boolean> =>
  inReach(reach, { people: 'requests.requester_id', row: 'request' });

/**
 * People who have a grant that can be ended, or a request that waits, within reach of this switch, or a grant there that was ending
 * already and is not among its hits yet.
 */
export const peopleIn = async (db: Db, reach: Reach, switchId: string): Promise<string[]> => {
  const rows = await db
    .selectFrom('grants')
    .select('person_id as id')
    .where(grantsIn(reach))
    .where('state', 'in', [...liveGrantStates])
    .where((eb) =>
      eb.or([
        eb('state', 'in', [...grantActions.end]),
        eb.not(
          eb.exists(
            eb
              .selectFrom('kill_switch_hits')
              .select('position')
              .where('switch_id', '=', switchId)
              .whereRef('kill_switch_hits.grant_id', '=', 'grants.id'),
          ),
        ),
      ]),
    )
    .union((eb) =>
      eb.selectFrom('requests').select('requester_id as id').where('state', '=', 'waiting').where(requestsIn(reach)),
    )
    .execute();
  return rows.map(({ id }) => id).sort();
};

/** Condition: one of these people (a query of ids) has something within reach that lives, is ending, or waits. */
export const someoneIn = (reach: Reach, ids: RawBuilder<string>): RawBuilder<boolean> => sql<boolean>`(
  exists (select 1 from grants where grants.person_id in (${ids})
    and grants.state in (${sql.join([...liveGrantStates])}) and ${grantsIn(reach)})
  or exists (select 1 from requests where requests.requester_id in (${ids})
    and requests.state = 'waiting' and ${requestsIn(reach)}))`;
