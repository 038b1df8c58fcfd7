import { createSecretKey, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openAuditKey } from '../audit/heads.ts';
import { type DecisionContent, decisionSealHolds, externalIdOf, openSealKey, sealDecision } from './seal.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'curfew-keys-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const content: DecisionContent = {
  id: 'dec_a',
  requestId: 'req_a',
  requesterId: 'c2c5d4e4',
  ruleId: null,
  personId: 'c2c5d4e5',
  verdict: 'yes',
  instances: [{ accountId: '482011773306', region: 'eu-central-1', instanceId: 'i-0123456789abcdef0' }],
  durationSeconds: 3600,
  at: new Date('2026-11-22T10:00:00.000Z'),
  ruleSetHash: 'a'.repeat(64),
  seenHash: 'b'.repeat(64),
};

test('AU-05 the key is made once, for its owner only, and a seal by it holds after a restart', () => {
  const keys = join(folder, 'keys');
  const mac = sealDecision(openSealKey(keys), content);
  expect(statSync(keys).mode & 0o777).toBe(0o700);
  expect(statSync(join(keys, 'decision.key')).mode & 0o777).toBe(0o600);
  expect(decisionSealHolds(openSealKey(keys), content, mac)).toBe(true);
  expect(decisionSealHolds(openSealKey(join(folder, 'other')), content, mac)).toBe(false);
});

test('AU-09 a key does not print its bytes', () => {
  const key = openSealKey(folder);
  const hex = readFileSync(join(folder, 'decision.key'), 'utf8').trim();
  expect(hex).toMatch(/^[0-9a-f]{64}$/);
  for (const text of [inspect(key), JSON.stringify({ key }), String(key)]) expect(text).not.toContain(hex.slice(0, 8));
});

test('API-15 a key or a folder that others can look into is refused, each wider mode of it', () => {
  const opened = { 'decision.key': openSealKey, 'audit.key': openAuditKey };
  for (const [name, open] of Object.entries(opened)) {
    const keys = join(folder, name.replace('.', '-'));
    open(keys);
    for (const wider of [0o640, 0o620, 0o610, 0o604, 0o602, 0o601]) {
      chmodSync(join(keys, name), wider);
      expect(() => open(keys), wider.toString(8)).toThrow(/can be read by others/);
    }
    chmodSync(join(keys, name), 0o600);
    for (const wider of [0o750, 0o720, 0o710, 0o704, 0o702, 0o701]) {
      chmodSync(keys, wider);
      expect(() => open(keys), wider.toString(8)).toThrow(/is open to others/);
    }
    chmodSync(keys, 0o700);
    expect(() => open(keys)).not.toThrow();
  }
});

test('a key that is none is refused', () => {
  openSealKey(folder);
  writeFileSync(join(folder, 'decision.key'), 'changeme');
  expect(() => openSealKey(folder)).toThrow(/not a key of 64 hex digits/);
});

test('AU-05 no other content has the same seal', () => {
  const key = openSealKey(folder);
  const mac = sealDecision(key, content);
  const changes = fc.constantFrom<Partial<DecisionContent>>(
    { id: 'dec_b' },
    { requestId: 'req_b' },
    { requesterId: 'c2c5d4e6' },
    { ruleId: 'x' },
    { personId: null },
    { verdict: 'no' },
    { instances: [] },
    { instances: null },
    { durationSeconds: 3601 },
    { at: new Date('2026-11-22T10:00:00.001Z') },
    { ruleSetHash: 'c'.repeat(64) },
    { seenHash: null },
  );
  fc.assert(
    fc.property(fc.array(changes, { minLength: 1, maxLength: 4 }), (list) => {
      expect(decisionSealHolds(key, Object.assign({ ...content }, ...list), mac)).toBe(false);
    }),
  );
  expect(decisionSealHolds(key, { ...content }, mac)).toBe(true);
  for (const forged of ['', mac.toUpperCase(), `${mac}00`, mac.slice(2)]) {
    expect(decisionSealHolds(key, content, forged)).toBe(false);
  }
});

test('AWS-10 an external id is one of this key and this account, and the same each time', () => {
  const [key, other] = [createSecretKey(randomBytes(32)), createSecretKey(randomBytes(32))];
  const accounts = ['111122223333', '444455556666'];
  const ids = [key, other].flatMap((one) => accounts.map((account) => externalIdOf(one, account)));
  expect(new Set(ids).size).toBe(4);
  expect(ids).toEqual([key, other].flatMap((one) => accounts.map((account) => externalIdOf(one, account))));
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{48}$/);
});
