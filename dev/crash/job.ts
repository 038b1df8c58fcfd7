/** What a backend is killed in the middle of: granting and ending one grant, by hand and by time; and what must be true afterwards. */
import { sql } from 'kysely';
import { exportParts } from '../../backend/audit/export.ts';
import { verifyExport } from '../../backend/audit/verify.ts';
import { refOfRow } from '../../backend/store/instances.ts';
import { grantContent, sealGrant } from '../../backend/store/seal.ts';
import type { Connection } from '../../src/shared/access.ts';
import { accessPolicyOf, activeSessions } from '../driver/local-aws-control.ts';
import { until } from '../driver/person-at-api.ts';
import type { Stage, Worker } from './stage.ts';

/** What the person of one job was told and has seen: nothing of it may be lost. */
export type Trace = {
  worker: Worker;
  grantsBefore: ReadonlySet<string>;
  /** The backend said that this grant was made. */
  grantId: string | null;
  /** It said that the clock runs. */
  connection: Connection | null;
  /** Systems Manager gave this session. */
  sessionId: string | null;
  /** The backend took note of it. */
  sessionTold: boolean;
  /** It said that the grant ends. */
  endTold: boolean;
  /** False as soon as the backend is dead: then there is nothing to wait for. */
  alive: () => boolean;
};

export type Job = {
  name: string;
  /** Before anything is watched. */
  prepare: (stage: Stage, trace: Trace) => Promise<void>;
  /** What is watched. Throws when the backend dies in it. */
  act: (stage: Stage, trace: Trace) => Promise<void>;
  /** After another start: the person goes on where they were. */
  goOn: (stage: Stage, trace: Trace) => Promise<void>;
};

const reason = 'Look at the worker queue';
/** The shortest that may be asked for. */
const seconds = 60;

const grantsOf = (stage: Stage, worker: Worker) =>
  stage.db.selectFrom('grants').selectAll().where('person_id', '=', worker.id).orderBy('approved_at').execute();

/** Begins a job of the next person in turn. */
export const beginTrace = async (stage: Stage, alive: () => boolean): Promise<Trace> => {
  const worker = await stage.nextWorker();
  const before = await grantsOf(stage, worker);
  return {
    worker,
    grantsBefore: new Set(before.map(({ id }) => id)),
    grantId: null,
    connection: null,
    sessionId: null,
    sessionTold: false,
    endTold: false,
    alive,
  };
};

const rowOf = (stage: Stage, id: string) =>
  stage.db.selectFrom('grants').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
type Row = Awaited<ReturnType<typeof rowOf>>;

const grantIs = (stage: Stage, trace: Trace, what: string, fits: (row: Row) => boolean): Promise<Row> => {
  const id = trace.grantId ?? '';
  return until(`grant ${id} to be ${what}`, async () => {
    if (!trace.alive()) throw new Error('The backend is dead.');
    const row = await rowOf(stage, id);
    if (row.state === 'failed') throw new Error(`The grant failed: ${row.failed_advice}`);
    return fits(row) ? row : null;
  });
};
const isSealed = (stage: Stage, trace: Trace): Promise<Row> =>
  grantIs(stage, trace, 'sealed', ({ receipt }) => receipt?.stage === 'sealed');

const submit = async (stage: Stage, trace: Trace): Promise<void> => {
  const request = await trace.worker.backend.submit({
    instances: [stage.instance],
    capability: 'shell',
    durationSeconds: seconds,
    reason,
    ticket: null,
  });
  const grantId = request.state === 'approved' ? request.grantIds[0] : undefined;
  if (grantId === undefined) throw new Error(`No rule gives this at once: the request is ${request.state}.`);
  trace.grantId = grantId;
};

const connect = async (trace: Trace): Promise<void> => {
  const { connection } = await trace.worker.backend.connect({ grantId: trace.grantId ?? '' });
  trace.connection = connection;
};

/** At Systems Manager, past the backend: as the app does it. */
const openSession = async (stage: Stage, trace: Trace): Promise<void> => {
  const { connection, worker } = trace;
  if (connection === null) throw new Error('Nobody has connected.');
  const started = await worker.personalRole.start(connection, stage.instance);
  if (started === null) throw new Error('IAM does not allow the session.');
  trace.sessionId = started.sessionId;
};

const tellSession = async (stage: Stage, trace: Trace): Promise<void> => {
  const { grantId, sessionId, worker } = trace;
  await worker.backend.sessionStarted({
    grantId: grantId ?? '',
    instance: stage.instance,
    sessionId: sessionId ?? '',
  });
  trace.sessionTold = true;
};

const end = async (trace: Trace): Promise<void> => {
  await trace.worker.backend.end({ grantId: trace.grantId ?? '', comment: null });
  trace.endTold = true;
};

const toActive = async (stage: Stage, trace: Trace): Promise<void> => {
  await submit(stage, trace);
  await connect(trace);
  await grantIs(stage, trace, 'active', ({ state }) => state === 'active');
  await openSession(stage, trace);
  await tellSession(stage, trace);
};

