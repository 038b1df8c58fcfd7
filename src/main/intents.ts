/** What the windows' intents do: one function each, after the door has checked sender, schema and input. */
import { type InstanceRef, refKey } from '../shared/access.ts';
import type { Organisation, SavedDraft, Settings } from '../shared/desktop.ts';
import type { EndedGrant } from '../shared/kill-switch.ts';
import { Refusal } from '../shared/refusal.ts';
import type { ExportCursor, ExportPart, ExportWish, ExtendOutcome } from '../shared/views.ts';
import { createAdminHandlers } from './admin-intents.ts';
import type { StateHolder } from './app-state.ts';
import type { MainHandlers, TerminalHandlers } from './ipc.ts';
import type { Log } from './log.ts';
import { PlainFault, type SignIn, type SignOutWish, type TerminalHost } from './ports.ts';
import { saveFile } from './save-file.ts';
import type { Services } from './services.ts';
import type { SettingsStore } from './settings.ts';
import { plainText } from './terminal/plain-text.ts';

/** Asks where to save, with a title and a suggested name; null when the person cancelled. */
type AskSavePath = (title: string, suggested: string) => Promise<string | null>;

export type IntentDeps = {
  /** Null until the organisation is known. */
  services: () => Services | null;
  state: StateHolder;
  store: SettingsStore;
  setOrganisation: (organisation: Organisation) => Promise<void>;
  /** Puts settings into force: colour scheme, login item. */
  applySettings: (settings: Settings) => void;
  showTerminals: (tabId: string) => void;
  askSavePath: AskSavePath;
  openExternal: (url: string) => Promise<void>;
  markOwnRead: (noticeIds: readonly string[]) => void;
  log: Log;
};

/** What tray, main window and terminal window all do with access. */
export type AccessActions = {
  connect(grantId: string, instance: InstanceRef): Promise<string>;
  extend(grantId: string, bySeconds: number): Promise<ExtendOutcome>;
  end(grantId: string, comment: string | null): Promise<EndedGrant>;
  /** Lays a draft ready and opens the request form. */
  askAgain(draft: SavedDraft): void;
};

/**
 * Takes a draft over into the snapshot, and onto the disk if it can be: what it is for (a request that was sent, a form that opens) must not
 * fail because a disk is full.
 */
const takeDraft = ({ state, store, log }: IntentDeps, draft: SavedDraft | null): void => {
  state.set({ draft });
  try {
    store.setDraft(draft);
  } catch (error) {
    if (!(error instanceof PlainFault)) throw error;
    log('warn', 'a draft is kept in memory only', { error });
  }
};

const ownNoticeId = /^[0-9a-f]{8}-/;

const needed = (deps: IntentDeps): Services => {
  const services = deps.services();
  if (services === null)
    throw new Refusal('sign_in_needed', { message: 'Say first which organisation you belong to.' });
  return services;
};

export const createAccessActions = (deps: IntentDeps): AccessActions => {
  const { state } = deps;
  return {
    async connect(grantId, instance) {
      const { backend, terminals, watch } = needed(deps);
      const { grant, connection } = await backend.connect({ grantId });
      const target = grant.instances.find((each) => refKey(each) === refKey(instance));
      if (target === undefined)
        throw new Refusal('not_found', { message: 'This access does not cover that instance.' });
      const tabId = await terminals.open(grant, connection, target);
      deps.showTerminals(tabId);
      void watch.refresh();
      return tabId;
    },
    async extend(grantId, bySeconds) {
      const { backend, watch } = needed(deps);
      const outcome = await backend.extend({ grantId, bySeconds });
      await watch.refresh();
      return outcome;
    },
    async end(grantId, comment) {
      const { backend, terminals, watch } = needed(deps);
      const grant = await backend.end({ grantId, comment });
      terminals.endAllOf(grantId, 'closed');
      await watch.refresh();
      return grant;
    },
    askAgain(draft) {
      takeDraft(deps, draft);
      state.navigate('instances', null);
    },
  };
};

