/** The rows of a company's live grants, sealed and audited as the backend does it, many in one transaction. */

import { canonicalForm, hashOfRow } from '../backend/audit/chain.ts';
import type { AuditEvent } from '../backend/audit/event.ts';
import { documentsHash } from '../backend/reconcile/changes-of-state.ts';
import { newId } from '../backend/store/ids.ts';
import type { Db, Tx } from '../backend/store/open.ts';
import { type SealKey, sealDecision, sealGrant } from '../backend/store/seal.ts';
import { type Company, grantSeconds, type Holder, type LiveGrant } from './scale-company.ts';

const holdersAtOnce = 100;
const ruleSetHash = 'bench';

const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));

/** Appends events to the chain at once. @returns the sequence number of the last. */
const appendAll = async (tx: Tx, events: readonly AuditEvent[]): Promise<number> => {
  const head = await tx.selectFrom('audit_head').selectAll().forUpdate().executeTakeFirstOrThrow();
  let { sequence, hash: previousHash } = head;
  const rows = events.map((event) => {
    sequence = Number(sequence) + 1;
    const hash = hashOfRow({ sequence, previousHash, event });
    const row = {
      ...{ sequence, at: new Date(event.at), kind: event.kind, event: JSON.stringify(event), hash },
      canonical: canonicalForm(event),
      previous_hash: previousHash,
      actor_id: null,
      person_id: 'owner' in event && typeof event.owner !== 'string' ? event.owner.id : null,
      request_id: 'requestId' in event ? event.requestId : null,
      grant_id: 'grantId' in event ? event.grantId : null,
    };
    previousHash = hash;
    return row;
  });
  await tx.insertInto('audit').values(rows).execute();
  await tx.updateTable('audit_head').set({ sequence, hash: previousHash }).execute();
  return Number(sequence);
};

const madeEvent = (holder: Holder, { id, requestId, instance, connectedAt }: LiveGrant): AuditEvent => ({
  kind: 'grant_made',
  instances: [instance],
  durationSeconds: grantSeconds,
  principal: holder.arn,
  activateBy: connectedAt.toISOString(),
  at: connectedAt.toISOString(),
  actor: { kind: 'curfew' },
  ...{ grantId: id, requestId, owner: holder.person, accountId: holder.accountId },
});

const principalId = ({ accountId, person }: Holder): string => `${accountId}/${person.id}/1`;

const decisionRow = (holder: Holder, grant: LiveGrant, sealKey: SealKey) => {
  const id = newId('dec');
  const content = {
    ...{ id, requestId: grant.requestId, requesterId: holder.person.id, ruleId: 'own-team', personId: null },
    verdict: 'yes' as const,
    instances: [grant.instance],
    durationSeconds: grantSeconds,
    at: grant.connectedAt,
    ...{ ruleSetHash, seenHash: null },
  };
  return {
    ...{ id, request_id: grant.requestId, requester_id: holder.person.id, rule_id: 'own-team', person_id: null },
    verdict: content.verdict,
    instances: JSON.stringify(content.instances),
    duration_seconds: grantSeconds,
    ...{ comment: null, at: grant.connectedAt, rule_set_hash: ruleSetHash, seen_hash: null },
    mac: sealDecision(sealKey, content),
  };
};

const grantRow = (holder: Holder, grant: LiveGrant, sealKey: SealKey) => {
  const { id, requestId, connectedAt, endsAt, instance } = grant;
  const mac = sealGrant(sealKey, {
    ...{ id, requestId, connectedAt, endsAt, capability: 'shell', durationSeconds: grantSeconds },
    personId: holder.person.id,
    accountId: holder.accountId,
    principalArn: holder.arn,
    instances: [instance],
    approvedAt: connectedAt,
    activateBy: connectedAt,
  });
  return {
    ...{ id, request_id: requestId, person_id: holder.person.id, account_id: holder.accountId, mac },
    principal_id: principalId(holder),
    ...{ capability: 'shell' as const, duration_seconds: grantSeconds, state: 'active' as const },
    ...{ approved_at: connectedAt, activate_by: connectedAt, connected_at: connectedAt, active_at: connectedAt },
    ...{ ends_at: endsAt, end_set_at: connectedAt },
    ...{ cause: null, policy_gone_at: null, sessions_left: null, closed_at: null, receipt: null },
    ...{ failed_code: null, failed_advice: null },
  };
};

