import { expect, test } from 'vitest';
import { plainText } from './plain-text.ts';

test('colours, titles, bracketed paste and bells are gone, the words stay', () => {
  const output =
    '\u001b[?2004h\u001b]0;title\u0007\u001b[32mssm-user\u001b[0m:~$ echo 東京\r\n\u001b[?2004l\r東京\u0007\r\nssm-user:~$ ';
  expect(plainText(output)).toBe('ssm-user:~$ echo 東京\n東京\nssm-user:~$\n');
});

test('a line drawn over again keeps its last state', () => {
  expect(plainText('10%\r50%\r100%\r\ndone\r\n')).toBe('100%\ndone\n');
});

test('TERM-11 nothing in the file can draw on the terminal of whoever reads it', () => {
  const hostile = 'a\u001b]52;c;ZXZpbA==\u001b\\b\u009b31mc\u001bPq#0\u001b\\d\u001b[2J\u001b';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
  expect(plainText(hostile)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
});
