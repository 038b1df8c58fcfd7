/**
 * What a hostile instance may send to the terminal, made harmless (threats TERM-01 to TERM-07). Counts in control sequences are held to
 * what a screen can hold, because `ESC [ 2147483647 S` freezes xterm.js 6 for more than 40 s; strings that could write the clipboard, set
 * titles or show notifications are not obeyed, and none grows beyond 64 KiB. Knows no window: all of it runs under Node too.
 */
import type { IDisposable, IMarker, Terminal } from '@xterm/xterm';

/** Final bytes whose work xterm repeats once a count, on the whole screen: scrolling, and inserting and deleting lines. */
const countedInLines = ['S', 'T', 'L', 'M'];
/** The same, a cell at a time: repeat the last character, tab stops. What only moves the cursor is clamped by xterm itself. */
const countedInCells = ['b', 'I', 'Z'];

/** Resets a second that are obeyed: each one makes all lines anew, and is two characters. */
const resetsPerSecond = 20;
/** Links alive at once in one terminal: xterm follows each of them through every scroll. */
const linksAlive = 1000;
const linksPerMarker = 50;
/** No browser takes a longer address from us (`openLink` in the desktop contract). */
const longestLink = 2000;

/** Everything in a window of time beyond `most` is refused. `now` in ms. */
const createRate = (most: number, now: () => number): (() => boolean) => {
  let since = Number.NEGATIVE_INFINITY;
  let count = 0;
  return () => {
    if (now() - since > 1000) {
      since = now();
      count = 0;
    }
    count += 1;
    return count <= most;
  };
};

/** Says whether one more link may live; a link is over when its line has left the scrollback. */
const createLinkCount = (terminal: Terminal): (() => boolean) => {
  let groups: Array<{ marker: IMarker; links: number }> = [];
  return () => {
    const last = groups.at(-1);
    if (last !== undefined && last.links < linksPerMarker && !last.marker.isDisposed) {
      last.links += 1;
      return true;
    }
    groups = groups.filter((group) => !group.marker.isDisposed);
    if (groups.length * linksPerMarker >= linksAlive) return false;
    groups.push({ marker: terminal.registerMarker(0), links: 1 });
    return true;
  };
};

/**
 * Registers our handlers in front of xterm's own. What nobody could mean is dropped; everything else goes on to xterm.
 * @param now in ms, any origin.
 */
export const tameSequences = (terminal: Terminal, now: () => number): IDisposable => {
  const { parser } = terminal;
  const dropBeyond = (final: string, most: () => number): IDisposable =>
    parser.registerCsiHandler({ final }, ([count = 0]) => typeof count === 'number' && count > most());
  const mayReset = createRate(resetsPerSecond, now);
  const mayLink = createLinkCount(terminal);
  const handlers = [
    ...countedInLines.map((final) => dropBeyond(final, () => terminal.rows)),
    ...countedInCells.map((final) => dropBeyond(final, () => Math.max(terminal.rows, terminal.cols) * 2)),
    parser.registerEscHandler({ final: 'c' }, () => !mayReset()),
    // 0, 1, 2: titles are ours. 9, 99, 777: notifications. 52: clipboard. 1337: files and images.
    ...[0, 1, 2, 9, 52, 99, 777, 1337].map((id) => parser.registerOscHandler(id, () => true)),
    parser.registerOscHandler(8, (data) => {
      const address = data.slice(data.indexOf(';') + 1);
      return address !== '' && (address.length > longestLink || !mayLink());
    }),
  ];
  return {
    dispose: () => {
      for (const handler of handlers) handler.dispose();
    },
  };
};

/**
 * Where a link leads that a person clicked on, written as the browser will be given it, so that what is shown is what is opened: no look-alike
 * letters, no marks that turn the text round. Null for what is left alone (threats TERM-03): anything but https (the main process opens nothing
 * else), names and passwords, which make one host look like another, and addresses that are too long to be looked at.
 */
export const linkTarget = (address: string): string | null => {
  const url = URL.parse(address);
  if (url === null || url.protocol !== 'https:' || url.username !== '' || url.password !== '') return null;
  return url.href.length > longestLink ? null : url.href;
};

/** Longest OSC or DCS string that reaches the terminal, characters. */
const longestString = 64 * 1024;

