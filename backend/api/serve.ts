/** The API, put together over what it works with: which lists, sign-in, streams and calls there are is the same wherever it runs. */
import { createSecretKey, hkdfSync } from 'node:crypto';
import { createAccess } from '../access/access.ts';
import type { AccessDeps } from '../access/deps.ts';
import type { AuditKey } from '../audit/heads.ts';
import type { ChainWatch } from '../audit/state.ts';
import type { Skew } from '../aws/clock-skew.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { ChangeFeed } from '../store/changes.ts';
import type { CallerDeps } from './caller.ts';
import { createApprovals } from './decidable.ts';
import type { ApiDeps } from './deps.ts';
import { type HttpServer, startHttp } from './http.ts';
import { createInstanceList } from './instance-list.ts';
import type { Metrics } from './metrics.ts';
import { type AppRouter, createRouter } from './router.ts';
import { createSignInDesk, type SignInDeps } from './sign-in.ts';
import { createStreams, type StreamsDeps } from './streams.ts';

export type ServeDeps = AccessDeps & {
  config: Config;
  directory: CallerDeps['directory'] & SignInDeps['directory'] & StreamsDeps['directory'];
  version: string;
  feed: Pick<ChangeFeed, 'subscribe'>;
  inventory: ApiDeps['inventory'];
  /** How a sign-in is judged. */
  signIn: Pick<SignInDeps, 'callerIdentity' | 'reservedRoleId' | 'iamUsers'>;
  chain: ChainWatch;
  auditKey: AuditKey;
  awsClocks: () => readonly Skew[];
  metrics: Metrics;
  log: Log;
  /** In place of the real decisions. */
  access?: ApiDeps['access'];
};

export type ServedApi = {
  http: HttpServer;
  router: AppRouter;
  /** Ends the event streams, then waits for calls under way, so many milliseconds at most. */
  stop: (deadlineMs: number) => Promise<void>;
};

/** Starts to listen. @throws what the operating system says when the port cannot be had. */
export const serveApi = async (deps: ServeDeps): Promise<ServedApi> => {
  const { config, db, directory, rules, roles, metrics, log, now } = deps;
  const { adminGroup } = config.directory;
  const approvals = createApprovals({ db, rules, directory, now });
  const streams = createStreams({ db, feed: deps.feed, directory, adminGroup, metrics, log, now });
  const cursorKey = createSecretKey(Buffer.from(hkdfSync('sha256', deps.sealKey, '', 'curfew list cursors', 32)));
  const router = createRouter({
    db,
    config,
    roles,
    mayApproveSomething: approvals.mayApproveSomething,
    log,
    now,
    info: {
      version: deps.version,
      organisationName: config.organisationName,
      requesterPermissionSet: config.signIn.permissionSet,
      signInAccounts: config.signIn.accounts,
      stsRegion: config.signIn.stsRegion,
      deviceCodeAllowed: config.signIn.deviceCodeAllowed,
      signInWith: config.directory.kind === 'iam-users' ? 'aws-profile' : 'identity-center',
    },
    access: deps.access ?? createAccess(deps),
    inventory: deps.inventory,
    instances: createInstanceList({ db, rules, cursorKey, now }),
    signIn: createSignInDesk({ ...deps.signIn, config, db, directory, log, now }),
    streams,
    chain: deps.chain,
    auditKey: deps.auditKey,
    awsClocks: deps.awsClocks,
  });
  const http = await startHttp({
    router,
    callerDeps: { db, directory, adminGroup, decidableBy: approvals.decidableBy, now },
    metrics,
    db,
    origin: config.origin,
    listen: config.listen,
    log,
    now,
  });
  return {
    http,
    router,
    stop: async (deadlineMs) => {
      streams.stop();
      await http.stop(deadlineMs);
    },
  };
};
