/**
 * local-aws for histories: its IAM, its evaluator and its SSM on a clock that stands still, in this process, called by the backend's
 * own AWS clients without a network in between. Sessions have no shell. Everything is fresh for each history.
 */
import path from 'node:path';
import { type Bucket, type Buckets, localBuckets, type Rate } from '../../backend/aws/budget.ts';
import { createAuthorise } from '../local-aws/authorization/authorise.ts';
import { createCredentialStore } from '../local-aws/authorization/credential-store.ts';
import { createEc2Service } from '../local-aws/ec2.ts';
import { createIamService } from '../local-aws/iam/iam-service.ts';
import { createIamState, type IamState } from '../local-aws/iam/state.ts';
import { type AwsServer, createAwsServer } from '../local-aws/server.ts';
import { AwsError, type Caller, type SignedService } from '../local-aws/service.ts';
import type { EndedSession, SessionHost } from '../local-aws/session-host/host-types.ts';
import { createSessionTable, type SessionTable } from '../local-aws/ssm/session-table.ts';
import { createSsm } from '../local-aws/ssm/ssm.ts';
import { loadWorld } from '../local-aws/start.ts';
import { createStsService } from '../local-aws/sts.ts';
import { readWorld, type World } from '../local-aws/world.ts';
import { type Clock, createClock } from './clock.ts';
import type { Office } from './offices.ts';

/** What may happen to one call of the backend. `slow` takes this long of the history's time. */
export type AwsFault = 'throttled' | 'fails-before' | 'fails-after' | 'answer-lost' | 'slow';

/** `begin` makes the next history's own. */
export type ChaosAws = {
  server: Pick<AwsServer, 'answer'>;
  world: World;
  begin: (clock: Clock, office: Office) => void;
  /** The history's. */
  clock: () => Clock;
  /** AWS's own clock. */
  now: () => Date;
  /** How far that is ahead of the history's from now on, milliseconds. */
  setAhead: (ms: number) => void;
  /** The history's own: full at its begin. */
  buckets: Buckets;
  iam: () => IamState;
  sessions: () => SessionTable;
  /** The fault hits this many calls, after this many others. */
  plan: (fault: AwsFault, when: { after: number; times: number }) => void;
  /** Takes away what was planned and has not hit. */
  heal: () => void;
  /** Milliseconds until IAM's writes are seen by the evaluator, from now on. */
  setSpreading: (ms: number) => void;
  /** A person starts a session. @returns whether AWS let them. */
  startSession: (caller: Caller, target: SessionTarget) => boolean;
};

export type SessionTarget = { region: string; instanceId: string; documentName: string };

const slowMs = 20_000;
/** A terminated session is still listed for a moment. */
const dyingMs = 400;

const noShells = (clock: Clock): SessionHost => {
  const listeners = new Set<(ended: EndedSession) => void>();
  const up = new Map<string, string>();
  const dying = new Map<string, number>();
  const bury = (): void => {
    const at = clock.now();
    for (const [sessionId, from] of dying) {
      if (at.getTime() < from) continue;
      dying.delete(sessionId);
      const owner = up.get(sessionId) ?? '';
      up.delete(sessionId);
      for (const listener of listeners) listener({ sessionId, owner, why: 'terminated', reason: '', at });
    }
  };
  clock.onPass(bury);
  return {
    open: ({ sessionId, owner }) => {
      up.set(sessionId, owner);
      return { tokenValue: sessionId };
    },
    renewToken: () => null,
    terminate: (sessionId) => void dying.set(sessionId, clock.now().getTime() + dyingMs),
    isUp: (sessionId) => up.has(sessionId),
    isConnected: () => true,
    handleUpgrade: () => false,
    dropConnections: () => undefined,
    setFaults: () => undefined,
    onEnded: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => undefined,
  };
};

