/**
 * One xterm.js a tab, kept outside React: output must go on while another tab is shown. Flow control by acknowledging what was drawn.
 */
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { WebglAddon } from '@xterm/addon-webgl';
import { type ITheme, Terminal } from '@xterm/xterm';
import type { TerminalBridge } from '../../shared/desktop.ts';
import {
  cleanPaste,
  createAnswerGate,
  createStringLimit,
  linkTarget,
  piecesOf,
  tameSequences,
  typedParts,
} from './hostile-output.ts';

const scrollbackLines = 10_000;
/** Acknowledge in lumps: each one is a message to the main process. */
const acknowledgeEveryMs = 12;
/** Below what one `keystrokes` intent takes (desktop contract). */
const typedAtOnce = 32 * 1024;

export type Screen = {
  readonly tabId: string;
  readonly terminal: Terminal;
  readonly search: SearchAddon;
  /** Puts it into an element and fits it; again whenever the element changed its size. */
  show: (element: HTMLElement) => void;
  fit: () => void;
  /** Types what a person chose to paste; cleaned by `cleanPaste` before. */
  paste: (text: string) => void;
  /** The grant is over: nothing can be typed any more, everything stays. */
  freeze: () => void;
  dispose: () => void;
};

export type ScreenEvents = {
  /** Several lines or much text: a person is asked before it is sent. */
  onPasteToAsk: (tabId: string, paste: { text: string; lines: number }) => void;
  /** A link was clicked; `url` as the browser would be given it. */
  onLink: (url: string) => void;
  /** A key that belongs to the window; true when it was taken. */
  onKey: (event: KeyboardEvent) => boolean;
};

export type Screens = ReturnType<typeof createScreens>;

const token = (styles: CSSStyleDeclaration, name: string): string => styles.getPropertyValue(name).trim();

/** The terminal's colours out of the tokens in force. */
const themeOf = (root: Element): ITheme => {
  const styles = getComputedStyle(root);
  const [background, foreground, dim] = ['--term-bg', '--term-fg', '--term-dim'].map((name) => token(styles, name));
  const ansi = (name: string): string => token(styles, `--ansi-${name}`);
  const colours = {
    red: ansi('red'),
    green: ansi('green'),
    yellow: ansi('yellow'),
    blue: ansi('blue'),
    magenta: ansi('magenta'),
    cyan: ansi('cyan'),
  };
  return {
    ...(background === undefined ? {} : { background, cursorAccent: background }),
    ...(foreground === undefined ? {} : { foreground, cursor: foreground }),
    selectionBackground: token(styles, '--term-sel'),
    ...colours,
    brightRed: colours.red,
    brightGreen: colours.green,
    brightYellow: colours.yellow,
    brightBlue: colours.blue,
    brightMagenta: colours.magenta,
    brightCyan: colours.cyan,
    ...(dim === undefined ? {} : { brightBlack: dim }),
  };
};

/** What xterm does with links: by itself it would open a window. */
const follow =
  (onLink: (url: string) => void) =>
  (_event: MouseEvent, address: string): void => {
    const target = linkTarget(address);
    if (target !== null) onLink(target);
  };

const makeTerminal = (fontSize: number, onLink: (url: string) => void): Terminal =>
  new Terminal({
    allowProposedApi: true,
    scrollback: scrollbackLines,
    fontSize,
    fontFamily: '"JetBrains Mono Variable", "JetBrains Mono", "Noto Sans Mono CJK SC", monospace',
    lineHeight: 1,
    minimumContrastRatio: 4.5,
    cursorBlink: false,
    macOptionIsMeta: true,
    screenReaderMode: false,
    theme: themeOf(document.documentElement),
    windowOptions: {},
    linkHandler: { activate: follow(onLink), allowNonHttpProtocols: false },
  });

/** Webgl computed on the processor (SwiftShader, llvmpipe) is slower than xterm's own DOM renderer. */
const hasGraphicsCard = (): boolean => {
  const context = document.createElement('canvas').getContext('webgl2');
  if (context === null) return false;
  const facts = context.getExtension('WEBGL_debug_renderer_info');
  const drawnBy = facts === null ? '' : String(context.getParameter(facts.UNMASKED_RENDERER_WEBGL));
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(drawnBy);
};

/** webgl draws fastest; where there is none, or it is lost, xterm's DOM renderer takes over. */
const drawFast = (terminal: Terminal): void => {
  if (!hasGraphicsCard()) return;
  try {
    const webgl = new WebglAddon();
    webgl.onContextLoss(() => webgl.dispose());
    terminal.loadAddon(webgl);
  } catch {
    // No webgl on this machine: the DOM renderer is in place already.
  }
};

/**
 * A key, a mouse button or a wheel is being dealt with right now. Browsers set `event` while they hand one out and take it back before anything
 * else runs, and xterm reads output in tasks of its own: so what it says outside of such an event is its answer to output.
 */
