/**
 * The app, put together in order: read from top to bottom. Owns state and secrets; windows only draw and ask.
 */
import path from 'node:path';
import { app, dialog, ipcMain, nativeTheme, powerMonitor, safeStorage, shell } from 'electron';
import type { Notice } from '../shared/access.ts';
import { type AppState, channels, nothingKnown, type Organisation, type Settings } from '../shared/desktop.ts';
import { Refusal } from '../shared/refusal.ts';
import { backendNow, createState, terminalStateOf } from './app-state.ts';
import { checkBackend } from './backend-client.ts';
import { type Config, ConfigProblem, processEnvironment, readConfig } from './config.ts';
import { dangerousSwitch } from './dangerous-switches.ts';
import { placeOfLink } from './deep-link.ts';
import { createEndings } from './endings.ts';
import { createAccessActions, createMainHandlers, createTerminalHandlers, type IntentDeps } from './intents.ts';
import { createDoor, failureOf } from './ipc.ts';
import { createLog } from './log.ts';
import { createNoticeBox } from './notice-box.ts';
import { createNotifier, placeOf } from './notifications.ts';
import { checkOrganisation, mayOpenOutside } from './outside.ts';
import { signInNotice, warningsDue } from './own-notices.ts';
import { createServices, type Services } from './services.ts';
import { openSettings } from './settings.ts';
import { sweepSessionLinks } from './terminal/session-link.ts';
import { createTokenVault } from './token-vault.ts';
import { createTray } from './tray.ts';
import type { TrayWish } from './tray-menu.ts';
import { createWindows } from './windows.ts';

