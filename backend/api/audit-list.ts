/** Audit rows as one person may see them. */
import { type SqlBool, sql } from 'kysely';
import type { AuditQuery, AuditRow } from '../../src/shared/views.ts';
import type { AuditEvent } from '../audit/event.ts';
import { actorName, auditSentence } from '../audit/sentence.ts';
import type { Db } from '../store/open.ts';
import { type Reader, visibleTo } from '../store/visibility.ts';

const instanceIdsOf = (event: AuditEvent): string[] => {
  if ('instances' in event) return (event.instances ?? []).map(({ instanceId }) => instanceId);
  return 'instance' in event ? [event.instance.instanceId] : [];
};

type Row = {
  sequence: number;
  at: Date;
  kind: string;
  event: AuditEvent;
  request_id: string | null;
  grant_id: string | null;
  hash: string;
};

const rowOf = (row: Row): AuditRow => ({
  sequence: row.sequence,
  at: row.at.toISOString(),
  kind: row.kind,
  actor: actorName(row.event.actor),
  sentence: auditSentence(row.event),
  requestId: row.request_id,
  grantId: row.grant_id,
  instances: instanceIdsOf(row.event),
  hash: row.hash,
});

/** `%`, `_` and `\` stand for themselves (threats API-03). */
const literally = (text: string): string => `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;

const visibleRows = (db: Db, reader: Reader) =>
  db
    .selectFrom('audit')
    .select(['sequence', 'at', 'kind', 'event', 'request_id', 'grant_id', 'hash'])
    .where(visibleTo(reader).audit);

/** A page of the rows that this reader may see, newest first. The search looks into the whole event. */
export const listAudit = async (
  db: Db,
  reader: Reader,
  query: AuditQuery,
): Promise<{ rows: AuditRow[]; nextBefore: number | null }> => {
  const words = query.search.split(/\s+/).filter(Boolean);
  let select = visibleRows(db, reader);
  for (const word of words) select = select.where(sql<SqlBool>`canonical ilike ${literally(word)}`);
  if (query.kinds.length > 0) select = select.where('kind', 'in', query.kinds);
  const { person, from, until, before } = query;
  if (person !== null)
    select = select.where((eb) => eb.or([eb('actor_id', '=', person), eb('person_id', '=', person)]));
  if (from !== null) select = select.where('at', '>=', new Date(from));
  if (until !== null) select = select.where('at', '<', new Date(until));
  if (before !== null) select = select.where('sequence', '<', before);
  const rows = await select
    .orderBy('sequence', 'desc')
    .limit(query.limit + 1)
    .execute();
  const shown = rows.slice(0, query.limit);
  const last = shown.at(-1);
  return {
    rows: shown.map(rowOf),
    nextBefore: rows.length > shown.length && last !== undefined ? last.sequence : null,
  };
};

/** All rows of one request in their order. The caller has looked whether the request is visible. */
export const auditOfRequest = async (db: Db, reader: Reader, requestId: string): Promise<AuditRow[]> => {
  const rows = await visibleRows(db, reader).where('request_id', '=', requestId).orderBy('sequence').execute();
  return rows.map(rowOf);
};
