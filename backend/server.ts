/** The backend: builds everything in order, runs until it is told to stop, and stops in the other order. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { GroupReach } from '../src/shared/group-reach.ts';
import { serverIdOf } from '../src/shared/identity-proof.ts';
import { createAccess } from './access/access.ts';
import { keepTrail } from './access/trail-hold.ts';
import { createMetrics } from './api/metrics.ts';
import { serveApi } from './api/serve.ts';
import { forgetOldTokens } from './api/tokens.ts';
import { openAnchor } from './audit/anchor.ts';
import { appendAudit } from './audit/chain.ts';
import { openAuditKey } from './audit/heads.ts';
import { watchChain } from './audit/state.ts';
import { openBroker } from './aws/broker.ts';
import { sharedBuckets } from './aws/budget.ts';
import { callerIdentity } from './aws/caller-identity.ts';
import { watchClocks } from './aws/clock-skew.ts';
import { createCloudTrail } from './aws/cloudtrail.ts';
import { createDirectory } from './aws/directory.ts';
import { createIam, createRoleCheck } from './aws/iam.ts';
import { createIamUsers } from './aws/iam-users.ts';
import { keepMembers } from './aws/kept-members.ts';
import { createSsm } from './aws/ssm.ts';
import { createSweepReads } from './aws/sweep-reads.ts';
import { type Config, identityStoreOf, isLoopback, loadConfig, stsEndpoint } from './config.ts';
import { startInventory } from './inventory/inventory.ts';
import { createLog, type Log } from './log.ts';
import { findAuthors } from './reconcile/authors.ts';
import { endFoundSessions } from './reconcile/end-found.ts';
import { countOpenFindings } from './reconcile/findings.ts';
import { noteClocks } from './reconcile/note-clocks.ts';
import { startReconciler } from './reconcile/reconciler.ts';
import { openRules } from './rules/rules.ts';
import { auditRightsAdvice, auditRightsTooMany } from './store/audit-rights.ts';
import { joinBackends, takeDuty } from './store/backends.ts';
import { forgetOldChanges, startChangeFeed } from './store/changes.ts';
import { newId } from './store/ids.ts';
import { type Db, openStore } from './store/open.ts';
import { type PersonFacts, savePeople } from './store/people.ts';
import { openSealKey } from './store/seal.ts';
import { lookOut, repeat, withDeadline } from './upkeep.ts';

const lapseEveryMs = 5_000;
/** Kill switches and sessions that are to be ended: so often while there is something to do, and when nobody said so. */
const stoppingMs = { busy: 1_000, idle: 5_000 };
const authorsEveryMs = 5_000;
/** A leaver has lost everything within 60 s (ID-12), also when the backend whose turn it was has just died. */
const leaversEveryMs = 25_000;
const clocksEveryMs = 10_000;
const forgetEveryMs = 5 * 60_000;
const callsDeadlineMs = 5_000;
/** All of a stop, its parts with their own deadlines among it. */
const stopDeadlineMs = 60_000;
/** Somebody who asks or connects waits no longer than this for AWS to tell about tags. */
const lookPatienceMs = 5_000;

const packageFacts = z.object({ version: z.string() });
const version = (): string =>
  packageFacts.parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))).version;

/** Who could stand between people and us, or vouch for anybody, is kept out before the first connection (ID-13, API-09). */
const checkExposure = (config: Config, sts: string | null): void => {
  if (isLoopback(config.listen.host)) return;
  if (!config.origin.startsWith('https://')) {
    throw new Error(
      `listen.host ${config.listen.host} is not loopback: origin must be the https address of the proxy.`,
    );
  }
  if (sts !== null && !/^https:\/\/[a-z0-9.-]+\.amazonaws\.com(\.cn)?\/?$/.test(sts)) {
    throw new Error(
      'An STS endpoint that is not AWS’s own is for loopback only: unset AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_STS.',
    );
  }
};

/** One audit row each time another set of rules comes into force. */
const recordRules = async (
  db: Db,
  set: { hash: string; ruleIds: readonly string[] },
  now: () => Date,
): Promise<void> => {
  await db.transaction().execute(async (tx) => {
    const last = await tx
      .selectFrom('audit')
      .select('event')
      .where('kind', '=', 'rules_loaded')
      .orderBy('sequence', 'desc')
      .limit(1)
      .executeTakeFirst();
    if (last?.event.kind === 'rules_loaded' && last.event.ruleSetHash === set.hash) return;
    await appendAudit(tx, {
      kind: 'rules_loaded',
      at: now().toISOString(),
      actor: { kind: 'curfew' },
      ruleSetHash: set.hash,
      rules: set.ruleIds.length,
    });
  });
};

