/** A person without windows: the app's real main-process modules (sign-in, backend client, terminals), driven by calls instead of clicks. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';
import { createBackendClient } from '../../src/main/backend-client.ts';
import type { BackendClient, SignIn, TerminalHost, TokenVault } from '../../src/main/ports.ts';
import { createSignIn } from '../../src/main/sign-in.ts';
import { createTerminalHost } from '../../src/main/terminal/terminal-host.ts';
import type { AccessRequest, Grant, Instance, RequestDraft } from '../../src/shared/access.ts';
import { instanceQuery, type Overview } from '../../src/shared/views.ts';
import type { Stack } from '../start/stack.ts';

const patienceMs = 90_000;
const lookMs = 10;

/**
 * Looks again and again, every 10 ms unless told otherwise, until there is an answer.
 * @throws Error saying what was waited for, after 90 s.
 */
export const until = async <T>(
  what: string,
  look: () => T | null | Promise<T | null>,
  everyMs = lookMs,
): Promise<T> => {
  for (const end = performance.now() + patienceMs; ; await sleep(everyMs)) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`Waited ${patienceMs / 1000} s for ${what}.`);
  }
};

const memoryVault = (): TokenVault => {
  const secrets = new Map<string, string>();
  return {
    persists: false,
    get: (name) => secrets.get(name) ?? null,
    put: (name, secret) => void secrets.set(name, secret),
    delete: (name) => void secrets.delete(name),
  };
};

/** Does what a person does on the sign-in page: chooses who they are, allows it, follows the way back to the app. */
const allowInBrowser = async (address: string, userName: string): Promise<void> => {
  const url = new URL(address);
  const form = new URLSearchParams(url.searchParams);
  form.set('user_name', userName);
  form.set('decision', 'allow');
  const answer = await fetch(url.origin + url.pathname, { method: 'POST', body: form, redirect: 'manual' });
  const back = answer.headers.get('location');
  if (back === null) throw new Error(`The sign-in page answered ${answer.status} and sent nobody back.`);
  await (await fetch(back)).text();
};

export type PersonAtApi = {
  backend: BackendClient;
  signIn: SignIn;
  host: TerminalHost;
  /** As last fetched: after each change that the event stream tells of. */
  overview: () => Overview;
  instance: (name: string) => Promise<Instance>;
  /** Asks for a shell on one instance that a rule gives at once. */
  submit: (instance: Instance, durationSeconds: number) => Promise<AccessRequest>;
  connect: (request: AccessRequest) => ReturnType<BackendClient['connect']>;
  /** Waits until the grant is in this state as the backend tells it. */
  grantIn: (grantId: string, state: Grant['state']) => Promise<Grant>;
  close: () => Promise<void>;
};

const created = z.object({ grantIds: z.tuple([z.string()]) });

export type AtApi = {
  userName: string;
  /** Absolute path of the official plugin, to be used instead of our session client. */
  officialPlugin?: string;
  /** Absolute path of the session client's program; the source when left out, which needs no build and starts slower. */
  sessionClient?: string;
};

export type SignedIn = { backend: BackendClient; signIn: SignIn; faults: unknown[] };

/** Signs somebody of the world in, without listening to anything yet. `AWS_ENDPOINT_URL` of this process must point to the stack already. */
export const signInAsPerson = async (stack: Stack, userName: string): Promise<SignedIn> => {
  let signIn: SignIn | null = null;
  const backend = createBackendClient({
    url: stack.backendUrl,
    token: () => signIn?.backendToken() ?? null,
    onUnauthorized: () => undefined,
  });
  const { organisation } = stack.world;
  const faults: unknown[] = [];
  const signedIn = createSignIn({
    organisation: {
      backendUrl: stack.backendUrl,
      startUrl: organisation.startUrl,
      ssoRegion: organisation.region,
    },
    backend,
    vault: memoryVault(),
    openExternal: (address) => allowInBrowser(address, userName),
    notAws: [`AWS_ENDPOINT_URL = ${stack.localAwsUrl}`],
    now: () => new Date(),
    onFault: (_id, error) => faults.push(error),
  });
  signIn = signedIn;
  await signedIn.start({ how: 'browser' });
  await until(`${userName} to be signed in`, () => {
    const { state } = signedIn.state();
    if (state === 'failed') throw new Error(`${userName} could not sign in.`, { cause: faults.at(-1) });
    return state === 'signed-in' ? true : null;
  });
  return { backend, signIn: signedIn, faults };
};