// ESC, and the 8-bit beginnings of DCS and OSC, which xterm knows too.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what begins a string
const mayBegin = /[\u001b\u0090\u009d]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what ends a string
const endsOsc = /[\u0007\u0018\u001a\u001b\u0080-\u009f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a BEL is part of a device control string
const endsDcs = /[\u0018\u001a\u001b\u0080-\u009f]/g;
/** Between ESC and its letter, xterm goes on over controls and DEL. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: CAN, SUB and ESC are left out on purpose
const passedOver = /[\u0000-\u0017\u0019\u001c-\u001f\u007f]/;
const cancel = '\u0018';

type Inside = 'text' | 'escape' | 'string' | 'dropped-string';

const indexFrom = (pattern: RegExp, text: string, from: number): number => {
  pattern.lastIndex = from;
  const found = pattern.exec(text);
  return found === null ? text.length : found.index;
};

/**
 * Cuts OSC and DCS strings that grow beyond 64 KiB, wherever the chunks are cut: the string is cancelled, so that xterm forgets what it
 * has of it, and the rest is swallowed up to its end. APC, PM and SOS need no limit: xterm keeps nothing of them. Jumps from one escape to the
 * next; output without any is handed back as it came.
 * @returns a function from a chunk as received to the text that may be written.
 */
export const createStringLimit = (): ((chunk: string) => string) => {
  let inside: Inside = 'text';
  let ends = endsOsc;
  let length = 0;

  const begin = (end: RegExp): Inside => {
    ends = end;
    length = 0;
    return 'string';
  };
  const afterMark = (mark: string | undefined): Inside => {
    if (mark === '\u009d') return begin(endsOsc);
    return mark === '\u0090' ? begin(endsDcs) : 'escape';
  };
  const afterEscape = (character: string): Inside => {
    if (character === ']') return begin(endsOsc);
    if (character === 'P') return begin(endsDcs);
    if (character === '\u001b' || character === '\u0090' || character === '\u009d') return afterMark(character);
    return passedOver.test(character) ? 'escape' : 'text';
  };

  let out = '';
  /** Where what is not yet in `out` begins. */
  let kept = 0;
  /** Goes on to the end of the string or of the chunk, and cuts out what is too much. */
  const passString = (chunk: string, at: number): number => {
    const end = indexFrom(ends, chunk, at);
    const room = longestString - length;
    length += end - at;
    if (inside === 'string' && length > longestString) {
      out += chunk.slice(kept, at + room) + cancel;
      inside = 'dropped-string';
    }
    if (inside === 'dropped-string') kept = end;
    if (end < chunk.length) inside = 'text';
    return end;
  };
  const passText = (chunk: string, at: number): number => {
    const mark = indexFrom(mayBegin, chunk, at);
    if (mark < chunk.length) inside = afterMark(chunk[mark]);
    return mark + 1;
  };

  return (chunk) => {
    out = '';
    kept = 0;
    for (let at = 0; at < chunk.length; ) {
      if (inside === 'text') at = passText(chunk, at);
      else if (inside === 'escape') {
        inside = afterEscape(chunk.charAt(at));
        at += 1;
      } else at = passString(chunk, at);
    }
    return kept === 0 ? chunk : out + chunk.slice(kept);
  };
};

/** xterm looks at the clock after each piece that it was given: small ones keep the window alive whatever they hold. Characters. */
const pieceLength = 512;

/** A chunk in pieces, in order. */
export const piecesOf = (chunk: string): string[] => {
  const pieces: string[] = [];
  for (let at = 0; at < chunk.length; at += pieceLength) pieces.push(chunk.slice(at, at + pieceLength));
  return pieces;
};

/** Answers a terminal may give by itself in a second: more than that is somebody typing through us (threats TERM-04). */
const answersPerSecond = 100;

/** Only digits and fixed letters: device attributes, status, cursor position, modes, focus; and the status strings that xterm knows. */
const harmlessAnswer =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: answers begin with ESC
  /^\u001b\[(?:[?>]?[0-9;]{0,40}[cnR]|\??[0-9;]{1,20}\$y|[IO])$|^\u001bP[01]\$r[0-9;]{0,40}(?:"p|"q|m|r| q)?\u001b\\$/;

/** Decides which of the terminal's own answers are sent on. `now` in ms. */
export const createAnswerGate = (now: () => number): ((data: string) => boolean) => {
  const inTime = createRate(answersPerSecond, now);
  return (data) => harmlessAnswer.test(data) && inTime();
};

/**
 * What may be pasted: controls but tab and newline are taken out, so that a page cannot end the bracket and type on (threats TERM-07).
 * `ask` when it has several lines or more than 4 KiB: then a person looks at it first. The line break after a single line is left off,
 * because a shell without bracketed paste would run the line before anybody has read it.
 */
export const cleanPaste = (text: string): { text: string; lines: number; ask: boolean } => {
  const plain = text
    .replaceAll(/\r\n?/g, '\n')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
  const lines = plain.replace(/\n$/, '').split('\n').length;
  const kept = lines === 1 ? plain.replace(/\n$/, '') : plain;
  return { text: kept, lines, ask: lines > 1 || kept.length > 4096 };
};

/** Text in parts of at most `most` UTF-16 units, none of which ends in the middle of a character. */
export const typedParts = (text: string, most: number): string[] => {
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = at + most;
    // A high surrogate may not be the last of its part.
    const cut = end < text.length && /[\ud800-\udbff]/.test(text.charAt(end - 1)) ? end - 1 : end;
    parts.push(text.slice(at, cut));
    at = cut;
  }
  return parts;
};
