/** Decisions as views. */
import type { Selectable } from 'kysely';
import type { DecidedBy, Decision, Person } from '../../src/shared/access.ts';
import { instantOf } from './rows.ts';
import type { Schema } from './schema.ts';

type DecisionRow = Selectable<Schema['decisions']>;

/** What says who decided; `person` is read with `personIn`. */
type Decider = Pick<DecisionRow, 'id' | 'rule_id'> & { person: Person | null };

export const deciderOf = (row: Decider): DecidedBy => {
  if (row.person !== null) return { kind: 'person', person: row.person };
  if (row.rule_id !== null) return { kind: 'rule', ruleId: row.rule_id };
  throw new Error(`Decision ${row.id} names neither a rule nor a person.`);
};

type Told = Decider &
  Pick<DecisionRow, 'request_id' | 'verdict' | 'instances' | 'duration_seconds' | 'comment' | 'rule_set_hash'> & {
    at: string;
  };

export const decisionOf = (row: Told): Decision => {
  const common = {
    id: row.id,
    requestId: row.request_id,
    by: deciderOf(row),
    at: instantOf(row.at),
    comment: row.comment,
    ruleSetHash: row.rule_set_hash,
  };
  if (row.verdict === 'no') return { ...common, verdict: 'no' };
  if (row.instances === null || row.duration_seconds === null) throw new Error(`Decision ${row.id} is an empty yes.`);
  return { ...common, verdict: 'yes', instances: row.instances, durationSeconds: row.duration_seconds };
};
