/**
 * local-aws for histories: its IAM, its evaluator and its SSM on a clock that stands still, in this process, called by the backend's
 * own AWS clients without a network in between. Sessions have no shell. Everything is fresh for each history.
 */
import path from 'node:path';
import type { HttpHandler } from '@smithy/protocol-http';
import { type Bucket, type Buckets, localBuckets, type Rate } from '../../backend/aws/budget.ts';
import { createAuthorise } from '../local-aws/authorization/authorise.ts';
import { callerOfSession } from '../local-aws/authorization/caller.ts';
import { createCredentialStore } from '../local-aws/authorization/credential-store.ts';
import { createIamService } from '../local-aws/iam/iam-service.ts';
import { createIamState, type IamRole, type IamState } from '../local-aws/iam/state.ts';
import { createAwsServer } from '../local-aws/server.ts';
import { AwsError, type SignedService } from '../local-aws/service.ts';
import type { EndedSession, SessionHost } from '../local-aws/session-host/host-types.ts';
import { createSessionTable, type SessionTable } from '../local-aws/ssm/session-table.ts';
import { createSsm } from '../local-aws/ssm/ssm.ts';
import { loadWorld } from '../local-aws/start.ts';
import { createStsService } from '../local-aws/sts.ts';
import { readWorld, type World } from '../local-aws/world.ts';
import { type Clock, createClock } from './clock.ts';
import { inProcess } from './transport.ts';

/** What may happen to one call of the backend. `slow` takes this long of the history's time. */
export type AwsFault = 'throttled' | 'fails-before' | 'fails-after' | 'answer-lost' | 'slow';

/** `begin` makes the next history's own. */
export type ChaosAws = {
  requestHandler: HttpHandler;
  world: World;
  begin: (clock: Clock) => void;
  clock: () => Clock;
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
  /** Asked before each call, and after it was done; when it says no, nothing comes through any more. */
  setAlive: (alive: (when: 'before' | 'after') => boolean) => void;
  /** A person starts a session with their personal role. @returns whether AWS let them. */
  startSession: (who: { role: IamRole; sessionName: string }, target: SessionTarget) => boolean;
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

/** @param addRoles puts what the provisioner would have made. */
export const openChaosAws = (addRoles: (iam: IamState, world: World) => void): ChaosAws => {
  const world = readWorld(path.resolve(import.meta.dirname, '..', 'local-aws', 'world.yml'));
  const realNow = (): Date => new Date();
  let clock = createClock(realNow());
  let spreadingMs = 0;
  let planned: Array<{ fault: AwsFault; after: number; times: number }> = [];
  let alive: (when: 'before' | 'after') => boolean = () => true;

  const now = (): Date => clock.now();
  let buckets = new Map<string, Bucket>();
  const bucketOf = (name: string, rate: Rate): Bucket => {
    const known = buckets.get(name) ?? localBuckets(now)(name, rate);
    buckets.set(name, known);
    return known;
  };
  const iam = createIamState({ now, spreadingDelayMs: () => spreadingMs });
  const credentials = createCredentialStore({ now: realNow });
  loadWorld(world, { iam, credentials });
  addRoles(iam, world);
  const clean = iam.snapshot();
  const authorise = createAuthorise({ state: iam, now });

  const ssmFor = (host: SessionHost, sessions: SessionTable) =>
    createSsm({ world, host, sessions, authorise, streamBase: () => 'ws://127.0.0.1:9', now });
  let host = noShells(clock);
  let sessions = createSessionTable({ host, now });
  let ssm = ssmFor(host, sessions);
  const always: SignedService[] = [
    createIamService({ state: iam, authorise, now }),
    // Keys are as old as they really are: the SDK goes by the real clock.
    createStsService({ state: iam, credentials, now: realNow }),
  ];

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
  const gone = (): AwsError => new AwsError('ServiceUnavailable', 'Whoever asked is dead.', 503);
  let hitting: AwsFault | null = null;
  const server = createAwsServer({
    now: realNow,
    credentials,
    services: () => [...always, ssm],
    unsignedRoutes: () => [],
    faults: {
      beforeCall: async () => {
        if (!alive('before')) throw gone();
        hitting = due();
        if (hitting === 'slow') clock.pass(slowMs);
        if (hitting === 'throttled') throw new AwsError('Throttling', 'Rate exceeded', 400);
        if (hitting === 'fails-before') throw new AwsError('InternalFailure', 'Something broke.', 500);
      },
      loseAnswer: () => {
        if (!alive('after')) throw gone();
        if (hitting === 'fails-after') throw new AwsError('InternalFailure', 'Something broke.', 500);
        return hitting === 'answer-lost';
      },
    },
    onFault: (error) => {
      throw error;
    },
  });

  return {
    requestHandler: inProcess(server),
    world,
    clock: () => clock,
    buckets: (name, rate) => ({
      take: (wanted, kept) => bucketOf(name, rate).take(wanted, kept),
      throttled: () => bucketOf(name, rate).throttled(),
    }),
    begin: (next) => {
      clock = next;
      buckets = new Map();
      spreadingMs = 0;
      planned = [];
      alive = () => true;
      iam.restore(clean);
      host = noShells(clock);
      sessions = createSessionTable({ host, now });
      ssm = ssmFor(host, sessions);
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
    setAlive: (next) => {
      alive = next;
    },
    startSession: ({ role, sessionName }, { region, instanceId, documentName }) => {
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
        ssm.operations['StartSession']?.(input, callerOfSession({ role, sessionName }), request);
        return true;
      } catch (error) {
        if (error instanceof AwsError) return false;
        throw error;
      }
    },
  };
};