const personActs = (): boolean => {
  const acting: unknown = Reflect.get(window, 'event');
  return acting instanceof UIEvent && acting.isTrusted;
};

export const createScreens = (bridge: TerminalBridge, events: ScreenEvents) => {
  const screens = new Map<string, Screen & { write: (chunk: string) => void }>();

  const make = (tabId: string, fontSize: number): Screen & { write: (chunk: string) => void } => {
    const terminal = makeTerminal(fontSize, events.onLink);
    const fitter = new FitAddon();
    const search = new SearchAddon();
    terminal.loadAddon(fitter);
    terminal.loadAddon(search);
    terminal.loadAddon(new UnicodeGraphemesAddon());
    terminal.loadAddon(new WebLinksAddon(follow(events.onLink)));
    tameSequences(terminal, () => performance.now());
    const limit = createStringLimit();
    const mayAnswer = createAnswerGate(() => performance.now());

    let drawn = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const acknowledge = (): void => {
      timer = undefined;
      const characters = drawn;
      drawn = 0;
      if (characters > 0) void bridge.send.acknowledge({ tabId, characters });
    };

    let frozen = false;
    let writing = false;
    let pasting = false;
    const type = (data: string): void => {
      for (const part of typedParts(data, typedAtOnce)) void bridge.send.keystrokes({ tabId, data: part });
    };
    terminal.onData((data) => {
      if (frozen) return;
      const typed = !writing && (pasting || personActs());
      // Text that an input method composed comes a moment after its event, but never begins like an answer.
      if (typed || !data.startsWith('\u001b') || mayAnswer(data)) type(data);
    });
    terminal.onBinary((data) => {
      if (!frozen) type(data);
    });
    const paste = (text: string): void => {
      pasting = true;
      terminal.paste(text);
      pasting = false;
    };
    terminal.onResize(({ cols, rows }) => void bridge.send.resize({ tabId, cols, rows }));
    terminal.attachCustomKeyEventHandler((event) => !events.onKey(event));

    let opened: HTMLElement | null = null;
    const onPaste = (event: ClipboardEvent): void => {
      event.preventDefault();
      event.stopPropagation();
      if (frozen) return;
      const wanted = cleanPaste(event.clipboardData?.getData('text/plain') ?? '');
      if (wanted.text === '') return;
      if (wanted.ask) events.onPasteToAsk(tabId, wanted);
      else paste(wanted.text);
    };

    return {
      tabId,
      terminal,
      search,
      write: (chunk) => {
        // xterm reads at once what comes just after a key: that is no typing, whatever event brought the chunk.
        writing = true;
        for (const piece of piecesOf(limit(chunk))) terminal.write(piece);
        terminal.write('', () => {
          drawn += chunk.length;
          timer ??= setTimeout(acknowledge, acknowledgeEveryMs);
        });
        writing = false;
      },
      show: (element) => {
        if (opened === null) {
          terminal.open(element);
          drawFast(terminal);
        } else if (opened !== element && terminal.element !== undefined) {
          // A tab that is shown again has a new frame, and xterm opens only once: what it has drawn moves there.
          element.append(terminal.element);
        }
        if (opened !== element) {
          opened?.removeEventListener('paste', onPaste, true);
          // In the capture phase: xterm's own paste would send what we have not cleaned.
          element.addEventListener('paste', onPaste, true);
          opened = element;
        }
        fitter.fit();
        void bridge.send.resize({ tabId, cols: terminal.cols, rows: terminal.rows });
      },
      fit: () => {
        if (opened !== null && opened.offsetWidth > 0) fitter.fit();
      },
      paste,
      freeze: () => {
        frozen = true;
        terminal.options.disableStdin = true;
        terminal.write('\u001b[?25l');
      },
      dispose: () => {
        clearTimeout(timer);
        opened?.removeEventListener('paste', onPaste, true);
        terminal.dispose();
      },
    };
  };

  let size = 13;
  const of = (tabId: string): Screen & { write: (chunk: string) => void } => {
    const known = screens.get(tabId);
    if (known !== undefined) return known;
    const made = make(tabId, size);
    screens.set(tabId, made);
    return made;
  };

  const stop = bridge.onOutput((tabId, chunk) => of(tabId).write(chunk));

  return {
    of: (tabId: string): Screen => of(tabId),
    /** Forgets the screens of tabs that are closed. */
    keepOnly: (tabIds: readonly string[]): void => {
      for (const [tabId, screen] of screens) {
        if (tabIds.includes(tabId)) continue;
        screen.dispose();
        screens.delete(tabId);
      }
    },
    /** Font size in px and the colours of the scheme in force. */
    restyle: (fontSize: number): void => {
      size = fontSize;
      const theme = themeOf(document.documentElement);
      for (const screen of screens.values()) {
        screen.terminal.options.theme = theme;
        screen.terminal.options.fontSize = fontSize;
        screen.fit();
      }
    },
    dispose: (): void => {
      stop();
      for (const screen of screens.values()) screen.dispose();
      screens.clear();
    },
  };
};
