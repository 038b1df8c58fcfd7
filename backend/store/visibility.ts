/**
 * Who may see what: the one place that every read of requests, grants, sessions, notices and audit rows passes (threats
 * API-01, API-03). Its conditions go into the SQL before filters, counts and sorting, so that nothing about a hidden row
 * leaks; what is not visible is answered like what does not exist.
 */
import { type Expression, type ExpressionBuilder, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { Person } from '../../src/shared/access.ts';
import type { Schema } from './schema.ts';

/** Who reads or acts, as known at most 60 s ago. */
export type Reader = {
  person: Person;
  /** Names of the Identity Center groups. */
  groups: readonly string[];
  isAdmin: boolean;
  /** Waiting requests of others which the rules in force let this person decide now. */
  decidable: readonly string[];
  /** Live grants of others which the rules in force let this person end; asked for only where it matters (`access/revocable.ts`). */
  revocable?: readonly string[];
};

type Condition<T extends keyof Schema> = (eb: ExpressionBuilder<Schema, T>) => Expression<SqlBool>;

export type Visible = {
  /** Judged row by row, like all but `grantsInAll`: for reads that name what they want by something else already. */
  requests: Condition<'requests'>;
  grants: Condition<'grants'>;
  /** The same as `grants`, for reads that begin with all that somebody may see. */
  grantsInAll: Condition<'grants'>;
  sessions: Condition<'sessions'>;
  notices: Condition<'notices'>;
  switches: Condition<'kill_switches'>;
  audit: Condition<'audit'>;
  /** Ids of the visible requests of others, to begin a read with; null: everything is visible. */
  othersRequestIds: RawBuilder<string> | null;
};

const everything = sql<boolean>`true`;

/**
 * A request is visible to who asked, who decided it, who may decide it while it waits, who was asked to decide it once it
 * is closed, and to admins; a grant and its sessions to its owner, to whoever sees its request and to whoever may end it; a notice to its
 * receiver only; a kill switch to who pulled it, to whom it stops, and to admins; an audit row to whom its request is visible,
 * to the person it is about and to admins.
 */
export const visibleTo = (reader: Reader): Visible => {
  const me = reader.person.id;
  const decidable = reader.decidable.length === 0 ? [''] : [...reader.decidable];
  // Each part by an index of its own, or this would read every request there ever was.
  const othersRequestIds = sql<string>`(
    select r.id from requests r where r.state = 'waiting' and r.id in (${sql.join(decidable)})
    union
    select d.request_id from decisions d where d.person_id = ${me}
    union
    select n.target_id from notices n join requests r on r.id = n.target_id and r.state <> 'waiting'
    where n.person_id = ${me} and n.kind = 'to-approve' and n.target_kind = 'request')`;
  const requestIds = sql<string>`(select r.id from requests r where r.requester_id = ${me} union ${othersRequestIds})`;
  const revocable = ['', ...(reader.revocable ?? [])];
  const grantIds = sql<string>`(
    select g.id from grants g where g.person_id = ${me}
    union
    select g.id from grants g where g.request_id in ${requestIds}
    union
    select g.id from grants g where g.id in (${sql.join(revocable)}))`;
  const notices: Condition<'notices'> = (eb) => eb('notices.person_id', '=', me);
  if (reader.isAdmin) {
    const all = () => everything;
    return {
      requests: all,
      grants: all,
      grantsInAll: all,
      sessions: all,
      notices,
      switches: all,
      audit: all,
      othersRequestIds: null,
    };
  }
  // `requests` and `grants` here are the tables of the read, or the ones named so in the conditions below.
  const request = sql<boolean>`(requests.requester_id = ${me}
    or (requests.state = 'waiting' and requests.id in (${sql.join(decidable)}))
    or exists (select 1 from decisions d where d.request_id = requests.id and d.person_id = ${me})
    or (requests.state <> 'waiting' and exists (select 1 from notices n
      where n.target_id = requests.id and n.person_id = ${me} and n.kind = 'to-approve' and n.target_kind = 'request')))`;
  const grant = sql<boolean>`(grants.person_id = ${me} or grants.id in (${sql.join(revocable)})
    or exists (select 1 from requests where requests.id = grants.request_id and ${request}))`;
  return {
    requests: () => request,
    grants: () => grant,
    grantsInAll: () => sql<boolean>`grants.id in ${grantIds}`,
    sessions: () => sql<boolean>`exists (select 1 from grants where grants.id = sessions.grant_id and ${grant})`,
    notices,
    switches: () =>
      sql<boolean>`(kill_switches.by_id = ${me} or kill_switches.person_id = ${me} or kill_switches.scope = 'everything'
        or exists (select 1 from kill_switch_hits h where h.switch_id = kill_switches.id and h.person_id = ${me}))`,
    audit: () =>
      sql<boolean>`(audit.request_id in ${requestIds} or (audit.request_id is null and
        (audit.actor_id = ${me} or audit.person_id = ${me})))`,
    othersRequestIds,
  };
};
