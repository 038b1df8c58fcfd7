/**
 * The app's windows, all made and fenced in here: no Node, no navigation, no other windows, no webviews, no permissions, no downloads
 * (threats APP-09, APP-10). Says which kind a sender is, at which address, and when its person last really touched it.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { app, BrowserWindow, session, type WebContents, type WebPreferences } from 'electron';
import type { Log } from './log.ts';

export type WindowKind = 'main' | 'terminal';

/** What the IPC door needs to know about a sender. */
export type SenderFacts = { kind: WindowKind; url: string; lastInputAt: number | null };

type Shape = {
  page: string;
  preload: string;
  width: number;
  height: number;
  minWidth: number;
  minHeight: number;
  title: string;
};

const shapes: Record<WindowKind, Shape> = {
  main: {
    page: 'main-window/index.html',
    preload: 'main-window.cjs',
    width: 1280,
    height: 800,
    minWidth: 640,
    minHeight: 480,
    title: 'Curfew',
  },
  terminal: {
    page: 'terminal-window/index.html',
    preload: 'terminal-window.cjs',
    width: 1100,
    height: 700,
    minWidth: 480,
    minHeight: 320,
    title: 'Curfew: terminals',
  },
};

const closeWithinMs = 2000;

/** The same for every window; tests read it back from each window that was made. */
const hardened = {
  contextIsolation: true,
  sandbox: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  webSecurity: true,
  allowRunningInsecureContent: false,
  experimentalFeatures: false,
  webviewTag: false,
  navigateOnDragDrop: false,
  safeDialogs: true,
  spellcheck: false,
} as const satisfies WebPreferences;

/** Only what a key, a mouse button or a finger does; moving the pointer over a window is no consent. */
const deliberateInput = new Set(['rawKeyDown', 'keyDown', 'mouseDown', 'touchStart', 'gestureTap', 'pointerDown']);

const fence = (contents: WebContents, ownUrl: () => string | null, log: Log): void => {
  const refuse = (what: string) => (event: { preventDefault(): void; url?: string }) => {
    if (event.url !== undefined && event.url === ownUrl()) return;
    event.preventDefault();
    log('warn', `refused ${what}`, { url: event.url?.slice(0, 200) });
  };
  contents.on('will-navigate', refuse('navigation'));
  contents.on('will-frame-navigate', refuse('navigation of a frame'));
  contents.on('will-redirect', refuse('redirection'));
  contents.on('will-attach-webview', (event) => event.preventDefault());
  contents.setWindowOpenHandler(({ url }) => {
    log('warn', 'refused new window', { url: url.slice(0, 200) });
    return { action: 'deny' };
  });
};

/** Denies for the whole app what no window of ours ever needs. Writing plain text to the clipboard (copy) is all there is. */
const denyPermissions = (): void => {
  const copyOnly = (permission: string) => permission === 'clipboard-sanitized-write';
  session.defaultSession.setPermissionRequestHandler((_contents, permission, answer) => answer(copyOnly(permission)));
  session.defaultSession.setPermissionCheckHandler((_contents, permission) => copyOnly(permission));
  session.defaultSession.setDevicePermissionHandler(() => false);
  session.defaultSession.on('will-download', (event) => event.preventDefault());
};

export type Windows = {
  /** Shows the window of this kind, made when there is none, in front. */
  show(kind: WindowKind): void;
  /** Sends to the window of this kind, if there is one that has said it is ready. */
  push(kind: WindowKind, channel: string, ...values: unknown[]): void;
  /** The window's preload listens from now on. */
  ready(kind: WindowKind): void;
  isReady(kind: WindowKind): boolean;
  /** Null for a sender that is none of our windows. */
  factsOf(sender: WebContents): SenderFacts | null;
  /** Lets windows really close from now on. */
  releaseAll(): void;
};

/**
 * @param options.out folder of the built app, holding `renderer/` and `preload/`.
 * @param options.keepsOpen asked when the person closes a window: true hides it instead, because something in it lives on.
 */
export const createWindows = (options: {
  out: string;
  keepsOpen: (kind: WindowKind) => boolean;
  now: () => Date;
  log: Log;
}): Windows => {
  const { out, now, log } = options;
  const open = new Map<WindowKind, BrowserWindow>();
  const ready = new Set<WindowKind>();
  const inputAt = new WeakMap<WebContents, number>();
  let released = false;
  const urlOf = (kind: WindowKind): string => pathToFileURL(path.join(out, 'renderer', shapes[kind].page)).href;
  const kindOf = (contents: WebContents): WindowKind | null =>
    [...open].find(([, window]) => window.webContents === contents)?.[0] ?? null;

  denyPermissions();
  app.on('web-contents-created', (_event, contents) => {
    const ownUrl = () => {
      const kind = kindOf(contents);
      return kind === null ? null : urlOf(kind);
    };
    fence(contents, ownUrl, log);
  });

  const make = (kind: WindowKind): BrowserWindow => {
    const { preload, page: _page, ...shape } = shapes[kind];
    const window = new BrowserWindow({
      ...shape,
      show: false,
      autoHideMenuBar: true,
      webPreferences: { ...hardened, preload: path.join(out, 'preload', preload), devTools: !app.isPackaged },
    });
    open.set(kind, window);
    window.webContents.on('input-event', (_event, input) => {
      if (deliberateInput.has(input.type)) inputAt.set(window.webContents, now().getTime());
    });
    window.webContents.on('render-process-gone', (_event, { reason }) => {
      log('error', 'window crashed', { kind, reason });
      ready.delete(kind);
      if (!window.isDestroyed()) window.webContents.reload();
    });
    window.webContents.on('did-start-navigation', (event) => {
      if (event.isMainFrame && !event.isSameDocument) ready.delete(kind);
    });
    window.on('close', (event) => {
      window.hide();
      if (!released && options.keepsOpen(kind)) {
        event.preventDefault();
        return;
      }
      // A page that hangs is never done with closing (threats TERM-05).
      setTimeout(() => {
        if (!window.isDestroyed()) window.destroy();
      }, closeWithinMs).unref();
    });
    window.on('closed', () => {
      open.delete(kind);
      ready.delete(kind);
    });
    window.once('ready-to-show', () => window.show());
    window.loadURL(urlOf(kind)).catch((error: unknown) => {
      if (!window.isDestroyed()) log('error', 'window did not load', { kind, error });
    });
    return window;
  };

  return {
    show(kind) {
      const window = open.get(kind);
      if (window === undefined) {
        make(kind);
        return;
      }
      if (window.isMinimized()) window.restore();
      window.show();
      window.focus();
    },
    push(kind, channel, ...values) {
      const window = open.get(kind);
      if (window !== undefined && ready.has(kind) && !window.isDestroyed()) window.webContents.send(channel, ...values);
    },
    ready: (kind) => {
      ready.add(kind);
    },
    isReady: (kind) => ready.has(kind),
    factsOf(sender) {
      const kind = kindOf(sender);
      return kind === null ? null : { kind, url: urlOf(kind), lastInputAt: inputAt.get(sender) ?? null };
    },
    releaseAll: () => {
      released = true;
    },
  };
};
