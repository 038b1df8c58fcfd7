/** Puts local-aws together: one process, one port, one file that remembers what must survive a restart. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { createAuthorise } from './authorization/authorise.ts';
import { callerOfUser } from './authorization/caller.ts';
import { type CredentialStore, createCredentialStore } from './authorization/credential-store.ts';
import { SignatureRefusal, verifySignature } from './authorization/sigv4.ts';
import { createTrail } from './cloudtrail/trail.ts';
import { type Control, controlRoute, createControl } from './control.ts';
import { createEc2Service } from './ec2.ts';
import { createFaults, type Faults } from './faults.ts';
import { createIamService } from './iam/iam-service.ts';
import { createIamState, type IamState } from './iam/state.ts';
import { createIdentityStoreService } from './identity-store.ts';
import { awsRequest, createAwsServer } from './server.ts';
import { type Authorise, AwsError, type UnsignedRoute } from './service.ts';
import type { UpgradeVerdict } from './session-host/host-types.ts';
import { createSessionHost } from './session-host/session-host.ts';
import { createOidc } from './sign-in/oidc.ts';
import { createPortal } from './sign-in/portal.ts';
import { signInRoutes } from './sign-in/routes.ts';
import { createLifetimes, createSignInState, type SignInState } from './sign-in/sign-in-state.ts';
import { createSessionTable, type SessionTable } from './ssm/session-table.ts';
import { createSsm } from './ssm/ssm.ts';
import { createStsService } from './sts.ts';
import { readWorld, type World } from './world.ts';

type LocalAwsOptions = {
  /** The world's YAML file. */
  worldFile: string;
  /** Where IAM, credentials and sign-ins are kept over a restart; null: nowhere. */
  stateFile: string | null;
  /** On 127.0.0.1; 0 = any free one. */
  port: number;
  /** For the instances' home folders. */
  runFolder: string;
  now?: () => Date;
  /** Told of what local-aws itself did wrong. Default: standard error. */
  onFault?: (error: unknown, id: string) => void;
};

export type LocalAws = {
  /** `http://127.0.0.1:<port>`: the value for `AWS_ENDPOINT_URL`. */
  endpoint: string;
  /** Alive: change it through `control`. */
  world: World;
  control: Control;
  /** Saves, ends every session and shell, stops listening. Safe to repeat. */
  close(): Promise<void>;
};

const savedState = z.strictObject({
  version: z.literal(1),
  iam: z.unknown(),
  credentials: z.unknown(),
  signIn: z.unknown(),
});

