/** The desktop's own things: tray, menus, notifications, images, keychain, shell. Kept in lists that a test reads and a person sees in the tray window. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { app } from './app.ts';
import { BrowserWindow } from './browser-window.ts';
import { openOutside } from './targets.ts';

type Template = {
  id?: string;
  label?: string;
  type?: 'normal' | 'separator' | 'submenu' | 'checkbox' | 'radio';
  enabled?: boolean;
  visible?: boolean;
  checked?: boolean;
  role?: string;
  accelerator?: string;
  submenu?: Template[] | Menu;
  click?: (item: MenuItem, window: BrowserWindow | undefined, event: object) => void;
};

/** Something in tray, menus or notifications has changed: the tray window draws itself anew. */
export const desktopChanges = new EventEmitter();
const changed = () => desktopChanges.emit('changed');

export class MenuItem {
  readonly id: string;
  label: string;
  readonly type: string;
  enabled: boolean;
  visible: boolean;
  checked: boolean;
  readonly role: string | undefined;
  readonly accelerator: string | undefined;
  readonly submenu: Menu | undefined;
  readonly #click: Template['click'];

  constructor(template: Template) {
    this.id = template.id ?? '';
    this.label = template.label ?? '';
    this.type = template.type ?? (template.submenu === undefined ? 'normal' : 'submenu');
    this.enabled = template.enabled ?? true;
    this.visible = template.visible ?? true;
    this.checked = template.checked ?? false;
    this.role = template.role;
    this.accelerator = template.accelerator;
    this.submenu = Array.isArray(template.submenu) ? Menu.buildFromTemplate(template.submenu) : template.submenu;
    this.#click = template.click;
  }

  /** What a person's click does; nothing on an item that is disabled. */
  click(): void {
    if (!this.enabled || !this.visible) return;
    if (this.role === 'quit') app.quit();
    this.#click?.(this, BrowserWindow.getFocusedWindow() ?? undefined, {});
  }
}

export class Menu {
  static #application: Menu | null = null;
  static buildFromTemplate(template: Template[]): Menu {
    const menu = new Menu();
    for (const item of template) menu.append(new MenuItem(item));
    return menu;
  }
  static setApplicationMenu(menu: Menu | null): void {
    Menu.#application = menu;
  }
  static getApplicationMenu(): Menu | null {
    return Menu.#application;
  }

  readonly items: MenuItem[] = [];
  append(item: MenuItem): void {
    this.items.push(item);
  }
  popup(): void {
    // The tray window shows menus as lists.
  }
  getMenuItemById(id: string): MenuItem | null {
    for (const item of this.items) {
      const found = item.id === id ? item : item.submenu?.getMenuItemById(id);
      if (found) return found;
    }
    return null;
  }
}

export class Tray extends EventEmitter {
  /** Every tray icon that lives: how tests and the tray window reach the menu. */
  static readonly all = new Set<Tray>();
  image: unknown;
  toolTip = '';
  title = '';
  contextMenu: Menu | null = null;
  #destroyed = false;

  constructor(image: unknown) {
    super();
    this.image = image;
    Tray.all.add(this);
    changed();
  }
  setToolTip(text: string): void {
    this.toolTip = text;
    changed();
  }
  setTitle(text: string): void {
    this.title = text;
    changed();
  }
  getTitle(): string {
    return this.title;
  }
  setImage(image: unknown): void {
    this.image = image;
    changed();
  }
  setContextMenu(menu: Menu | null): void {
    this.contextMenu = menu;
    changed();
  }
  popUpContextMenu(): void {
    // The tray window shows the menu all the time.
  }
  isDestroyed(): boolean {
    return this.#destroyed;
  }
  destroy(): void {
    this.#destroyed = true;
    Tray.all.delete(this);
    changed();
  }
}

type NotificationOptions = { title?: string; body?: string; silent?: boolean; urgency?: string; icon?: unknown };

export class Notification extends EventEmitter {
  /** All that were shown, oldest first. `emit('click')` on one is what a person's click does. */
  static readonly shown: Notification[] = [];
  static isSupported(): boolean {
    return true;
  }
  readonly title: string;
  readonly body: string;
  readonly options: NotificationOptions;

  constructor(options: NotificationOptions = {}) {
    super();
    this.title = options.title ?? '';
    this.body = options.body ?? '';
    this.options = options;
  }
  show(): void {
    Notification.shown.push(this);
    this.emit('show', {});
    changed();
  }
  close(): void {
    this.emit('close', {});
  }
}

class NativeImage {
  readonly #png: string;
  isTemplate = false;
  constructor(png: string) {
    this.#png = png;
  }
  isEmpty(): boolean {
    return this.#png === '';
  }
  toDataURL(): string {
    return this.#png;
  }
  addRepresentation(): void {
    // One size is enough for a list.
  }
  resize(): NativeImage {
    return this;
  }
  setTemplateImage(isTemplate: boolean): void {
    this.isTemplate = isTemplate;
  }
}