const fileNameOf = (format: 'jsonl' | 'csv', requestId: string | null): string =>
  `curfew-audit${requestId === null ? '' : `-${requestId}`}.${format}`;

/** Every part of an export, told to the windows as it comes: a trail of years takes minutes. */
export async function* exportTexts(
  { state }: Pick<IntentDeps, 'state'>,
  backend: Pick<Services['backend'], 'exportAudit'>,
  wish: ExportWish,
): AsyncGenerator<string> {
  let rows = 0;
  let cursor: ExportCursor | null = null;
  do {
    const part: ExportPart = await backend.exportAudit({ ...wish, cursor });
    rows += part.rows;
    cursor = part.next;
    state.set({ exporting: { rows, of: part.of } });
    yield part.text;
  } while (cursor !== null);
}

/** Signs out. Terminals that were to end are ended whatever the backend answers: the person is signed out here either way. */
export const signOutFrom = async (
  from: { signIn: Pick<SignIn, 'signOut'>; terminals: Pick<TerminalHost, 'tabs' | 'endAllOf'> },
  wish: SignOutWish,
): Promise<void> => {
  const grantIds = new Set(from.terminals.tabs().map((tab) => tab.grantId));
  try {
    await from.signIn.signOut(wish);
  } finally {
    if (wish.endGrants) for (const grantId of grantIds) from.terminals.endAllOf(grantId, 'closed');
  }
};

export const createMainHandlers = (deps: IntentDeps, access: AccessActions): MainHandlers => {
  const { state, store } = deps;
  const services = () => needed(deps);
  const refreshed = async <Value>(value: Value): Promise<Value> => {
    await services().watch.refresh();
    return value;
  };
  return {
    ...createAdminHandlers({ services, state }),
    async setOrganisation(organisation) {
      await deps.setOrganisation(organisation);
      return null;
    },
    async signIn(wish) {
      await services().signIn.start(wish);
      return null;
    },
    listProfiles: async () => ({ profiles: await services().signIn.profiles() }),
    cancelSignIn() {
      services().signIn.cancel();
      return null;
    },
    async reopenBrowser() {
      await services().signIn.reopenBrowser();
      return null;
    },
    async signOut({ endGrants, everywhere }) {
      await signOutFrom(services(), { endGrants, ...(everywhere ? { everywhere } : {}) });
      return null;
    },
    searchInstances: (query) => services().backend.instances(query),
    async refreshInventory() {
      await services().backend.refreshInventory();
      return refreshed(null);
    },
    previewRequest: (draft) => services().backend.preview(draft),
    submitRequest: async (draft) => {
      const request = await services().backend.submit(draft);
      takeDraft(deps, null);
      return refreshed(request);
    },
    withdrawRequest: async (input) => refreshed(await services().backend.withdraw(input)),
    openCard: (input) => services().backend.card(input),
    async claimRequest(input) {
      await services().backend.claim(input);
      return null;
    },
    decide: async (input) => refreshed(await services().backend.decide(input)),
    connect: async ({ grantId, instance }) => ({ tabId: await access.connect(grantId, instance) }),
    extend: ({ grantId, bySeconds }) => access.extend(grantId, bySeconds),
    endGrant: ({ grantId, comment }) => access.end(grantId, comment),
    showTerminal({ tabId }) {
      if (!state.get().terminals.some((tab) => tab.id === tabId)) throw new Refusal('not_found');
      deps.showTerminals(tabId);
      return null;
    },
    listAudit: (query) => services().backend.audit(query),
    openStory: (input) => services().backend.story(input),
    async exportAudit(wish) {
      const { backend } = services();
      const file = await deps.askSavePath('Export the audit trail', fileNameOf(wish.format, wish.requestId));
      if (file === null) return null;
      try {
        await saveFile('The audit trail', file, exportTexts(deps, backend, wish));
        return { path: file, rows: state.get().exporting?.of ?? 0 };
      } finally {
        state.set({ exporting: null });
      }
    },
    async markRead({ noticeIds }) {
      const own = noticeIds.filter((id) => ownNoticeId.test(id));
      deps.markOwnRead(own);
      const theirs = noticeIds.filter((id) => !ownNoticeId.test(id));
      if (theirs.length > 0) {
        await services().backend.markRead({ noticeIds: theirs });
        await services().watch.refresh();
      }
      return null;
    },
    saveDraft({ draft }) {
      state.set({ draft });
      store.setDraft(draft);
      return null;
    },
    saveSettings(part) {
      const settings = store.change(part);
      deps.applySettings(settings);
      state.set({ settings });
      return settings;
    },
    toggleFavourite({ instance }) {
      const { favourites } = state.get();
      const others = favourites.filter((each) => refKey(each) !== refKey(instance));
      const next = others.length === favourites.length ? [instance, ...favourites].slice(0, 200) : others;
      store.setFavourites(next);
      state.set({ favourites: next });
      return null;
    },
    async retryBackend() {
      const { watch, signIn } = services();
      if (signIn.state().state === 'signed-in') await watch.refresh();
      else await watch.introduce();
      return null;
    },
  };
};

