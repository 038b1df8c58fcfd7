import { describe, expect, it } from 'vitest';
import { mainIntents } from '../shared/desktop.ts';
import { Refusal } from '../shared/refusal.ts';
import {
  createDoor,
  inputFreshMs,
  type Knock,
  largestIntentBytes,
  type MainHandlers,
  type TerminalHandlers,
} from './ipc.ts';
import { PlainFault, Unreachable } from './ports.ts';
import type { SenderFacts } from './windows.ts';

const mainUrl = 'file:///app/out/renderer/main-window/index.html';
const terminalUrl = 'file:///app/out/renderer/terminal-window/index.html';
const grantId = `grt_${'a'.repeat(26)}`;
const tabId = '7f8c1c0e-6b1e-4f0c-9f51-0a4b5c6d7e8f';

type Sender = 'main' | 'terminal' | 'stranger';
type Listener = (event: Knock<Sender>, ...values: unknown[]) => Promise<unknown>;

/** A door with handlers that write down what reached them. */
const build = (options: { lastInputAt?: number | null; result?: () => unknown; saysYes?: boolean } = {}) => {
  const asked: string[] = [];
  const nowMs = 1_000_000;
  const handlers = new Map<string, Listener>();
  const ready: string[] = [];
  const readyListeners = new Map<string, (event: Knock<Sender>) => void>();
  const reached: Array<[intent: string, input: unknown]> = [];
  const logged: Array<[what: string, facts: Record<string, unknown>]> = [];
  const facts: Record<Sender, SenderFacts | null> = {
    main: { kind: 'main', url: mainUrl, lastInputAt: options.lastInputAt ?? null },
    terminal: { kind: 'terminal', url: terminalUrl, lastInputAt: options.lastInputAt ?? null },
    stranger: null,
  };
  const door = createDoor<Sender>({
    ipcMain: {
      handle: (channel, listener) => handlers.set(channel, listener),
      on: (channel, listener) => readyListeners.set(channel, listener),
    },
    factsOf: (sender) => facts[sender],
    now: () => new Date(nowMs),
    log: (_level, what, given = {}) => logged.push([what, given]),
    askPerson: async (intent) => {
      asked.push(intent);
      return options.saysYes ?? false;
    },
  });
  const answering = new Proxy(Object.create(null), {
    get: (_target, intent) => (input: unknown) => {
      reached.push([String(intent), input]);
      return options.result?.() ?? null;
    },
  });
  const mainHandlers: MainHandlers = answering;
  const terminalHandlers: TerminalHandlers = answering;
  door.serveMain(mainHandlers);
  door.serveTerminal(terminalHandlers);
  door.onReady('main', () => ready.push('main'));
  const knock = (channel: string, event: Knock<Sender>, ...values: unknown[]): Promise<unknown> => {
    const listener = handlers.get(channel);
    if (listener === undefined) throw new Error(`nobody serves ${channel}`);
    return listener(event, ...values);
  };
  const fromMain: Knock<Sender> = { sender: 'main', senderFrame: { url: mainUrl, parent: null } };
  const fromTerminal: Knock<Sender> = { sender: 'terminal', senderFrame: { url: terminalUrl, parent: null } };
  return { handlers, knock, fromMain, fromTerminal, reached, logged, ready, readyListeners, nowMs, asked };
};

const refused = (code: string) => ({ ok: false, failure: expect.objectContaining({ kind: 'refusal', code }) });

