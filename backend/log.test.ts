import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { createLog, errorFacts, Secret } from './log.ts';

test('AU-09 a secret shows itself to nobody who does not ask for it', () => {
  const secret = new Secret('canary');
  const shown = [`${secret}`, String(secret), JSON.stringify({ secret }), inspect({ secret }, { depth: 5 })];
  for (const text of shown) {
    expect(text).toContain('[secret]');
    expect(text).not.toContain('canary');
  }
  expect(secret.reveal()).toBe('canary');
});

test('AU-09 fields with the names of secrets are taken out of log lines', () => {
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line) });
  log.info({ authorization: 'canary1', session: { TokenValue: 'canary2', deeper: { sessionToken: 'canary3' } } }, 'x');
  log.warn({ token: new Secret('canary4'), proof: { signature: 'canary5' } }, 'y');
  expect(lines.join('')).not.toContain('canary');
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(['info', 'warn']);
});

test('an error is logged by what explains it, not by what hangs on it', () => {
  const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  const error = Object.assign(new Error('no answer', { cause }), {
    $response: { headers: { authorization: 'canary' } },
  });
  const lines: string[] = [];
  createLog({ write: (line) => lines.push(line) }).error({ error }, 'failed');
  expect(lines.join('')).not.toContain('canary');
  expect(JSON.parse(lines[0] ?? '').error).toMatchObject({
    name: 'Error',
    message: 'no answer',
    cause: { message: 'refused', code: 'ECONNREFUSED' },
  });
});

test('AU-08 a line break in a value stays inside its line', () => {
  const lines: string[] = [];
  createLog({ write: (line) => lines.push(line) }).info({ name: 'a\n{"level":"error"}\u001b[2J' }, 'x');
  expect(lines).toHaveLength(1);
  expect(lines[0]?.trimEnd()).not.toMatch(/\p{Cc}/u);
});

test('causes that point in a circle end', () => {
  const error = new Error('round');
  error.cause = error;
  expect(JSON.stringify(errorFacts(error)).length).toBeLessThan(20_000);
});