export type TerminalIntentDeps = {
  services: () => Services | null;
  state: StateHolder;
  access: AccessActions;
  selectTab: (tabId: string) => void;
  showMain: () => void;
  openExternal: (url: string) => Promise<void>;
  askSavePath: AskSavePath;
};

export const createTerminalHandlers = (deps: TerminalIntentDeps): TerminalHandlers => {
  const { access, state } = deps;
  const host = () => {
    const services = deps.services();
    if (services === null) throw new Refusal('sign_in_needed');
    return services.terminals;
  };
  const tabOf = (tabId: string) => {
    const tab = state.get().terminals.find((each) => each.id === tabId);
    if (tab === undefined) throw new Refusal('not_found', { message: 'This terminal is closed.' });
    return tab;
  };
  const refOf = ({ accountId, region, instanceId }: InstanceRef): InstanceRef => ({ accountId, region, instanceId });
  return {
    keystrokes({ tabId, data }) {
      host().keystrokes(tabId, data);
      return null;
    },
    resize({ tabId, cols, rows }) {
      host().resize(tabId, cols, rows);
      return null;
    },
    acknowledge({ tabId, characters }) {
      host().acknowledge(tabId, characters);
      return null;
    },
    selectTab({ tabId }) {
      deps.selectTab(tabOf(tabId).id);
      return null;
    },
    async newTab({ tabId }) {
      const { grantId, instance } = tabOf(tabId);
      await access.connect(grantId, refOf(instance));
      return null;
    },
    closeTab({ tabId }) {
      host().closeTab(tabId);
      return null;
    },
    extend: ({ tabId, bySeconds }) => access.extend(tabOf(tabId).grantId, bySeconds),
    async end({ tabId }) {
      await access.end(tabOf(tabId).grantId, null);
      return null;
    },
    askAgain({ tabId }) {
      const { grantId, instance } = tabOf(tabId);
      const grant = state.get().overview?.grants.find((each) => each.id === grantId);
      access.askAgain({
        instances: (grant?.instances ?? [instance]).map(refOf),
        durationSeconds: grant?.durationSeconds ?? 3600,
        reason: grant?.reason ?? '',
        ticket: grant?.ticket ?? '',
      });
      deps.showMain();
      return null;
    },
    async saveText({ tabId }) {
      const { instance } = tabOf(tabId);
      const name = `${instance.name || instance.instanceId}.txt`.replaceAll(/[^\w.-]/g, '-');
      const file = await deps.askSavePath('Save the text of this terminal', name);
      if (file !== null) await saveFile('The text', file, [plainText(host().scrollback(tabId))]);
      return null;
    },
    async openLink({ url }) {
      // Remote output may print any link: https only, nothing in it but an address (threats APP-10).
      const isPlain = URL.canParse(url) && new URL(url).protocol === 'https:' && new URL(url).username === '';
      if (!isPlain) throw new Refusal('invalid_input', { path: 'url', message: 'is not an https address' });
      await deps.openExternal(new URL(url).href);
      return null;
    },
  };
};