describe('the door between windows and main', () => {
  it('serves every intent of the contract and no more', () => {
    const { handlers } = build();
    const served = [...handlers.keys()].filter((channel) => channel.startsWith('main:')).sort();
    expect(served).toEqual(
      Object.keys(mainIntents)
        .map((intent) => `main:${intent}`)
        .sort(),
    );
    expect([...handlers.keys()].filter((channel) => channel.startsWith('terminal:'))).toHaveLength(11);
  });

  it('lets a window do what is its own', async () => {
    const { knock, fromMain, reached } = build({ result: () => 'done' });
    expect(await knock('main:claimRequest', fromMain, { requestId: `req_${'b'.repeat(26)}` })).toEqual({
      ok: true,
      value: 'done',
    });
    expect(reached).toEqual([['claimRequest', { requestId: `req_${'b'.repeat(26)}` }]]);
  });

  it.each([
    ['no frame at all', { sender: 'main', senderFrame: null }],
    ['a frame inside the window', { sender: 'main', senderFrame: { url: mainUrl, parent: {} } }],
    ['another address', { sender: 'main', senderFrame: { url: 'https://evil.example/', parent: null } }],
    ['the same page with a fragment', { sender: 'main', senderFrame: { url: `${mainUrl}#x`, parent: null } }],
    ['a sender that is no window of ours', { sender: 'stranger', senderFrame: { url: mainUrl, parent: null } }],
    ['the other kind of window', { sender: 'terminal', senderFrame: { url: terminalUrl, parent: null } }],
  ] satisfies Array<[string, Knock<Sender>]>)('APP-09 refuses %s', async (_what, event) => {
    const { knock, reached, logged } = build();
    expect(await knock('main:refreshInventory', event, {})).toEqual(refused('not_allowed'));
    expect(reached).toEqual([]);
    expect(logged[0]?.[0]).toBe('message from the wrong place');
  });

  it('APP-09 refuses the main window on the terminal channels', async () => {
    const { knock, fromMain, reached } = build();
    expect(await knock('terminal:keystrokes', fromMain, { tabId, data: 'x' })).toEqual(refused('not_allowed'));
    expect(reached).toEqual([]);
  });

  it('APP-09 refuses what no schema takes, and names the part', async () => {
    const { knock, fromMain, reached } = build();
    const answer = await knock('main:endGrant', fromMain, { grantId: 'grt_*', comment: null });
    expect(answer).toEqual({ ok: false, failure: expect.objectContaining({ code: 'invalid_input', path: 'grantId' }) });
    expect(await knock('main:refreshInventory', fromMain, { extra: 1 })).toEqual(refused('invalid_input'));
    expect(await knock('main:refreshInventory', fromMain)).toEqual(refused('invalid_input'));
    expect(await knock('main:refreshInventory', fromMain, {}, {})).toEqual(refused('invalid_input'));
    const round: Record<string, unknown> = {};
    round['self'] = round;
    expect(await knock('main:refreshInventory', fromMain, round)).toEqual(refused('invalid_input'));
    expect(reached).toEqual([]);
  });

  it('APP-09 refuses more than 256 KiB before it parses', async () => {
    const { knock, fromMain } = build();
    const huge = { draft: { instances: [], durationSeconds: 60, reason: 'x'.repeat(largestIntentBytes), ticket: '' } };
    expect(await knock('main:saveDraft', fromMain, huge)).toEqual(refused('too_large'));
  });

  it.each([
    ['main:endGrant', { grantId, comment: null }],
    ['main:signOut', { endGrants: true }],
    ['main:decide', { requestId: `req_${'b'.repeat(26)}`, seenHash: '0'.repeat(64), verdict: 'no', comment: 'no' }],
  ])('APP-09 wants a real key or click just before %s', async (channel, input) => {
    const never = build();
    expect(await never.knock(channel, never.fromMain, input)).toEqual(refused('not_allowed'));
    const old = build({ lastInputAt: never.nowMs - inputFreshMs - 1 });
    expect(await old.knock(channel, old.fromMain, input)).toEqual(refused('not_allowed'));
    const later = build({ lastInputAt: never.nowMs + 1 });
    expect(await later.knock(channel, later.fromMain, input)).toEqual(refused('not_allowed'));
    const fresh = build({ lastInputAt: never.nowMs - inputFreshMs });
    expect(await fresh.knock(channel, fresh.fromMain, input)).toEqual({ ok: true, value: null });
    expect([...never.reached, ...old.reached, ...later.reached]).toEqual([]);
  });

  it('APP-09 wants it for the end in a terminal too, and not for typing', async () => {
    const { knock, fromTerminal, reached } = build();
    expect(await knock('terminal:end', fromTerminal, { tabId })).toEqual(refused('not_allowed'));
    expect(await knock('terminal:keystrokes', fromTerminal, { tabId, data: 'ls\r' })).toEqual({
      ok: true,
      value: null,
    });
    expect(reached.map(([intent]) => intent)).toEqual(['keystrokes']);
  });

  it('APP-09 asks the person outside of the window when a screen reader pressed the button, and only then', async () => {
    const input = { grantId, comment: null };
    const yes = build({ saysYes: true });
    expect(await yes.knock('main:endGrant', yes.fromMain, input)).toEqual({ ok: true, value: null });
    const no = build({ saysYes: false });
    expect(await no.knock('main:endGrant', no.fromMain, input)).toEqual(refused('not_allowed'));
    expect([yes.asked, no.asked, no.reached]).toEqual([['endGrant'], ['endGrant'], []]);
    const key = build({ lastInputAt: yes.nowMs });
    await key.knock('main:endGrant', key.fromMain, input);
    const harmless = build();
    await harmless.knock('main:claimRequest', harmless.fromMain, { requestId: `req_${'b'.repeat(26)}` });
    const wrong = build({ saysYes: true });
    await wrong.knock('main:endGrant', wrong.fromTerminal, input);
    expect([...key.asked, ...harmless.asked, ...wrong.asked]).toEqual([]);
  });

  it('says a refusal with its advice, an unreachable backend by name, a fault by its id only', async () => {
    const say = async (error: Error) => {
      const { knock, fromMain, logged } = build({
        result: () => {
          throw error;
        },
      });
      return { answer: await knock('main:refreshInventory', fromMain, {}), logged };
    };
    expect((await say(new Refusal('paused'))).answer).toEqual(refused('paused'));
    expect((await say(new Unreachable('backend curfew.example.com'))).answer).toEqual({
      ok: false,
      failure: { kind: 'unreachable', what: 'backend curfew.example.com' },
    });
    const fault = await say(new Error('secret AKIAEXAMPLE'));
    expect(fault.answer).toEqual({
      ok: false,
      failure: expect.objectContaining({ kind: 'fault', faultId: expect.any(String) }),
    });
    expect(JSON.stringify(fault.answer)).not.toContain('AKIA');
    expect(fault.logged[0]?.[1]).toHaveProperty('faultId');
    expect((await say(new PlainFault('The disk is full.'))).answer).toEqual({
      ok: false,
      failure: expect.objectContaining({ kind: 'fault', what: 'The disk is full.' }),
    });
  });

  it('APP-09 gives no state to a frame that only says it is ready', () => {
    const { readyListeners, ready, fromMain } = build();
    readyListeners.get('main:ready')?.({ sender: 'main', senderFrame: { url: mainUrl, parent: {} } });
    readyListeners.get('main:ready')?.({ sender: 'terminal', senderFrame: { url: terminalUrl, parent: null } });
    expect(ready).toEqual([]);
    readyListeners.get('main:ready')?.(fromMain);
    expect(ready).toEqual(['main']);
  });
});
