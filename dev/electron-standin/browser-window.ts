/** `BrowserWindow`: a page of Chromium as a window of the application. */
import { EventEmitter } from 'node:events';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { app, preventable } from './app.ts';
import { factsAt, textAt } from './chromium.ts';
import { createTarget } from './targets.ts';
import { WebContents } from './web-contents.ts';

export type WindowOptions = {
  width?: number;
  height?: number;
  show?: boolean;
  title?: string;
  webPreferences?: { preload?: string; additionalArguments?: string[] } & Record<string, unknown>;
} & Record<string, unknown>;

export class BrowserWindow extends EventEmitter {
  static readonly #all = new Set<BrowserWindow>();
  static #nextId = 1;
  static getAllWindows(): BrowserWindow[] {
    return [...BrowserWindow.#all];
  }
  static fromWebContents(contents: WebContents | undefined): BrowserWindow | null {
    return BrowserWindow.getAllWindows().find((window) => window.webContents === contents) ?? null;
  }
  static getFocusedWindow(): BrowserWindow | null {
    return BrowserWindow.getAllWindows().find((window) => window.isFocused()) ?? null;
  }

  readonly id = BrowserWindow.#nextId++;
  readonly webContents = new WebContents();
  /** The options it was made with: tests read the hardening from here. */
  readonly options: WindowOptions;
  readonly #opened: Promise<void>;
  #visible: boolean;
  #focused = false;
  #destroyed = false;
  #title: string;
  #bounds: { x: number; y: number; width: number; height: number };

  constructor(options: WindowOptions = {}) {
    super();
    this.options = options;
    this.webContents.preferences = options.webPreferences ?? {};
    this.#visible = options.show !== false;
    this.#title = options.title ?? app.getName();
    this.#bounds = { x: 0, y: 0, width: options.width ?? 800, height: options.height ?? 600 };
    BrowserWindow.#all.add(this);
    app.windows.add(this);
    app.emit('browser-window-created', {}, this);
    app.emit('web-contents-created', {}, this.webContents);
    this.webContents.on('standin-close', () => this.close());
    this.webContents.once('dom-ready', () => this.emit('ready-to-show'));
    this.#opened = this.#open();
    // Whoever loads something hears of it; a window that nobody loads has nothing to tell.
    this.#opened.catch(() => undefined);
  }

  async #open(): Promise<void> {
    const { chromium } = app;
    const { targetId, session } = await createTarget(chromium, this.#bounds);
    const stop = chromium.listen('', 'Target.targetDestroyed', (params) => {
      if (textAt(params, 'targetId') !== targetId) return;
      stop();
      this.#gone();
    });
    const { preload, additionalArguments = [] } = this.options.webPreferences ?? {};
    await this.webContents.attach(session, targetId, { preload, additionalArguments });
    if (!app.headed) {
      // A headless window has no frame of its own: give the page the size that was asked for.
      const { width, height } = this.#bounds;
      const metrics = { width, height, deviceScaleFactor: 0, mobile: false };
      await chromium.send(session, 'Emulation.setDeviceMetricsOverride', metrics);
    } else if (!this.#visible) await this.#windowState('minimized');
  }

  async #windowState(windowState: 'normal' | 'minimized'): Promise<void> {
    if (!app.headed || this.#destroyed) return;
    const { targetId } = this.webContents;
    const found = await app.chromium.send('', 'Browser.getWindowForTarget', { targetId });
    const bounds = factsAt({ bounds: { windowState } }, 'bounds');
    await app.chromium.send('', 'Browser.setWindowBounds', { windowId: found['windowId'], bounds });
  }

  #gone(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    BrowserWindow.#all.delete(this);
    app.windows.delete(this);
    this.webContents.gone();
    this.emit('closed');
    app.windowClosed();
  }

  async loadURL(url: string): Promise<void> {
    await this.#opened;
    await this.webContents.loadURL(url);
  }
  loadFile(file: string): Promise<void> {
    return this.loadURL(pathToFileURL(path.resolve(app.getAppPath(), file)).href);
  }
  show(): void {
    this.#visible = true;
    this.#opened.then(() => this.#windowState('normal')).catch(() => undefined);
    this.emit('show');
    this.focus();
  }
  showInactive(): void {
    this.#visible = true;
    this.emit('show');
  }
  hide(): void {
    this.#visible = false;
    this.#focused = false;
    this.#opened.then(() => this.#windowState('minimized')).catch(() => undefined);
    this.emit('hide');
  }
  focus(): void {
    for (const other of BrowserWindow.#all) other.#focused = other === this;
    this.#opened.then(() => this.webContents.focus()).catch(() => undefined);
    this.emit('focus');
  }
  isFocused(): boolean {
    return this.#focused && this.#visible;
  }
  isVisible(): boolean {
    return this.#visible && !this.#destroyed;
  }
  isMinimized(): boolean {
    return false;
  }
  restore(): void {
    this.show();
  }
  minimize(): void {
    this.hide();
  }
  close(): void {
    if (this.#destroyed) return;
    const event = preventable();
    this.emit('close', event);
    if (event.defaultPrevented) app.closeRefused();
    else this.destroy();
  }
  destroy(): void {
    this.#opened
      .then(() => app.chromium.send('', 'Target.closeTarget', { targetId: this.webContents.targetId }))
      .catch(() => this.#gone());
  }
  isDestroyed(): boolean {
    return this.#destroyed;
  }
  getTitle(): string {
    return this.#title;
  }
  setTitle(title: string): void {
    this.#title = title;
  }
  getBounds(): { x: number; y: number; width: number; height: number } {
    return { ...this.#bounds };
  }
  setBounds(bounds: Partial<{ x: number; y: number; width: number; height: number }>): void {
    this.#bounds = { ...this.#bounds, ...bounds };
  }
  setMenu(): void {
    // Chromium's windows have no menu bar of ours.
  }
  setMenuBarVisibility(): void {
    // As above.
  }
  removeMenu(): void {
    // As above.
  }
  flashFrame(): void {
    // Nothing to flash.
  }
  setBackgroundColor(): void {
    // The page paints itself.
  }
}

export const webContents = {
  fromDevToolsTargetId: (targetId: string) =>
    BrowserWindow.getAllWindows().find((window) => window.webContents.targetId === targetId)?.webContents,
  fromId: (id: number) => BrowserWindow.getAllWindows().find((window) => window.webContents.id === id)?.webContents,
  getAllWebContents: () => BrowserWindow.getAllWindows().map((window) => window.webContents),
};
