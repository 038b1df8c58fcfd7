/** Decisions as views. */
import type { Selectable } from 'kysely';
import type { DecidedBy, Decision, Person } from '../../src/shared/access.ts';
import { known } from './rows.ts';
import type { Schema } from './schema.ts';

export type DecisionRow = Selectable<Schema['decisions']>;

/** @param people those whom the row may name, by id. */
export const deciderOf = (
  row: Pick<DecisionRow, 'id' | 'rule_id' | 'person_id'>,
  people: ReadonlyMap<string, Person>,
): DecidedBy => {
  if (row.person_id !== null) return { kind: 'person', person: known(people, row.person_id) };
  if (row.rule_id !== null) return { kind: 'rule', ruleId: row.rule_id };
  throw new Error(`Decision ${row.id} names neither a rule nor a person.`);
};

/** @param people those whom the row may name, by id. */
export const decisionOf = (row: DecisionRow, people: ReadonlyMap<string, Person>): Decision => {
  const common = {
    id: row.id,
    requestId: row.request_id,
    by: deciderOf(row, people),
    at: row.at.toISOString(),
    comment: row.comment,
    ruleSetHash: row.rule_set_hash,
  };
  if (row.verdict === 'no') return { ...common, verdict: 'no' };
  if (row.instances === null || row.duration_seconds === null) throw new Error(`Decision ${row.id} is an empty yes.`);
  return { ...common, verdict: 'yes', instances: row.instances, durationSeconds: row.duration_seconds };
};
