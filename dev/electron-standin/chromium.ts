/**
 * One Chromium for one application instance, driven by the DevTools protocol over a pipe. The pipe is also the leash:
 * Chromium ends by itself as soon as our end is closed, also when this process is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable, Writable } from 'node:stream';

export type Facts = Record<string, unknown>;

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
];

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** The Chromium to use: `CHROMIUM` when set, else a standard place; null when there is none. */
export const findChromium = (): string | null =>
  [process.env['CHROMIUM'] ?? '', ...places].find((file) => file !== '' && isExecutable(file)) ?? null;

export const isFacts = (value: unknown): value is Facts =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** A nested object of a protocol message; an empty one when it is not there. */
export const factsAt = (from: Facts, key: string): Facts => {
  const value = from[key];
  return isFacts(value) ? value : {};
};
/** A text of a protocol message; empty when it is not there. */
export const textAt = (from: Facts, key: string): string => {
  const value = from[key];
  return typeof value === 'string' ? value : '';
};

export type ChromiumOptions = {
  executable: string;
  profile: string;
  headed: boolean;
  /** Also listen on a loopback port of its own choice, as Electron does for `--remote-debugging-port=0`. */
  debuggingPort: string | null;
};

/** Events: `closed`, and every protocol event by `<sessionId>/<method>` (browser-wide ones have an empty session). */
export class Chromium extends EventEmitter {
  readonly #child: ChildProcess;
  readonly #input: Writable;
  readonly #waiting = new Map<
    number,
    { resolve: (result: Facts) => void; reject: (error: Error) => void; method: string }
  >();
  readonly headed: boolean;
  #lastId = 0;
  #closed = false;

  constructor(options: ChromiumOptions) {
    super();
    this.setMaxListeners(0);
    this.headed = options.headed;
    this.#child = spawn(options.executable, switchesFor(options), {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const [, , errors, input, output] = this.#child.stdio;
    if (!(input instanceof Writable) || !(output instanceof Readable) || !(errors instanceof Readable)) {
      throw new Error('Chromium was started without its pipes');
    }
    this.#input = input;
    input.on('error', () => this.#end());
    createInterface({ input: errors }).on('line', (line) => {
      if (line.startsWith('DevTools listening')) process.stderr.write(`${line}\n`);
    });
    this.#read(output);
    this.#child.on('error', () => this.#end());
    this.#child.on('exit', () => this.#end());
  }

  /** Sends one command; an empty session means the browser itself. Rejects with Chromium's own words. */
  send(session: string, method: string, params: Facts = {}): Promise<Facts> {
    if (this.#closed) return Promise.reject(new Error(`Chromium has ended: ${method}`));
    this.#lastId += 1;
    const id = this.#lastId;
    const message = { id, method, params, ...(session === '' ? {} : { sessionId: session }) };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, method });
      this.#input.write(`${JSON.stringify(message)}\0`);
    });
  }

  /** Listens to one event of one session. Returns how to stop. */
  listen(session: string, method: string, listener: (params: Facts) => void): () => void {
    const name = `${session}/${method}`;
    this.on(name, listener);
    return () => this.off(name, listener);
  }

  /** Asks it to end, and makes it end when it does not within 3 s. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const ended = new Promise<void>((resolve) => this.once('closed', resolve));
    this.send('', 'Browser.close').catch(() => undefined);
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 3000);
    await ended;
    clearTimeout(force);
  }

  #read(output: Readable): void {
    let parts: Buffer[] = [];
    output.on('data', (chunk: Buffer) => {
      let from = 0;
      for (let at = chunk.indexOf(0); at !== -1; at = chunk.indexOf(0, from)) {
        parts.push(chunk.subarray(from, at));
        this.#receive(Buffer.concat(parts).toString('utf8'));
        parts = [];
        from = at + 1;
      }
      if (from < chunk.length) parts.push(chunk.subarray(from));
    });
    output.on('close', () => this.#end());
  }

  #receive(text: string): void {
    const message: unknown = JSON.parse(text);
    if (!isFacts(message)) return;
    const { id } = message;
    if (typeof id !== 'number') {
      this.emit(`${textAt(message, 'sessionId')}/${textAt(message, 'method')}`, factsAt(message, 'params'));
      return;
    }
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    if ('error' in message) call?.reject(new Error(`${call.method}: ${textAt(factsAt(message, 'error'), 'message')}`));
    else call?.resolve(factsAt(message, 'result'));
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const call of this.#waiting.values()) call.reject(new Error(`Chromium has ended: ${call.method}`));
    this.#waiting.clear();
    this.emit('closed');
  }
}

const switchesFor = ({ profile, headed, debuggingPort }: ChromiumOptions): string[] => [
  `--user-data-dir=${profile}`,
  '--remote-debugging-pipe',
  ...(debuggingPort === null ? [] : [`--remote-debugging-port=${debuggingPort}`]),
  // On a display it starts with a window without tabs, which becomes the tray window.
  ...(headed
    ? ['--app=data:text/html,<title>tray</title>']
    : ['--headless=new', '--window-size=1280,800', '--no-startup-window']),
  '--keep-alive-for-test',
  '--no-first-run',
  '--no-default-browser-check',
  '--test-type',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-features=Translate,MediaRouter,OptimizationHints',
  '--disable-popup-blocking',
  // Electron keeps countdowns of covered windows exact enough; Chromium's browser windows do not.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  '--password-store=basic',
  // Electron lets a page load its own modules from file:; Chromium needs to be told.
  '--allow-file-access-from-files',
  // Root has no namespaces to sandbox with in a container.
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];