const writeHolders = async (tx: Tx, holders: readonly Holder[], sealKey: SealKey, now: Date): Promise<void> => {
  const all = holders.flatMap((holder) => holder.grants.map((grant) => ({ holder, grant })));
  await tx
    .insertInto('principals')
    .values(
      holders.map((holder) => ({
        ...{ id: principalId(holder), account_id: holder.accountId, person_id: holder.person.id },
        ...{ kind: 'role' as const, carrier: 'inline' as const, name: holder.name, arn: holder.arn },
        session_name: holder.sessionName,
        document_hash: documentsHash([{ slot: 0, document: holder.document }]),
        document_at: now,
        due_at: new Date(Math.min(...holder.grants.map(({ endsAt }) => endsAt.getTime()))),
        problem: null,
      })),
    )
    .execute();
  const audit_sequence = await appendAll(
    tx,
    all.map(({ holder, grant }) => madeEvent(holder, grant)),
  );
  await tx
    .insertInto('requests')
    .values(
      all.map(({ holder, grant: { requestId, connectedAt } }) => ({
        ...{ id: requestId, requester_id: holder.person.id, extends_grant_id: null, capability: 'shell' as const },
        ...{ duration_seconds: grantSeconds, reason: 'a crowd', ticket: null, state: 'approved' as const },
        ...{ submitted_at: connectedAt, lapses_at: connectedAt, closed_at: connectedAt, approvals_needed: 0 },
        ...{ rule_id: 'own-team', rule_set_hash: ruleSetHash, audit_sequence },
      })),
    )
    .execute();
  const decisions = all.map(({ holder, grant }) => ({ ...decisionRow(holder, grant, sealKey), audit_sequence }));
  await tx.insertInto('decisions').values(decisions).execute();
  const grants = all.map(({ holder, grant }) => ({ ...grantRow(holder, grant, sealKey), audit_sequence }));
  await tx.insertInto('grants').values(grants).execute();
  await tx
    .insertInto('grant_instances')
    .values(
      all.map(({ grant: { id, instance } }) => ({
        ...{ grant_id: id, position: 0, account_id: instance.accountId },
        ...{ region: instance.region, instance_id: instance.instanceId },
      })),
    )
    .execute();
};

/** Writes everything but sessions. @param sealKey the very key that the backend will use. */
export const writeRows = async (db: Db, company: Company, sealKey: SealKey): Promise<void> => {
  const now = new Date();
  const accountNames = new Map(company.accounts.map(({ id, name }) => [id, name]));
  const people = company.people.map(({ id, userName, displayName }) => ({
    ...{ id, user_name: userName, display_name: displayName, email: userName, enabled: true },
    ...{ groups: ['curfew-users', 'payments-engineers'], checked_at: now },
  }));
  for (const some of chunks(people, 1000)) await db.insertInto('people').values(some).execute();
  const instances = company.instances.map(({ accountId, region, instanceId, name }) => ({
    ...{
      account_id: accountId,
      region,
      instance_id: instanceId,
      account_name: accountNames.get(accountId) ?? '',
      name,
    },
    ...{ kind: 'ec2' as const, platform: 'Linux' as const, tags: JSON.stringify({ team: 'payments', env: 'dev' }) },
    ...{ online: true, first_seen_at: now, checked_at: now, gone_at: null },
  }));
  for (const some of chunks(instances, 1000)) await db.insertInto('instances').values(some).execute();
  for (const holders of chunks(company.holders, holdersAtOnce)) {
    await db.transaction().execute((tx) => writeHolders(tx, holders, sealKey, now));
  }
};

/** The sessions that an app would have told of. @param ids of the sessions in SSM, by grant. */
export const writeSessions = async (db: Db, company: Company, ids: ReadonlyMap<string, string>): Promise<void> => {
  const rows = company.holders.flatMap(({ grants }) =>
    grants.flatMap(({ id: grant_id, instance, connectedAt }) => {
      const id = ids.get(grant_id);
      if (id === undefined) return [];
      const { accountId: account_id, region, instanceId: instance_id } = instance;
      return [{ id, grant_id, account_id, region, instance_id, started_at: connectedAt, ended_at: null }];
    }),
  );
  for (const some of chunks(rows, 1000)) await db.insertInto('sessions').values(some).execute();
};
