/**
 * What a hostile instance may send to the terminal, made harmless (threats TERM-01 to TERM-07). Counts in control sequences are cut down to
 * what a screen can hold, because `ESC [ 2147483647 S` freezes xterm.js 6 for more than 40 s; OSC and DCS that could write the
 * clipboard, show notifications or carry megabytes are taken out of the stream before the parser sees them.
 */
import type { IDisposable, Terminal } from '@xterm/xterm';

/** Final bytes of control sequences that repeat their work `count` times. */
const counted = ['S', 'T', 'L', 'M', 'P', '@', 'X', 'b', 'I', 'Z', 'A', 'B', 'C', 'D', 'E', 'F', 'a', 'e'];
/** Final bytes that take a place on the screen or a count; xterm clamps these itself. */
const longest = 64 * 1024;

const asNumber = (parameter: number | number[] | undefined): number =>
  Array.isArray(parameter) ? (parameter[0] ?? 0) : (parameter ?? 0);

/**
 * Registers our handlers in front of xterm's own. A sequence whose count is beyond the screen is dropped and, where that changes
 * nothing on the screen, replaced by one with the largest count that means something.
 */
export const tameSequences = (terminal: Terminal): IDisposable => {
  const handlers = counted.map((final) =>
    terminal.parser.registerCsiHandler({ final }, (parameters) => {
      const count = asNumber(parameters[0]);
      const most = Math.max(terminal.rows, terminal.cols) * 2;
      // Handled (and so dropped) when nobody could mean it; else xterm goes on with its own handler.
      return count > most && !(final === 'b' && count <= terminal.cols * terminal.rows);
    }),
  );
  // 0, 1, 2: titles are ours. 9, 777: notifications. 52: clipboard. 1337: files and images. 4, 10 to 12 with "?": answers.
  const silenced = [0, 1, 2, 9, 52, 99, 777, 1337].map((id) => terminal.parser.registerOscHandler(id, () => true));
  return {
    dispose: () => {
      for (const handler of [...handlers, ...silenced]) handler.dispose();
    },
  };
};

type Inside = 'text' | 'escape' | 'string' | 'string-escape';
type Held = { inside: Inside; text: string; tooLong: boolean };

const stringStarts = ']P_^X';
/** BEL, CAN, SUB and the 8-bit ST end a string; so does `ESC` and a backslash. */
const stringEnds = '\u0007\u0018\u001a\u009c';

/** After an ESC: a string begins, another escape begins, or it is a short sequence that xterm handles. */
const afterEscape = (held: Held, character: string): string => {
  if (character === '\u001b') return character;
  held.text += character;
  if (stringStarts.includes(character)) {
    held.inside = 'string';
    held.tooLong = false;
    return '';
  }
  held.inside = 'text';
  return held.text;
};

const insideString = (held: Held, character: string): string => {
  if (!held.tooLong) held.text += character;
  if (held.text.length > longest) held.tooLong = true;
  const ended = stringEnds.includes(character) || (held.inside === 'string-escape' && character === '\\');
  held.inside = character === '\u001b' ? 'string-escape' : 'string';
  if (!ended) return '';
  held.inside = 'text';
  return held.tooLong ? '' : held.text;
};

/**
 * Drops OSC, DCS, APC, PM and SOS strings that grow beyond 64 KiB, wherever the chunks are cut. What is inside such a string is held
 * back until it ends, so that a terminal never buffers an endless one.
 * @returns a function from a chunk as received to the text that may be written.
 */
export const createStringLimit = (): ((chunk: string) => string) => {
  const held: Held = { inside: 'text', text: '', tooLong: false };
  const step = (character: string): string => {
    if (held.inside === 'escape') return afterEscape(held, character);
    if (held.inside !== 'text') return insideString(held, character);
    if (character !== '\u001b') return character;
    held.inside = 'escape';
    held.text = character;
    return '';
  };
  return (chunk) => {
    // Most output has no escape at all: nothing to look at.
    if (held.inside === 'text' && !chunk.includes('\u001b')) return chunk;
    let out = '';
    for (const character of chunk) out += step(character);
    return out;
  };
};

/** Answers a terminal may give by itself in a second: more than that is somebody typing through us (threats TERM-04). */
const answersPerSecond = 100;

/** Only digits and fixed letters: a device attribute, a cursor position, a mode report. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: answers begin with ESC
const harmlessAnswer = /^\u001b\[[?>=]?[0-9;]*\$?[a-zA-Z]$|^\u001bP[01]\$r[0-9;: "'$]*[a-zA-Z]{0,2}\u001b\\$/;

/** Decides which of the terminal's own answers are sent on. `now` in ms. */
export const createAnswerGate = (now: () => number): ((data: string) => boolean) => {
  let since = 0;
  let answers = 0;
  return (data) => {
    if (now() - since > 1000) {
      since = now();
      answers = 0;
    }
    answers += 1;
    return answers <= answersPerSecond && harmlessAnswer.test(data);
  };
};

/**
 * What may be pasted: controls but tab and newline are taken out, so that a page cannot end the bracket and type on (threats TERM-07).
 * `ask` when it has several lines or more than 4 KiB: then a person looks at it first.
 */
export const cleanPaste = (text: string): { text: string; lines: number; ask: boolean } => {
  const plain = text
    .replaceAll(/\r\n?/g, '\n')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
    .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
  const lines = plain.replace(/\n$/, '').split('\n').length;
  return { text: plain, lines, ask: lines > 1 || plain.length > 4096 };
};