type Kept = { iam: IamState; credentials: CredentialStore; signIn: SignInState };

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** @throws an Error that names the file when it is there and cannot be used. */
const restoreFrom = (stateFile: string, kept: Kept): void => {
  let text: string;
  try {
    text = readFileSync(stateFile, 'utf8');
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  try {
    const saved = savedState.parse(JSON.parse(text));
    kept.iam.restore(saved.iam);
    kept.credentials.restore(saved.credentials);
    kept.signIn.restore(saved.signIn);
  } catch (cause) {
    throw new Error(`${stateFile} is not a state of local-aws; move it away to start anew`, { cause });
  }
};

/** Writes the file whenever something changed since the last time; whole or not at all. */
const keeper = (stateFile: string, kept: Kept) => {
  let written = '';
  const save = (): void => {
    const state = {
      iam: kept.iam.snapshot(),
      credentials: kept.credentials.snapshot(),
      signIn: kept.signIn.snapshot(),
    };
    const text = JSON.stringify({ version: 1, ...state });
    if (text === written) return;
    writeFileSync(`${stateFile}.new`, text, { mode: 0o600 });
    renameSync(`${stateFile}.new`, stateFile);
    written = text;
  };
  const timer = setInterval(save, 1000);
  timer.unref();
  return {
    stop(): void {
      clearInterval(timer);
      save();
    },
  };
};

/** The world's IAM entities, known from the first moment. What was restored and is not in the world stays. */
export const loadWorld = (world: World, { iam, credentials }: Pick<Kept, 'iam' | 'credentials'>): void => {
  for (const account of world.accounts) {
    const accountId = account.id;
    for (const policy of account.managedPolicies) iam.putManagedPolicy({ accountId, ...policy });
    for (const group of account.groups) {
      iam.putGroup({
        accountId,
        name: group.name,
        path: group.path,
        inline: group.inlinePolicies,
        attached: group.attachedPolicyArns,
      });
    }
    for (const role of account.roles) {
      iam.putRole({
        accountId,
        name: role.name,
        path: role.path,
        tags: role.tags,
        inline: role.inlinePolicies,
        attached: role.attachedPolicyArns,
        trust: role.trust,
        boundary: role.boundaryArn ?? undefined,
        description: role.description,
        maxSessionSeconds: role.maxSessionSeconds,
      });
    }
    for (const one of account.users) {
      const user = iam.putUser({
        accountId,
        name: one.name,
        path: one.path,
        tags: one.tags,
        inline: one.inlinePolicies,
        attached: one.attachedPolicyArns,
        groups: one.groups,
        boundary: one.boundaryArn ?? undefined,
      });
      for (const key of one.accessKeys) credentials.addUserKey({ ...key, caller: callerOfUser(user) });
    }
  }
};

/** OpenDataChannel: the websocket's own signature and permission, before the token is looked at (aws-facts 4.2). */
const upgradeCheck =
  (parts: {
    credentials: CredentialStore;
    authorise: Authorise;
    faults: Faults;
    sessions: () => SessionTable;
    now: () => Date;
  }) =>
  async (message: IncomingMessage, sessionId: string): Promise<UpgradeVerdict> => {
    try {
      const { caller, region, service } = verifySignature(
        awsRequest(message, Buffer.alloc(0), parts.now()),
        parts.credentials,
      );
      if (service !== 'ssmmessages')
        return { allow: false, status: 403, body: 'The signature is for another service.' };
      const place = { accountId: caller.accountId, region };
      await parts.faults.beforeCall({ service, operation: 'OpenDataChannel', ...place });
      if (!parts.sessions().find(place, sessionId))
        return { allow: false, status: 404, body: 'There is no such session.' };
      const arn = `arn:aws:ssm:${region}:${caller.accountId}:session/${sessionId}`;
      parts.authorise(caller, { action: 'ssmmessages:OpenDataChannel', resources: [{ arn }] });
      return { allow: true };
    } catch (error) {
      if (error instanceof SignatureRefusal) return { allow: false, status: 403, body: error.message };
      if (error instanceof AwsError)
        return { allow: false, status: error.status === 400 ? 403 : error.status, body: error.message };
      throw error;
    }
  };

const toStandardError = (error: unknown, id: string): void => {
  process.stderr.write(
    `local-aws: fault ${id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
};

/** Starts it all. @throws FileError for a bad world, Error for a bad state file or a port that is taken. */
export const startLocalAws = async (options: LocalAwsOptions): Promise<LocalAws> => {
  const machineNow = options.now ?? (() => new Date());
  const onFault = options.onFault ?? toStandardError;
  const world = readWorld(options.worldFile);
  mkdirSync(options.runFolder, { recursive: true, mode: 0o700 });
  const faults = createFaults({ now: machineNow });
  const now = (): Date => new Date(machineNow().getTime() + faults.settings().clockAheadMs);
  const kept: Kept = {
    iam: createIamState({ now, spreadingDelayMs: faults.spreadingDelayMs }),
    credentials: createCredentialStore({ now }),
    signIn: createSignInState(),
  };
  if (options.stateFile !== null) restoreFrom(options.stateFile, kept);
  loadWorld(world, kept);
  const { iam, credentials, signIn } = kept;
  const authorise = createAuthorise({ state: iam, now });

  const host = createSessionHost({
    now,
    runFolder: options.runFolder,
    onFault,
    verifyUpgrade: (message, sessionId) => checkUpgrade(message, sessionId),
  });
  const sessions = createSessionTable({ host, now });
  const checkUpgrade = upgradeCheck({ credentials, authorise, faults, sessions: () => sessions, now });
  const lifetimes = createLifetimes();
  const oidc = createOidc({ world, state: signIn, lifetimes: lifetimes.get, now });
  const portal = createPortal({ world, state: signIn, iam, credentials, now });
  const control = createControl({ world, faults, iam, credentials, host, sessions, signIn, lifetimes, now });
  const routes: UnsignedRoute[] = [
    controlRoute(control, world.organisation.name),
    ...signInRoutes({ world, state: signIn, oidc, portal, faults, lifetimes: lifetimes.get, now }),
  ];

  let endpoint = '';
  const streamBase = () => endpoint.replace(/^http/, 'ws');
  const trail = createTrail({ state: iam, authorise, now, delayMs: () => faults.settings().trailDelayMs });
  const services = [
    trail.service,
    createIamService({ state: iam, credentials, authorise, now }),
    createStsService({ state: iam, credentials, now }),
    createEc2Service({ instances: () => world.instances, authorise }),
    createIdentityStoreService({ world: () => world, authorise }),
    createSsm({ world, host, sessions, authorise, streamBase, now }),
  ];
  const server = createAwsServer({
    now,
    credentials,
    services: () => services,
    unsignedRoutes: () => routes,
    faults,
    record: trail.record,
    onUpgrade: ({ message, socket, head }) => {
      if (!host.handleUpgrade(message, socket, head)) socket.destroy();
    },
    onFault,
  });
  endpoint = await server.listen(options.port);
  const state = options.stateFile === null ? null : keeper(options.stateFile, kept);
  const closeAll = async (): Promise<void> => {
    state?.stop();
    await host.close();
    await server.close();
  };
  let closed: Promise<void> | null = null;
  return {
    endpoint,
    world,
    control,
    close() {
      closed ??= closeAll();
      return closed;
    },
  };
};