const now = () => new Date();
const timers = {
  after(ms: number, run: () => void) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
/** Asked in a dialog of the desktop when no key or click was seen before it. */
const askedOutside: Record<string, string> = {
  decide: 'Send your decision on this request?',
  endGrant: 'End this access now?',
  endAllOn: 'End all access of this person to this instance now?',
  pullSwitch: 'Pull this kill switch now?',
  liftSwitch: 'Lift this kill switch now?',
  end: 'End this access now?',
  signOut: 'Sign out of Curfew?',
};
/** Electron gives its own binary, the stand-in gives Node: both run a program of ours with this set. */
const sessionClientOf = (out: string) => ({
  command: process.execPath,
  args: [path.join(out, 'session-client', 'main.js')],
  env: { ELECTRON_RUN_AS_NODE: '1' },
});

const start = (config: Config): void => {
  // 1. What is there already: folders, log, settings, keychain.
  const out = path.resolve(import.meta.dirname, '..');
  const userData = app.getPath('userData');
  const log = createLog(path.join(userData, 'logs'), now);
  process.on('unhandledRejection', (error) => void failureOf(error, 'something nobody waited for', log));
  const store = openSettings(userData, now);
  const vault = createTokenVault({
    safeStorage,
    folder: userData,
    platform: process.platform,
    onProblem: (error) => log('error', 'the sign-in could not be kept on disk', { error }),
  });
  sweepSessionLinks(now).catch((error: unknown) =>
    log('warn', 'links that were left behind were not swept', { error }),
  );
  log('info', 'started', { version: app.getVersion(), persists: vault.persists, notAws: config.notAws });

  // 2. The snapshot, and who sees it.
  const state = createState(
    firstState(config, store.organisation(), vault.persists),
    (run) => void timers.after(20, run),
  );
  state.set({ settings: store.settings(), favourites: store.favourites(), draft: store.draft() });
  let activeTab: string | null = null;
  let services: Services | null = null;
  const windows = createWindows({
    out,
    now,
    log,
    // Live terminals go on without being seen; the tray shows them again.
    keepsOpen: (kind) => kind === 'terminal' && state.get().terminals.some((tab) => tab.phase !== 'ended'),
  });
  const pushMain = (snapshot: AppState) => windows.push('main', channels.mainState, snapshot);
  const endings = createEndings(() => performance.now());
  const pushTerminal = (snapshot: AppState) => {
    const narrow = terminalStateOf(snapshot, activeTab, endings.grants(snapshot));
    windows.push('terminal', channels.terminalState, narrow);
  };
  const selectTab = (tabId: string): void => {
    activeTab = tabId;
    pushTerminal(state.get());
  };

  // 3. Notices: the backend's and our own, in the inbox and on the desktop.
  const notices = createNoticeBox(state, now);
  const openNotice = (notice: Notice): void => {
    const { place, id } = placeOf(notice);
    state.navigate(place, id);
    windows.show('main');
  };
  const notifier = createNotifier({
    since: new Date(now().getTime() - 5 * 60_000),
    enabled: () => state.get().settings.notifications,
    open: openNotice,
  });

  // 4. The organisation's services: sign-in, backend, terminals.
  const openExternal = async (url: string): Promise<void> => {
    if (!mayOpenOutside(url, config.notAws))
      throw new Refusal('invalid_input', { path: 'url', message: 'is not an https address' });
    await shell.openExternal(url);
  };
  const takeOrganisation = async (organisation: Organisation): Promise<void> => {
    checkOrganisation(organisation);
    await services?.close();
    const made = createServices(organisation, {
      state,
      vault,
      openExternal,
      sessionClient: sessionClientOf(out),
      notAws: config.notAws,
      now,
      timers,
      log,
      grants: () => endings.grants(state.get()),
      onOverview: () => {
        endings.heard(state.get(), now());
        notices.merge();
      },
      onOutput: (tabId, chunk) => windows.push('terminal', channels.terminalOutput, tabId, chunk),
    });
    services = made;
    let before = made.signIn.state();
    made.signIn.onChange(() => {
      const after = made.signIn.state();
      const organisationName = state.get().organisationName ?? 'your organisation';
      const notice = signInNotice({
        before,
        after,
        organisation: organisationName,
        tabs: state.get().terminals,
        now: now(),
      });
      if (notice !== null) notices.add(notice);
      before = after;
    });
    state.set({ organisation, organisationName: null, overview: null, signIn: before, backend: { state: 'reaching' } });
    await made.watch.introduce();
  };
  const setOrganisation = async (organisation: Organisation): Promise<void> => {
    const { organisationManaged, signIn } = state.get();
    if (organisationManaged)
      throw new Refusal('not_allowed', { message: 'Your administrators have set the organisation.' });
    if (signIn.state === 'signed-in' || signIn.state === 'again') {
      throw new Refusal('wrong_state', { message: 'Sign out first, then enter another organisation.' });
    }
    checkOrganisation(organisation);
    // A wrong address is found while what was typed still stands there, and not after a sign-in in the browser.
    await checkBackend(organisation.backendUrl);
    store.setOrganisation(organisation);
    await takeOrganisation(organisation);
  };

  // 5. What windows may ask for.
  const applySettings = (settings: Settings): void => {
    nativeTheme.themeSource = settings.scheme;
    if (app.isPackaged) app.setLoginItemSettings({ openAtLogin: settings.openAtLogin, args: ['--hidden'] });
  };
  const showTerminals = (tabId: string): void => {
    selectTab(tabId);
    windows.show('terminal');
  };
  const askSavePath = async (title: string, suggested: string): Promise<string | null> => {
    const defaultPath = path.join(app.getPath('downloads'), suggested);
    const { canceled, filePath } = await dialog.showSaveDialog({ title, defaultPath });
    return canceled ? null : filePath;
  };
  const intentDeps: IntentDeps = {
    services: () => services,
    state,
    store,
    setOrganisation,
    applySettings,
    showTerminals,
    askSavePath,
    openExternal,
    markOwnRead: notices.markRead,
    log,
  };
  const access = createAccessActions(intentDeps);
  const askPerson = async (intent: string): Promise<boolean> => {
    if (app.accessibilitySupportEnabled !== true) return false;
    const message = askedOutside[intent] ?? 'Curfew was told to go on by an assistive technology. Go on?';
    const { response } = await dialog.showMessageBox({
      type: 'question',
      message,
      buttons: ['No', 'Yes'],
      cancelId: 0,
    });
    return response === 1;
  };
  const door = createDoor({ ipcMain, factsOf: windows.factsOf, now, log, askPerson });
  door.serveMain(createMainHandlers(intentDeps, access));
  door.serveTerminal(
    createTerminalHandlers({
      services: () => services,
      state,
      access,
      selectTab,
      showMain: () => windows.show('main'),
      openExternal,
      askSavePath,
    }),
  );
  door.onReady('main', () => {
    windows.ready('main');
    pushMain(state.get());
  });
  door.onReady('terminal', () => {
    windows.ready('terminal');
    pushTerminal(state.get());
    for (const { id } of state.get().terminals) {
      const kept = services?.terminals.scrollback(id) ?? '';
      if (kept !== '') windows.push('terminal', channels.terminalOutput, id, kept);
    }
  });

  // 6. The tray.
  const fromTray = async (title: string, target: Notice['target'], act: () => Promise<unknown>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      const failure = failureOf(error, title, log);
      const said = failure.kind === 'refusal' ? (failure.message ?? failure.advice) : failure.what;
      notices.addFailure({ title, body: said, target });
    }
  };
  const wishes = (wish: TrayWish): void => {
    switch (wish.kind) {
      case 'go':
        state.navigate(wish.place, wish.id);
        windows.show('main');
        break;
      case 'open':
        windows.show('main');
        break;
      case 'quit':
        app.quit();
        break;
      case 'connect':
        void fromTray('Not connected', { kind: 'grant', id: wish.grantId }, () =>
          access.connect(wish.grantId, wish.instance),
        );
        break;
      case 'extend':
        void fromTray('Not extended', { kind: 'grant', id: wish.grantId }, () =>
          access.extend(wish.grantId, wish.bySeconds),
        );
        break;
      case 'show-terminals': {
        const tab = state.get().terminals.find((each) => each.grantId === wish.grantId);
        if (tab !== undefined) showTerminals(tab.id);
        break;
      }
      case 'request-again':
        access.askAgain(wish);
        windows.show('main');
        break;
      case 'sign-in':
        windows.show('main');
        // A profile is chosen in the window; the browser needs nothing more than the click in the tray.
        if (services !== null && state.get().signInWith !== 'aws-profile') {
          const { signIn } = services;
          void fromTray('Not signed in', { kind: 'sign-in' }, () => signIn.start({ how: 'browser' }));
        }
        break;
    }
  };
  const tray = createTray(wishes, process.platform);

  // 7. The clock: countdowns, warnings, the third lock.
  const given = new Set<string>();
  const beat = (): void => {
    const snapshot = state.get();
    const at = now();
    const grants = endings.grants(snapshot);
    for (const notice of warningsDue(grants, snapshot.terminals, given, backendNow(snapshot, at))) notices.add(notice);
    for (const grantId of endings.toClose(snapshot, at)) services?.terminals.endAllOf(grantId, 'grant-over');
    tray.draw(snapshot, at);
  };
  const beats = setInterval(beat, 1000);
  nativeTheme.on('updated', beat);
  state.onChange((snapshot) => {
    if (activeTab === null || !snapshot.terminals.some((tab) => tab.id === activeTab)) {
      activeTab = snapshot.terminals.at(-1)?.id ?? null;
    }
    pushMain(snapshot);
    pushTerminal(snapshot);
    notifier.consider(snapshot.notices);
    beat();
  });
  powerMonitor.on('resume', () => void services?.watch.refresh());

  // 8. The application's own life.
  let linkAt = 0;
  const follow = (argv: readonly string[]): void => {
    const going = placeOfLink(argv);
    if (going !== null && now().getTime() - linkAt >= 1000) {
      linkAt = now().getTime();
      state.navigate(going.place, going.id);
    }
    windows.show('main');
  };
  app.on('second-instance', (_event, argv) => follow(argv));
  app.on('open-url', (event, url) => {
    event.preventDefault();
    follow([url]);
  });
  app.on('activate', () => windows.show('main'));
  // Tray first: the app lives on without windows.
  app.on('window-all-closed', () => undefined);
  let closed = false;
  app.on('before-quit', (event) => {
    if (closed) return;
    event.preventDefault();
    clearInterval(beats);
    const giveUp = timers.after(3000, () => app.exit(0));
    const done = () => {
      giveUp();
      closed = true;
      windows.releaseAll();
      app.quit();
    };
    (services?.close() ?? Promise.resolve()).catch((error: unknown) => failureOf(error, 'quitting', log)).finally(done);
  });

  // 9. Go.
  applySettings(store.settings());
  if (store.putAside !== null) {
    const body = `They start afresh. The old file is kept as ${path.basename(store.putAside)}.`;
    notices.addFailure({ title: 'The settings could not be read', body, target: { kind: 'sign-in' } });
  }
  tray.draw(state.get(), now());
  if (!process.argv.includes('--hidden')) windows.show('main');
  const { organisation } = state.get();
  if (organisation !== null) {
    takeOrganisation(organisation)
      .then(() => services?.signIn.restore())
      .catch((error: unknown) =>
        state.set({ signIn: { state: 'failed', failure: failureOf(error, 'starting', log) } }),
      );
  }
};

const firstState = (config: Config, kept: Organisation | null, secretsPersist: boolean): AppState => ({
  ...nothingKnown,
  appVersion: app.getVersion(),
  runtime: 'electron' in process.versions ? 'electron' : 'stand-in',
  organisation: config.organisation ?? kept,
  organisationManaged: config.organisation !== null,
  notAws: config.notAws,
  secretsPersist,
});

const begin = async (): Promise<void> => {
  await app.whenReady();
  try {
    start(readConfig(processEnvironment()));
  } catch (error) {
    const what = error instanceof ConfigProblem ? error.message : 'Curfew could not start. Its log says why.';
    dialog.showErrorBox('Curfew', what);
    if (!(error instanceof ConfigProblem)) process.stderr.write(`${String(error)}\n`);
    app.exit(1);
  }
};

const dangerous = app.isPackaged ? dangerousSwitch(process.argv.slice(1)) : null;
if (dangerous !== null) {
  process.stderr.write(`Curfew does not start with --${dangerous}\n`);
  app.exit(1);
} else if (app.requestSingleInstanceLock()) {
  app.enableSandbox();
  void begin();
} else {
  // The first instance has heard of us.
  app.exit(0);
}