/** From asking to the sealed receipt, ended by the person. */
const byHand: Job = {
  name: 'granted, used and ended by hand',
  prepare: async () => undefined,
  act: async (stage, trace) => {
    await toActive(stage, trace);
    await end(trace);
    await isSealed(stage, trace);
  },
  goOn: async (stage, trace) => {
    const fresh = (await grantsOf(stage, trace.worker)).find(({ id }) => !trace.grantsBefore.has(id));
    if (fresh === undefined) await submit(stage, trace);
    else trace.grantId = fresh.id;
    if ((fresh?.state ?? 'ready') === 'ready') await connect(trace);
    const row = await grantIs(stage, trace, 'active or over', ({ state }) => state !== 'granting' && state !== 'ready');
    if (row.state === 'active') {
      if (trace.connection === null) await connect(trace);
      if (trace.sessionId === null) await openSession(stage, trace);
      await end(trace);
    }
    await isSealed(stage, trace);
  },
};

/** Turns the grant's clock forward until little is left of it. Sealed by the installation's own key, so it counts. */
const letLittleBeLeft = async (stage: Stage, trace: Trace, leftMs: number): Promise<void> => {
  const row = await rowOf(stage, trace.grantId ?? '');
  const refs = await stage.db
    .selectFrom('grant_instances')
    .selectAll()
    .where('grant_id', '=', row.id)
    .orderBy('position')
    .execute();
  const principal = await stage.db
    .selectFrom('principals')
    .select(['id', 'arn'])
    .where('id', '=', row.principal_id)
    .executeTakeFirstOrThrow();
  const ends_at = new Date(Date.now() + leftMs);
  const times = { connected_at: new Date(ends_at.getTime() - row.duration_seconds * 1000), ends_at };
  const mac = sealGrant(stage.sealKey, grantContent({ ...row, ...times }, refs.map(refOfRow), principal.arn));
  await stage.db.transaction().execute(async (tx) => {
    // Time passes without an audit row; only a change would need one.
    await sql`set local session_replication_role = replica`.execute(tx);
    await tx.updateTable('principals').set({ due_at: new Date() }).where('id', '=', principal.id).execute();
    await tx
      .updateTable('grants')
      .set({ ...times, mac })
      .where('id', '=', row.id)
      .execute();
  });
};

/** An active grant with a session reaches its end, and nobody does anything. */
const byTime: Job = {
  name: 'ended by time',
  prepare: toActive,
  act: async (stage, trace) => {
    await letLittleBeLeft(stage, trace, 700);
    await isSealed(stage, trace);
  },
  goOn: async (stage, trace) => {
    await isSealed(stage, trace);
  },
};

export const jobs: readonly Job[] = [byHand, byTime];

/** Right after the death: what somebody was told is on disk. @returns what is not. */
export const lost = async (stage: Stage, trace: Trace): Promise<string[]> => {
  const { grantId, connection, sessionId, sessionTold, endTold } = trace;
  if (grantId === null) return [];
  const row = await stage.db.selectFrom('grants').selectAll().where('id', '=', grantId).executeTakeFirst();
  if (row === undefined) return ['the grant that was told'];
  const session = await stage.db.selectFrom('sessions').select('id').where('id', '=', sessionId).executeTakeFirst();
  return [
    ...(connection !== null && row.connected_at === null ? ['that the clock runs'] : []),
    ...(sessionTold && session === undefined ? ['the session'] : []),
    ...(endTold && !['ending', 'ended'].includes(row.state) ? [`the end: the grant is ${row.state}`] : []),
  ];
};

const once = ['grant_made', 'grant_connected', 'grant_active', 'grant_ending', 'grant_ended', 'grant_sealed'];

/** When all is over: what the promises say must be so. @returns what is not. */
export const broken = async (stage: Stage, trace: Trace): Promise<string[]> => {
  const who = { account: stage.account, personId: trace.worker.id };
  const fresh = (await grantsOf(stage, trace.worker)).filter(({ id }) => !trace.grantsBefore.has(id));
  const events = await stage.db
    .selectFrom('audit')
    .select(['kind', 'event', 'grant_id'])
    .where('grant_id', 'in', ['', ...fresh.map(({ id }) => id)])
    .orderBy('sequence')
    .execute();
  const told = events.filter(({ kind, grant_id }) => once.includes(kind) && grant_id === trace.grantId);
  const endings = events.flatMap(({ event }) =>
    event.kind === 'session_terminated' && event.sessionId === trace.sessionId ? [event.kind] : [],
  );
  const proved = fresh.some(({ receipt }) => receipt?.sessionsTerminated.includes(trace.sessionId ?? ''));
  const wish = { format: 'jsonl' as const, requestId: null };
  const lines: string[] = [];
  for await (const { text } of exportParts({ db: stage.db, key: stage.auditKey, wish, at: new Date() })) {
    lines.push(...text.split('\n'));
  }
  const chain = verifyExport(lines, stage.auditKey.keyId);
  return [
    ...(fresh.length === 1 ? [] : [`${fresh.length} grants were made`]),
    ...fresh.flatMap(({ state, receipt }) =>
      state === 'ended' && receipt?.stage === 'sealed' ? [] : [`a grant is ${state} without a sealed receipt`],
    ),
    ...(told.map(({ kind }) => kind).join() === once.join()
      ? []
      : [`the trail says ${told.map(({ kind }) => kind).join(', ')}`]),
    ...((await accessPolicyOf(stage.control, who)) === null ? [] : ['an access policy is left']),
    ...((await activeSessions(stage.control, who)).length === 0 ? [] : ['a session is left']),
    ...(trace.sessionId === null || endings.length > 0 ? [] : ['the trail does not say that the session was ended']),
    ...(trace.sessionId === null || proved ? [] : ['no receipt says that the session was ended']),
    ...(chain.ok ? [] : [`the trail does not verify: ${chain.what}`]),
  ];
};