/** Signs somebody of the world in and hears of every change. `AWS_ENDPOINT_URL` of this process must point to the stack already. */
export const personAtApi = async (
  stack: Stack,
  { userName, officialPlugin, sessionClient }: AtApi,
): Promise<PersonAtApi> => {
  const { backend, signIn: signedIn, faults } = await signInAsPerson(stack, userName);
  let overview = await backend.overview();
  const stop = backend.subscribe(
    {
      onChange: () => {
        backend.overview().then(
          (next) => {
            overview = next;
          },
          (error: unknown) => faults.push(error),
        );
      },
      onReach: () => undefined,
      onOver: () => faults.push(new Error('the stream of changes ended')),
    },
    null,
  );
  const host = createTerminalHost({
    credentialsFor: (accountId) => signedIn.credentialsFor(accountId),
    backend,
    grant: (id) => overview.grants.find((grant) => grant.id === id) ?? null,
    usualSpreadingMs: () => null,
    clock: () => null,
    settings: () => ({
      sessionClient: officialPlugin === undefined ? 'built-in' : 'official',
      officialPluginPath: officialPlugin ?? null,
    }),
    sessionClient: {
      command: process.execPath,
      args: [sessionClient ?? path.resolve(import.meta.dirname, '../../src/session-client/main.ts')],
      env: {},
    },
    notAws: [`AWS_ENDPOINT_URL = ${stack.localAwsUrl}`],
    now: () => new Date(),
    log: (level, _what, facts) => {
      if (level === 'error') faults.push(facts?.['error']);
    },
  });

  return {
    backend,
    signIn: signedIn,
    host,
    overview: () => overview,
    instance: (name) =>
      until(`${name} to be in the inventory`, async () => {
        const page = await backend.instances(instanceQuery.parse({ search: name }));
        return page.items.find((one) => one.name === name) ?? null;
      }),
    submit: ({ accountId, region, instanceId }, durationSeconds) => {
      const draft: RequestDraft = {
        instances: [{ accountId, region, instanceId }],
        capability: 'shell',
        durationSeconds,
        reason: 'Measure how long this takes',
        ticket: null,
      };
      return backend.submit(draft);
    },
    connect: (request) => backend.connect({ grantId: created.parse(request).grantIds[0] }),
    grantIn: (grantId, state) =>
      until(`grant ${grantId} to be ${state}`, () => {
        const grant = overview.grants.find(({ id }) => id === grantId);
        if (grant?.state === 'failed' && state !== 'failed') throw new Error(`The grant failed: ${grant.advice}`);
        return grant?.state === state ? grant : null;
      }),
    close: async () => {
      await host.close();
      stop();
    },
  };
};

/** Opens a terminal and gathers what it says. */
export const openTerminal = async (
  person: PersonAtApi,
  grant: Grant,
  connection: Parameters<TerminalHost['open']>[1],
) => {
  const [instance] = grant.instances;
  if (instance === undefined) throw new Error('The grant has no instance.');
  const listeners = new Set<(chunk: string) => void>();
  let tabId: string | null = null;
  person.host.onOutput((id, chunk) => {
    if (id !== tabId) return;
    person.host.acknowledge(id, chunk.length);
    for (const listener of listeners) listener(chunk);
  });
  const id = await person.host.open(grant, connection, instance);
  tabId = id;
  const phase = () => person.host.tabs().find((tab) => tab.id === id);
  return {
    id,
    phase,
    onOutput: (listener: (chunk: string) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    type: (keys: string) => person.host.keystrokes(id, keys),
    /** Resolves at the prompt of the shell. @throws Error with the words of the failure. */
    prompt: () =>
      until('a prompt', () => {
        const tab = phase();
        if (tab?.phase === 'failed') throw new Error(`${tab.what} ${tab.advice}`);
        if (tab?.phase === 'ended')
          throw new Error(`The terminal ended before its prompt: ${tab.why}, ${tab.exitCode}.`);
        return /[$#] $/.test(stripVTControlCharacters(person.host.scrollback(id))) ? true : null;
      }),
  };
};
export type OpenTerminal = Awaited<ReturnType<typeof openTerminal>>;