const asDataUrl = (png: Buffer): string => `data:image/png;base64,${png.toString('base64')}`;
export const nativeImage = {
  createEmpty: () => new NativeImage(''),
  createFromPath: (file: string) => new NativeImage(existsSync(file) ? asDataUrl(readFileSync(file)) : ''),
  createFromBuffer: (png: Buffer) => new NativeImage(asDataUrl(png)),
  createFromDataURL: (url: string) => new NativeImage(url),
};

export const shell = {
  /** Addresses given to the system browser, oldest first: tests open them themselves, a person sees them opened. */
  opened: [] as string[],
  async openExternal(url: string): Promise<void> {
    shell.opened.push(url);
    if (app.headed) await openOutside(app.chromium, url);
  },
  async openPath(file: string): Promise<string> {
    shell.opened.push(file);
    return '';
  },
  showItemInFolder: (file: string) => {
    shell.opened.push(file);
  },
};

/** A key in a file is no keychain: the backend is `basic_text` unless the environment says that a keyring is to be played. */
const keyring = process.env['ELECTRON_STANDIN_KEYRING'] === '1';
const keyFile = () => path.join(app.getPath('userData'), 'standin-keyring');
const key = (): Buffer => {
  if (!existsSync(keyFile())) writeFileSync(keyFile(), randomBytes(32), { mode: 0o600, flag: 'wx' });
  chmodSync(keyFile(), 0o600);
  return readFileSync(keyFile());
};
const prefix = Buffer.from('v11');
export const safeStorage = {
  isEncryptionAvailable: () => app.isReady(),
  getSelectedStorageBackend: () => (keyring ? 'gnome_libsecret' : 'basic_text'),
  encryptString(text: string): Buffer {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key(), nonce);
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([prefix, nonce, cipher.getAuthTag(), body]);
  },
  decryptString(encrypted: Buffer): string {
    if (!encrypted.subarray(0, 3).equals(prefix)) throw new Error('Error while decrypting the ciphertext provided.');
    const decipher = createDecipheriv('aes-256-gcm', key(), encrypted.subarray(3, 15));
    decipher.setAuthTag(encrypted.subarray(15, 31));
    return Buffer.concat([decipher.update(encrypted.subarray(31)), decipher.final()]).toString('utf8');
  },
};

class NativeTheme extends EventEmitter {
  #source: 'system' | 'light' | 'dark' = 'system';
  get shouldUseDarkColors(): boolean {
    return this.#source === 'dark';
  }
  get themeSource(): 'system' | 'light' | 'dark' {
    return this.#source;
  }
  set themeSource(source: 'system' | 'light' | 'dark') {
    this.#source = source;
    this.applyToAll();
    this.emit('updated');
  }
  applyToAll(): void {
    const scheme = this.#source === 'system' ? null : this.#source;
    for (const window of BrowserWindow.getAllWindows()) window.webContents.setColourScheme(scheme);
  }
}
export const nativeTheme = new NativeTheme();

export const dialog = {
  /** What was asked, and the answers a test has laid ready; without one the dialog counts as cancelled. */
  asked: [] as unknown[],
  answers: [] as Array<{ filePath?: string; response?: number }>,
  async showSaveDialog(...values: unknown[]) {
    dialog.asked.push(values.at(-1));
    const { filePath } = dialog.answers.shift() ?? {};
    return filePath === undefined ? { canceled: true, filePath: '' } : { canceled: false, filePath };
  },
  async showMessageBox(...values: unknown[]) {
    dialog.asked.push(values.at(-1));
    return { response: dialog.answers.shift()?.response ?? 0, checkboxChecked: false };
  },
  showErrorBox(title: string, content: string) {
    process.stderr.write(`${title}: ${content}\n`);
  },
};

const display = { id: 1, scaleFactor: 1, bounds: { x: 0, y: 0, width: 1280, height: 800 } };
export const screen = Object.assign(new EventEmitter(), {
  getPrimaryDisplay: () => ({ ...display, workArea: display.bounds, workAreaSize: { width: 1280, height: 800 } }),
  getAllDisplays: () => [{ ...display, workArea: display.bounds }],
});

export const clipboard = {
  text: '',
  writeText(text: string): void {
    clipboard.text = text;
  },
  readText: () => clipboard.text,
};

export const powerMonitor = Object.assign(new EventEmitter(), { getSystemIdleTime: () => 0 });
export const globalShortcut = {
  register: () => false,
  unregister: () => undefined,
  unregisterAll: () => undefined,
  isRegistered: () => false,
};
