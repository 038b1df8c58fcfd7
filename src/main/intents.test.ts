import { describe, expect, it } from 'vitest';
import type { SavedDraft } from '../shared/desktop.ts';
import { createState } from './app-state.ts';
import { createAccessActions, createMainHandlers, exportTexts, type IntentDeps, signOutFrom } from './intents.ts';
import { PlainFault, Unreachable } from './ports.ts';
import { inMs, instance, snapshot } from './testing/snapshots.ts';

const draft: SavedDraft = { instances: [], durationSeconds: 900, reason: 'Written on a full disk', ticket: '' };

/** Handlers over a store on a full disk: everything that is kept fails. */
const onFullDisk = () => {
  const full = (): never => {
    throw new PlainFault('The settings could not be saved, the old ones are kept. Is the disk full?');
  };
  const state = createState(snapshot(), () => undefined);
  const logged: string[] = [];
  const deps: IntentDeps = {
    services: () => null,
    state,
    store: {
      settings: () => state.get().settings,
      change: full,
      favourites: () => [],
      setFavourites: full,
      draft: () => null,
      setDraft: full,
      organisation: () => null,
      setOrganisation: full,
      putAside: null,
    },
    setOrganisation: full,
    applySettings: full,
    showTerminals: full,
    askSavePath: full,
    openExternal: full,
    markOwnRead: full,
    log: (_level, what) => logged.push(what),
  };
  const access = createAccessActions(deps);
  return { state, access, handlers: createMainHandlers(deps, access), logged };
};

describe('a full disk', () => {
  it('keeps the draft in memory, and says that it could not be saved', () => {
    const { state, handlers } = onFullDisk();
    expect(() => handlers.saveDraft({ draft })).toThrow('Is the disk full?');
    expect(state.get().draft).toEqual(draft);
  });

  it('opens the form to ask again all the same', () => {
    const { state, access, logged } = onFullDisk();
    access.askAgain(draft);
    expect(state.get()).toMatchObject({ draft, navigation: { place: 'instances' } });
    expect(logged).toEqual(['a draft is kept in memory only']);
  });

  it('changes no setting and no favourite that is not kept', () => {
    const { state, handlers } = onFullDisk();
    const before = state.get();
    expect(() => handlers.saveSettings({ scheme: 'dark' })).toThrow('the old ones are kept');
    const instance = { accountId: '482011773306', region: 'eu-central-1', instanceId: 'i-0f3a9c1d7b24e8a61' };
    expect(() => handlers.toggleFavourite({ instance })).toThrow('the old ones are kept');
    expect(state.get()).toEqual(before);
  });
});

it.each([
  ['ends the terminals with the grants, also when the backend is away', true, ['g closed']],
  ['leaves the terminals with the grants', false, []],
])('signing out %s', async (_what, endGrants, wanted) => {
  const ended: string[] = [];
  const from = {
    signIn: { signOut: () => Promise.reject(new Unreachable('the backend')) },
    terminals: {
      tabs: () => [
        { id: 't', grantId: 'g', instance: instance('x'), phase: 'live' as const, sessionId: 's', since: inMs(0) },
      ],
      endAllOf: (grantId: string, why: string) => ended.push(`${grantId} ${why}`),
    },
  };
  await expect(signOutFrom(from, { endGrants })).rejects.toBeInstanceOf(Unreachable);
  expect(ended).toEqual(wanted);
});

it('an export is asked for part by part, and tells how far it is', async () => {
  const told: unknown[] = [];
  const state = createState(snapshot(), () => undefined);
  const cursor = { part: 'rows' as const, to: 3, rows: 3, after: 2 };
  const asked: unknown[] = [];
  const parts = [
    { text: 'one\ntwo\n', rows: 2, of: 3, next: cursor },
    { text: 'three\n', rows: 1, of: 3, next: null },
  ];
  const backend = {
    exportAudit: async (input: unknown) => {
      asked.push(input);
      return parts[asked.length - 1] ?? { text: '', rows: 0, of: 3, next: null };
    },
  };
  const wish = { format: 'jsonl' as const, requestId: null };
  const texts: string[] = [];
  for await (const text of exportTexts({ state }, backend, wish)) {
    texts.push(text);
    told.push(state.get().exporting);
  }
  expect(texts.join('')).toBe('one\ntwo\nthree\n');
  expect(asked).toEqual([
    { ...wish, cursor: null },
    { ...wish, cursor },
  ]);
  expect(told).toEqual([
    { rows: 2, of: 3 },
    { rows: 3, of: 3 },
  ]);
});