export const openChaosAws = (): ChaosAws => {
  const world = readWorld(path.resolve(import.meta.dirname, '..', 'local-aws', 'world.yml'));
  const realNow = (): Date => new Date();
  let clock = createClock(realNow());
  let aheadMs = 0;
  let spreadingMs = 0;
  let planned: Array<{ fault: AwsFault; after: number; times: number }> = [];

  const now = (): Date => new Date(clock.now().getTime() + aheadMs);
  let buckets = new Map<string, Bucket>();
  const bucketOf = (name: string, rate: Rate): Bucket => {
    const known = buckets.get(name) ?? localBuckets(clock.now)(name, rate);
    buckets.set(name, known);
    return known;
  };
  const credentials = createCredentialStore({ now: realNow });
  const emptyIam = (): IamState => createIamState({ now, spreadingDelayMs: () => spreadingMs });
  let iam = emptyIam();
  loadWorld(world, { iam, credentials });
  // The same roles by the same ids in every office: a backend's keys stay good from one history to the next.
  const bare = iam.snapshot();
  const firstDays = new Map<string, unknown>();
  const iamOf = (office: Office): IamState => {
    const state = emptyIam();
    const known = firstDays.get(office.name);
    state.restore(known ?? bare);
    if (known === undefined) {
      office.hire(state);
      firstDays.set(office.name, state.snapshot());
    }
    return state;
  };

  const ssmFor = (host: SessionHost, sessions: SessionTable) =>
    createSsm({
      world,
      host,
      sessions,
      authorise: createAuthorise({ state: iam, now }),
      streamBase: () => 'ws://127.0.0.1:9',
      now,
    });
  const servicesOf = (): SignedService[] => [
    createEc2Service({ instances: () => world.instances, authorise: createAuthorise({ state: iam, now }) }),
    createIamService({ state: iam, credentials, authorise: createAuthorise({ state: iam, now }), now }),
    // Keys are as old as they really are: the SDK goes by the real clock.
    createStsService({ state: iam, credentials, now: realNow }),
  ];
  let host = noShells(clock);
  let sessions = createSessionTable({ host, now });
  let ssm = ssmFor(host, sessions);
  let others = servicesOf();

  /** The fault that hits this call, if one does. */
  const due = (): AwsFault | null => {
    const hit = planned.find(({ after }) => after === 0);
    planned = planned
      .map((one) => {
        if (one === hit) return { ...one, times: one.times - 1 };
        return { ...one, after: Math.max(0, one.after - 1) };
      })
      .filter(({ times }) => times > 0);
    return hit?.fault ?? null;
  };
  let hitting: AwsFault | null = null;
  const server = createAwsServer({
    now: realNow,
    credentials,
    services: () => [...others, ssm],
    unsignedRoutes: () => [],
    faults: {
      beforeCall: async () => {
        hitting = due();
        if (hitting === 'slow') clock.pass(slowMs);
        if (hitting === 'throttled') throw new AwsError('Throttling', 'Rate exceeded', 400);
        if (hitting === 'fails-before') throw new AwsError('InternalFailure', 'Something broke.', 500);
      },
      loseAnswer: () => {
        if (hitting === 'fails-after') throw new AwsError('InternalFailure', 'Something broke.', 500);
        return hitting === 'answer-lost';
      },
    },
    onFault: (error) => {
      throw error;
    },
  });

  return {
    server,
    world,
    clock: () => clock,
    now,
    setAhead: (ms) => {
      aheadMs = ms;
    },
    buckets: (name, rate) => ({
      take: (wanted, kept) => bucketOf(name, rate).take(wanted, kept),
      throttled: () => bucketOf(name, rate).throttled(),
    }),
    begin: (next, office) => {
      clock = next;
      buckets = new Map();
      aheadMs = 0;
      spreadingMs = 0;
      planned = [];
      iam = iamOf(office);
      host = noShells(clock);
      sessions = createSessionTable({ host, now });
      ssm = ssmFor(host, sessions);
      others = servicesOf();
    },
    iam: () => iam,
    sessions: () => sessions,
    plan: (fault, when) => void planned.push({ fault, ...when }),
    heal: () => {
      planned = [];
    },
    setSpreading: (ms) => {
      spreadingMs = ms;
    },
    startSession: (caller, { region, instanceId, documentName }) => {
      const request = {
        method: 'POST',
        path: '/',
        query: new URLSearchParams(),
        headers: {},
        body: Buffer.alloc(0),
        now: now(),
        service: 'ssm',
        region,
        requestId: 'history',
        operation: 'StartSession',
      };
      try {
        const input = { Target: instanceId, DocumentName: documentName };
        ssm.operations['StartSession']?.(input, caller, request);
        return true;
      } catch (error) {
        if (error instanceof AwsError) return false;
        throw error;
      }
    },
  };
};