const start = async (log: Log): Promise<() => Promise<void>> => {
  const config = loadConfig();
  const sts = stsEndpoint();
  checkExposure(config, sts);
  if (sts !== null) log.warn({ event: 'not_aws', sts }, 'AWS endpoints are overridden');

  const sealKey = openSealKey(config.keysFolder);
  const auditKey = openAuditKey(config.keysFolder);
  const store = await openStore(config.databaseUrl, (error) =>
    log.warn({ event: 'connection_lost', error }, 'a database connection was lost'),
  );
  let nudge = (): void => undefined;
  const backends = await joinBackends({
    connection: store.presenceConnection,
    version: version(),
    onFreed: () => nudge(),
    onError: (error) => log.warn({ event: 'presence_lost', error }, 'the heartbeat was interrupted'),
  });
  // The database's clock judges every end, so that all backends agree (decision 9).
  const { now } = backends;
  const tooMany = await auditRightsTooMany(store.reconcile);
  if (tooMany.length > 0) log.warn({ event: 'audit_not_protected', may: tooMany }, auditRightsAdvice);
  const anchor = config.auditAnchor === undefined ? null : openAnchor(config.auditAnchor);
  const trail = { db: store.reconcile, sealKey, key: auditKey, anchor, log, now };
  await keepTrail(trail);
  const rules = await openRules(config.rulesFolder, config.trustedTags);
  await recordRules(store.reconcile, rules.current(), now);

  const metrics = createMetrics();
  const clocks = watchClocks(now);
  metrics.backends(backends.living);
  metrics.findings(() => countOpenFindings(store.api));
  metrics.clocks(() => [
    { peer: 'backend', ms: Math.round(backends.clockAheadMs()) },
    ...clocks.skews().map(({ accountId, ms }) => ({ peer: accountId, ms })),
  ]);
  const broker = openBroker({
    config,
    as: 'broker',
    buckets: sharedBuckets(store.reconcile),
    waited: metrics.budgetWaited,
    clockHeard: clocks.heard,
  });
  const [iam, ssm] = [createIam(broker), createSsm(broker)];
  const remember = (people: readonly PersonFacts[]) => savePeople(store.api, people);
  const iamUsers =
    config.directory.kind === 'iam-users'
      ? createIamUsers({ broker, accounts: config.signIn.accounts, groups: config.directory.groups, now, remember })
      : null;
  const directory = iamUsers ?? createDirectory({ ...identityStoreOf(config), now, remember });
  const members = keepMembers(directory.keptMembers, log);
  const groupReach = async (accountId: string): Promise<GroupReach | null> => {
    const account = config.accounts.find(({ id }) => id === accountId);
    if (account?.principal.kind !== 'group' || iamUsers === null) return null;
    return { ...(await iamUsers.reach(accountId, account.principal.group)), accountName: account.name };
  };
  const roles = { check: createRoleCheck({ config, iam, now }) };

  const feed = await startChangeFeed({
    db: store.reconcile,
    listenConnection: store.listenConnection,
    onError: (error) => log.warn({ event: 'feed_lost', error }, 'the change feed was interrupted'),
  });
  const reconciler = startReconciler({
    db: store.reconcile,
    aws: { iam, ssm, reads: createSweepReads(broker) },
    config,
    sealKey,
    log,
    now,
    holder: backends.number,
    metrics: metrics.reconcile,
  });
  nudge = reconciler.nudge;
  const inventory = startInventory({
    db: store.reconcile,
    ssm,
    accounts: config.accounts,
    intervalMs: config.intervals.inventorySeconds * 1000,
    tagsMs: config.intervals.tagsSeconds * 1000,
    trustedTags: config.trustedTags,
    patienceMs: lookPatienceMs,
    now,
    log,
  });
  // Another backend on this database may have recorded a wish: looking costs little.
  const stopListening = feed.subscribe(({ event }) => {
    if (event.topic === 'grants') reconciler.nudge();
  });
  const accessDeps = {
    db: store.api,
    rules,
    sealKey,
    config,
    directory,
    roles,
    groupReach,
    lookAgain: inventory.lookAgain,
    now,
    nudge: reconciler.nudge,
    newId,
  };
  // What ends access must not wait behind those who ask for much (threats API-07).
  const upkeep = createAccess({ ...accessDeps, db: store.reconcile });

  const { adminGroup } = config.directory;
  const served = await serveApi({
    ...accessDeps,
    version: version(),
    feed,
    inventory,
    signIn: {
      callerIdentity: (proof) => callerIdentity(proof, { serverId: serverIdOf(config.origin), endpoint: sts }),
      reservedRoleId: iam.reservedRoleId,
      iamUsers,
    },
    chain: watchChain(store.api),
    auditKey,
    awsClocks: clocks.skews,
    metrics,
    log,
  });

  const switches = lookOut('kill switches', stoppingMs, upkeep.enforceSwitches, log);
  const found = lookOut(
    'found sessions',
    stoppingMs,
    () => endFoundSessions({ db: store.reconcile, aws: { iam, ssm }, config, now, log }),
    log,
  );
  const stopHearing = feed.subscribe(({ event }) => {
    if (event.topic !== 'me') return;
    switches.now();
    found.now();
  });
  const repeated = [
    switches,
    found,
    repeat('lapse', lapseEveryMs, upkeep.lapseDue, log),
    repeat(
      'authors',
      authorsEveryMs,
      () => findAuthors({ db: store.reconcile, trail: createCloudTrail(broker), config, now, log }),
      log,
    ),
    repeat(
      'leavers',
      leaversEveryMs,
      // One backend looks for all of them: the identity store's rates are shared too.
      async () => {
        if (await takeDuty(store.reconcile, 'leavers', leaversEveryMs * 0.8)) await upkeep.closeLeavers();
      },
      log,
    ),
    repeat(
      'clocks',
      clocksEveryMs,
      () =>
        noteClocks(store.reconcile, {
          now: now(),
          adminGroup,
          skews: clocks.skews(),
          backend: { name: backends.name, aheadMs: backends.clockAheadMs() },
        }),
      log,
    ),
    repeat('forget changes', forgetEveryMs, () => forgetOldChanges(store.reconcile, now()), log),
    repeat('forget tokens', forgetEveryMs, () => forgetOldTokens(store.reconcile, now()), log),
    repeat('sign the audit head', config.intervals.auditHeadSeconds * 1000, () => keepTrail(trail), log),
  ];

  const reloadRules = async (): Promise<void> => {
    const reloaded = await rules.reload();
    if (!reloaded.ok) {
      log.error(
        { event: 'rules_refused', problems: reloaded.problems },
        'the rules do not validate: the last good set stays',
      );
      return;
    }
    await recordRules(store.reconcile, reloaded.set, now);
    log.info({ event: 'rules_loaded', hash: reloaded.set.hash }, 'rules loaded');
  };
  process.on('SIGHUP', () => {
    reloadRules().catch((error: unknown) => log.error({ event: 'rules_failed', error }, 'the rules could not be read'));
  });

  log.info({ event: 'listening', address: served.http.address, origin: config.origin }, 'listening');

  return async () => {
    await withDeadline('calls', served.stop(callsDeadlineMs), log);
    stopHearing();
    for (const one of repeated) await withDeadline('repeated work', one.stop(), log);
    await withDeadline('members', members.stop(), log);
    await withDeadline('inventory', inventory.stop(), log);
    await withDeadline('reconciler', reconciler.stop(), log);
    stopListening();
    await withDeadline('change feed', feed.stop(), log);
    await withDeadline('audit head', keepTrail(trail), log);
    broker.close();
    await withDeadline('heartbeat', backends.leave(), log);
    await withDeadline('store', store.close(), log);
  };
};

const main = async (): Promise<void> => {
  const log = createLog();
  process.on('unhandledRejection', (error) => {
    log.error({ event: 'fault', error }, 'an error that nobody waited for');
  });
  try {
    const stop = await start(log);
    let stopping = false;
    const end = (signal: string): void => {
      if (stopping) return;
      stopping = true;
      log.info({ event: 'stopping', signal }, 'stopping');
      // Whatever hangs or fails on the way: what is left undone is done at the next start (promise 5).
      setTimeout(() => process.exit(1), stopDeadlineMs).unref();
      stop()
        .then(() => {
          log.info({ event: 'stopped' }, 'stopped');
          process.exit(0);
        })
        .catch((error: unknown) => {
          log.error({ event: 'stop_failed', error }, 'could not be stopped cleanly');
          process.exit(1);
        });
    };
    process.on('SIGTERM', () => end('SIGTERM'));
    process.on('SIGINT', () => end('SIGINT'));
  } catch (error) {
    log.error({ event: 'start_failed', error }, 'the backend could not start');
    process.exitCode = 1;
    // Whatever was opened before it failed would hold the process.
    setTimeout(() => process.exit(1), 500);
  }
};

await main();
