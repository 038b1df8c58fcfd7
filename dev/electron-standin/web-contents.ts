/**
 * `webContents` and `ipcMain`: one Chromium page, its preload world, and the messages between it and the application.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { app, preventable } from './app.ts';
import { type Chromium, type Facts, factsAt, isFacts, textAt } from './chromium.ts';
import { codecSource, decodeValue, encodeValue } from './codec.ts';

export type Handler = (event: IpcEvent, ...values: unknown[]) => unknown;
export type SenderFrame = { url: string; parent: null; top: SenderFrame; detached: boolean };
export type IpcEvent = { sender: WebContents; senderFrame: SenderFrame | null; returnValue: unknown };
export type WindowOpenHandler = (details: { url: string; frameName: string; disposition: string }) => {
  action: string;
};

class IpcMain extends EventEmitter {
  readonly handlers = new Map<string, Handler>();

  handle(channel: string, handler: Handler): void {
    if (this.handlers.has(channel)) throw new Error(`Attempted to register a second handler for '${channel}'`);
    this.handlers.set(channel, handler);
  }
  removeHandler(channel: string): void {
    this.handlers.delete(channel);
  }
}
export const ipcMain = new IpcMain();

const world = 'electron-standin-preload';
const pageFile = (name: string): string => readFileSync(path.join(import.meta.dirname, 'page', name), 'utf8');
const bridgeSource = pageFile('bridge.js');
const preloadWorldSource = pageFile('preload-world.js');
// Scripts with a world name run in every frame; a sandboxed window gives its preload to the main frame only.
const inMainFrame = (source: string): string => `(() => { if (window !== window.top) return; ${source}\n})()`;

const scriptsFor = (preload: string | undefined, additionalArguments: string[]): { page: string; preload: string } => {
  const secret = `b${randomBytes(16).toString('hex')}`;
  const bridge = (side: string) =>
    `const side = '${side}'; const secret = '${secret}';\n${codecSource}\n${bridgeSource}`;
  const processFacts = JSON.stringify({
    platform: process.platform,
    argv: ['electron', ...additionalArguments],
    versions: { electron: 'stand-in' },
  });
  const code = preload === undefined ? '' : readFileSync(preload, 'utf8');
  return {
    page: inMainFrame(bridge('page')),
    preload: inMainFrame(
      `${bridge('preload')}\nconst processFacts = ${processFacts};
       const runPreload = (require, module, process) => { const exports = module.exports; ${code}\n};\n${preloadWorldSource}`,
    ),
  };
};

/** What a page is made with. */
export type PageSetup = { preload: string | undefined; additionalArguments: string[] };

export class WebContents extends EventEmitter {
  static #nextId = 1;
  readonly id = WebContents.#nextId++;
  readonly #chromium: Chromium = app.chromium;
  #session = '';
  #targetId = '';
  #mainFrame = '';
  #preloadContext: number | null = null;
  #url = '';
  #ownNavigation: string | null = null;
  #destroyed = false;
  #openHandler: WindowOpenHandler = () => ({ action: 'allow' });
  readonly session = defaultSession;
  /** Set by the window before anybody can ask. */
  preferences: Record<string, unknown> = {};
  readonly navigationHistory = { canGoBack: () => false };

  get targetId(): string {
    return this.#targetId;
  }

  /** Takes over a page that shows nothing yet. */
  async attach(session: string, targetId: string, setup: PageSetup): Promise<void> {
    this.#session = session;
    this.#targetId = targetId;
    const scripts = scriptsFor(setup.preload, setup.additionalArguments);
    this.#listen('Runtime.executionContextCreated', (params) => this.#contextCreated(factsAt(params, 'context')));
    this.#listen('Runtime.executionContextDestroyed', (params) => {
      if (params['executionContextId'] === this.#preloadContext) this.#preloadContext = null;
    });
    this.#listen('Runtime.bindingCalled', (params) => this.#received(params));
    this.#listen('Page.frameNavigated', (params) => this.#navigated(factsAt(params, 'frame')));
    this.#listen('Page.navigatedWithinDocument', (params) => {
      if (textAt(params, 'frameId') === this.#mainFrame) this.#url = textAt(params, 'url');
    });
    this.#listen('Page.domContentEventFired', () => this.emit('dom-ready', {}));
    this.#listen('Page.loadEventFired', () => this.emit('did-finish-load', {}));
    this.#listen('Page.windowOpen', (params) => {
      const url = textAt(params, 'url');
      this.#openHandler({ url, frameName: textAt(params, 'windowName'), disposition: 'new-window' });
    });
    this.#listen('Fetch.requestPaused', (params) => this.#documentRequested(params));
    this.#listen('Inspector.targetCrashed', () =>
      this.emit('render-process-gone', {}, { reason: 'crashed', exitCode: 1 }),
    );
    await this.#send('Page.enable');
    this.#mainFrame = textAt(factsAt(factsAt(await this.#send('Page.getFrameTree'), 'frameTree'), 'frame'), 'id');
    await this.#send('Runtime.enable');
    await this.#send('Runtime.addBinding', { name: '__standInSend', executionContextName: world });
    await this.#send('Page.addScriptToEvaluateOnNewDocument', { source: scripts.page });
    await this.#send('Page.addScriptToEvaluateOnNewDocument', { source: scripts.preload, worldName: world });
    await this.#send('Fetch.enable', {
      patterns: [{ urlPattern: '*', resourceType: 'Document', requestStage: 'Request' }],
    });
  }

  /** The page's target has gone. */
  gone(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.emit('destroyed');
  }

  async loadURL(url: string): Promise<void> {
    this.#ownNavigation = url;
    const loaded = new Promise<void>((resolve) => this.once('did-finish-load', () => resolve()));
    const { errorText } = await this.#send('Page.navigate', { url });
    this.#ownNavigation = null;
    if (typeof errorText === 'string') throw new Error(`${errorText} loading '${url}'`);
    await loaded;
  }

  send(channel: string, ...values: unknown[]): void {
    this.#post({ kind: 'message', channel, values });
  }
  getURL(): string {
    return this.#url;
  }
  get mainFrame(): SenderFrame {
    const frame: SenderFrame = {
      url: this.#url,
      parent: null,
      detached: false,
      get top() {
        return frame;
      },
    };
    return frame;
  }
  isDestroyed(): boolean {
    return this.#destroyed;
  }
  isLoading(): boolean {
    return this.#preloadContext === null;
  }
  setWindowOpenHandler(handler: WindowOpenHandler): void {
    this.#openHandler = handler;
  }
  reload(): void {
    this.#ownNavigation = this.#url;
    this.#send('Page.reload').catch(() => undefined);
  }
  focus(): void {
    this.#send('Page.bringToFront').catch(() => undefined);
  }
  openDevTools(): void {
    // Chromium's own tools reach the page through the debugging port.
  }
  /** Playwright closes a page by this. */
  close(): void {
    this.emit('standin-close');
  }
  /** What the window was really made with, over the defaults that Electron has since version 20. */
  getLastWebPreferences(): Record<string, unknown> {
    return { contextIsolation: true, sandbox: true, nodeIntegration: false, webSecurity: true, ...this.preferences };
  }
  setColourScheme(scheme: 'light' | 'dark' | null): void {
    const features = [{ name: 'prefers-color-scheme', value: scheme ?? '' }];
    this.#send('Emulation.setEmulatedMedia', { features }).catch(() => undefined);
  }
  async executeJavaScript(code: string): Promise<unknown> {
    const answer = await this.#send('Runtime.evaluate', { expression: code, awaitPromise: true, returnByValue: true });
    return factsAt(answer, 'result')['value'];
  }

  #listen(method: string, listener: (params: Facts) => void): void {
    this.#chromium.listen(this.#session, method, listener);
  }
  #send(method: string, params: Facts = {}): Promise<Facts> {
    return this.#chromium.send(this.#session, method, params);
  }

  /** Answers and messages share the pipe, so a page sees them in the order they were sent. Without a page they are dropped, as in Electron. */
  #post(message: unknown): void {
    if (this.#preloadContext === null || this.#destroyed) return;
    this.#send('Runtime.callFunctionOn', {
      functionDeclaration: 'function (text) { globalThis.__standInReceive(text); }',
      executionContextId: this.#preloadContext,
      arguments: [{ value: encodeValue(message) }],
      silent: true,
      // The page went away in between: whoever waited there has gone with it.
    }).catch(() => undefined);
  }

  #contextCreated(context: Facts): void {
    const facts = factsAt(context, 'auxData');
    const { id } = context;
    if (textAt(context, 'name') !== world || textAt(facts, 'frameId') !== this.#mainFrame) return;
    if (typeof id === 'number') this.#preloadContext = id;
  }

  #navigated(frame: Facts): void {
    if (textAt(frame, 'parentId') !== '') return;
    this.#url = textAt(frame, 'url');
    this.emit('did-navigate', {}, this.#url);
  }

  #received(params: Facts): void {
    if (textAt(params, 'name') !== '__standInSend') return;
    const message = decodeValue(textAt(params, 'payload'));
    // Only the main frame has the preload; a message from any other context has no frame that anybody should trust.
    const isMain = params['executionContextId'] === this.#preloadContext;
    if (!isFacts(message)) return;
    const event: IpcEvent = { sender: this, senderFrame: isMain ? this.mainFrame : null, returnValue: undefined };
    const channel = textAt(message, 'channel');
    const values = Array.isArray(message['values']) ? message['values'] : [];
    if (message['kind'] === 'input') this.#inputSeen(message);
    else if (message['kind'] === 'send') ipcMain.emit(channel, event, ...values);
    else void this.#invoke(message['id'], channel, event, values);
  }

  #inputSeen(message: Facts): void {
    const input = { type: textAt(message, 'type'), key: textAt(message, 'key') };
    this.emit('input-event', preventable(), input);
    if (input.type === 'rawKeyDown') this.emit('before-input-event', preventable(), { ...input, type: 'keyDown' });
  }

  async #invoke(id: unknown, channel: string, event: IpcEvent, values: unknown[]): Promise<void> {
    const handler = ipcMain.handlers.get(channel);
    try {
      if (handler === undefined) throw new Error(`No handler registered for '${channel}'`);
      this.#post({ kind: 'answer', id, value: await handler(event, ...values) });
    } catch (error) {
      this.#post({ kind: 'failure', id, what: String(error) });
    }
  }

  /** A document is about to be loaded in one of the page's frames: Electron's `will-navigate` and `will-frame-navigate`. */
  #documentRequested(params: Facts): void {
    const requestId = textAt(params, 'requestId');
    const url = textAt(factsAt(params, 'request'), 'url');
    const isMain = textAt(params, 'frameId') === this.#mainFrame;
    const event = { ...preventable(), url, isMainFrame: isMain, isSameDocument: false };
    // Reloads come from the browser's side: Electron asks nobody about them either.
    if (isMain && (this.#ownNavigation !== null || url === this.#url)) this.#ownNavigation = null;
    else {
      this.emit('will-frame-navigate', event, url);
      if (isMain && !event.defaultPrevented) this.emit('will-navigate', event, url);
    }
    if (isMain && !event.defaultPrevented) this.emit('did-start-navigation', event, url);
    const command = event.defaultPrevented
      ? this.#send('Fetch.failRequest', { requestId, errorReason: 'Aborted' })
      : this.#send('Fetch.continueRequest', { requestId });
    // The frame went away meanwhile: nothing is left to continue.
    command.catch(() => undefined);
  }
}

/** `session.defaultSession`: remembers the handlers; the stand-in refuses every permission and download by itself. */
class Session extends EventEmitter {
  permissionRequestHandler: unknown = null;
  permissionCheckHandler: unknown = null;
  readonly webRequest = { onHeadersReceived: () => undefined, onBeforeRequest: () => undefined };

  setPermissionRequestHandler(handler: unknown): void {
    this.permissionRequestHandler = handler;
  }
  setPermissionCheckHandler(handler: unknown): void {
    this.permissionCheckHandler = handler;
  }
  setDevicePermissionHandler(): void {
    // No device is ever given to a page here.
  }
  setSpellCheckerEnabled(): void {
    // Chromium's spell checker needs no network here.
  }
}
export const defaultSession = new Session();
