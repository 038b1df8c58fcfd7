import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FreshStore, freshStore } from '../testing/fresh-store.ts';
import { wholeExport } from '../testing/whole-export.ts';
import { anchorHeads, openAnchor, readAnchor } from './anchor.ts';
import { appendAudit } from './chain.ts';
import type { AuditEvent } from './event.ts';
import { csvCell, exportParts } from './export.ts';
import { type AuditKey, openAuditKey, signHead } from './heads.ts';
import { watchChain } from './state.ts';
import { verifyExport } from './verify.ts';

const ada = { id: 'c2c5d4e4-1021', userName: 'ada@example.com', displayName: 'Ada' };
const noon = new Date('2026-11-22T12:00:00.000Z');
const event = (n: number, reason = `reason ${n}`): AuditEvent => ({
  at: new Date(noon.getTime() + n * 1000).toISOString(),
  actor: { kind: 'person', person: ada },
  kind: 'request_submitted',
  requestId: `req_${String.fromCharCode(97 + (n % 3)).repeat(26)}`,
  requester: ada,
  extendsGrantId: null,
  instances: [{ accountId: '111122223333', region: 'eu-west-1', instanceId: 'i-0123456789abcdef0' }],
  capability: 'shell',
  durationSeconds: 3600,
  reason,
  ticket: null,
  ruleSetHash: 'x',
});

let store: FreshStore;
let key: AuditKey;
let folder = '';
let exported = '';
/** Five rows a part, so that even short trails have several. */
const exportOf = (db: FreshStore['db'], format: 'jsonl' | 'csv', requestId: string | null = null) =>
  wholeExport({ db, key, wish: { format, requestId }, at: noon, most: 5 });
beforeAll(async () => {
  store = await freshStore();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curfew-audit-'));
  key = openAuditKey(folder);
  for (let n = 0; n < 12; n += 1) await store.db.transaction().execute((tx) => appendAudit(tx, event(n)));
  await signHead(store.db, key, noon);
  await store.db.transaction().execute((tx) => appendAudit(tx, event(12, '=HYPERLINK("x")\u001b[2J')));
  exported = (await exportOf(store.db, 'jsonl')).text;
});
afterAll(async () => {
  await store.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

describe('AU-01 any mutation of an export is found', () => {
  test('an untouched export verifies, signed to row 12', () => {
    expect(verifyExport(exported.split('\n'), key.keyId)).toEqual({
      ok: true,
      scope: 'whole',
      rows: 13,
      signedTo: 12,
      keyId: key.keyId,
      anchor: null,
    });
  });

  test('AU-01 a changed, deleted, repeated, swapped or inserted row is named', () => {
    const lines = exported.trimEnd().split('\n');
    const rows = fc.integer({ min: 1, max: 13 });
    const line = (at: number): string => lines[at] ?? '';
    const mutations = {
      delete: (at: number) => lines.toSpliced(at, 1),
      repeat: (at: number) => lines.toSpliced(at, 0, line(at)),
      swap: (at: number, other: number) => lines.with(at, line(other)).with(other, line(at)),
      edit: (at: number) => lines.with(at, line(at).replace('3600', '3601')),
      rehash: (at: number) => lines.with(at, line(at).replace(/"hash":"[0-9a-f]{4}/, '"hash":"0bad')),
    };
    const verdict = (mutated: string[]) => verifyExport(mutated, key.keyId);
    fc.assert(
      fc.property(rows, rows, (at, other) => {
        expect(verdict(mutations.edit(at))).toMatchObject({ ok: false, line: at + 1, sequence: at });
        expect(verdict(mutations.rehash(at))).toMatchObject({ ok: false, line: at + 1, sequence: at });
        expect(verdict(mutations.repeat(at))).toMatchObject({ ok: false, line: at + 2, sequence: at });
        expect(verdict(mutations.delete(at)).ok).toBe(false);
        if (at !== other) expect(verdict(mutations.swap(at, other)).ok).toBe(false);
      }),
      { numRuns: 100 },
    );
  });

  test('AU-01 halves of two trails do not join', async () => {
    const foreign = await freshStore();
    for (let n = 0; n < 12; n += 1) await foreign.db.transaction().execute((tx) => appendAudit(tx, event(n, 'other')));
    const { lines: text } = await exportOf(foreign.db, 'jsonl');
    await foreign.close();
    const ours = exported.split('\n');
    const joined = [...ours.slice(0, 7), ...text.slice(7, 13), ...ours.slice(13)];
    expect(verifyExport(joined, key.keyId)).toMatchObject({ ok: false, sequence: 7 });
  });

  test('AU-03 a whole forged trail, well signed by a key of its own, is not ours by fingerprint nor by anchor', async () => {
    const forger = await freshStore();
    const ownKey = openAuditKey(path.join(folder, 'forged'));
    for (let n = 0; n < 12; n += 1) await forger.db.transaction().execute((tx) => appendAudit(tx, event(n, 'nicer')));
    await signHead(forger.db, ownKey, noon);
    const wish = { format: 'jsonl' as const, requestId: null };
    const { lines } = await wholeExport({ db: forger.db, key: ownKey, wish, at: noon, most: 5 });
    await forger.close();
    // Nothing in it contradicts itself: only knowing the key from elsewhere helps.
    expect(verifyExport(lines, null)).toMatchObject({ ok: true, rows: 12, signedTo: 12, keyId: ownKey.keyId });
    const words = `signed by key ${ownKey.keyId}, but ${key.keyId} was expected`;
    expect(verifyExport(lines, key.keyId)).toEqual({ ok: false, line: 1, sequence: null, what: words });
    // The forger writes our fingerprint, or our key itself, into the header.
    const [top = '', ...rest] = lines;
    const named = top.replaceAll(ownKey.keyId, key.keyId);
    expect(verifyExport([named, ...rest], key.keyId)).toEqual({ ok: false, line: 1, sequence: null, what: words });
    const withOurKey = JSON.stringify({ ...JSON.parse(named), publicKey: key.publicKeyPem });
    expect(verifyExport([withOurKey, ...rest], key.keyId)).toMatchObject({ ok: false, sequence: 12 });
    // Or the auditor holds no fingerprint, but what was anchored.
    const anchored = path.join(folder, 'anchor.jsonl');
    await anchorHeads(store.db, openAnchor(anchored), noon);
    expect(verifyExport(exported.split('\n'), null, readAnchor(anchored))).toMatchObject({ ok: true });
    expect(verifyExport(lines, null, readAnchor(anchored))).toMatchObject({
      ok: false,
      what: 'the anchored head of row 12 is not signed by this key',
    });
    const file = path.join(folder, 'forged.jsonl');
    fs.writeFileSync(file, lines.join('\n'));
    const run = (...args: string[]) =>
      promisify(execFile)(process.execPath, ['backend/audit/cli.ts', 'verify', file, ...args]);
    await expect(run('--key', key.keyId)).rejects.toMatchObject({
      code: 1,
      stdout: `NOT VERIFIED, line 1: ${words}\n`,
    });
    expect((await run()).stdout).toContain('(taken from the export: compare it with the one you know)');
  });

  test('an excerpt of one request verifies and says that it is one', async () => {
    const excerpt = await exportOf(store.db, 'jsonl', `req_${'a'.repeat(26)}`);
    expect(verifyExport(excerpt.lines, key.keyId)).toMatchObject({ ok: true, scope: 'excerpt', rows: excerpt.rows });
  });
});

test('an export comes in parts, goes up to the row that was the last when it began, and verifies', async () => {
  const growing = await freshStore();
  const append = (n: number) => growing.db.transaction().execute((tx) => appendAudit(tx, event(n)));
  for (let n = 0; n < 7; n += 1) {
    await append(n);
    await signHead(growing.db, key, noon);
  }
  const exporting = { db: growing.db, key, wish: { format: 'jsonl' as const, requestId: null }, at: noon, most: 3 };
  const texts: string[] = [];
  const parts: Array<[rows: number, of: number]> = [];
  for await (const { text, rows, of } of exportParts(exporting)) {
    texts.push(text);
    parts.push([rows, of]);
    await append(100 + parts.length);
    await signHead(growing.db, key, noon);
  }
  await growing.close();
  expect(parts).toEqual([[3, 7], [3, 7], [1, 7], [0, 7], [0, 7], [0, 7]]); // biome-ignore format: one list
  expect(verifyExport(texts.join('').split('\n'), key.keyId)).toMatchObject({ ok: true, rows: 7, signedTo: 7 });
});

test('audit rows cannot be changed, deleted or truncated', async () => {
  for (const statement of ['update audit set kind = kind', 'delete from audit', 'truncate audit cascade']) {
    await expect(sql.raw(statement).execute(store.db)).rejects.toThrow('append-only');
  }
});

test('AU-07 a state change without its audit row does not commit', async () => {
  await store.db
    .insertInto('people')
    .values({
      id: ada.id,
      user_name: ada.userName,
      display_name: 'Ada',
      email: null,
      enabled: true,
      groups: [],
      checked_at: noon,
    })
    .execute();
  const request = {
    id: 'req_x', requester_id: ada.id, extends_grant_id: null, capability: 'shell', duration_seconds: 3600, reason: 'r', ticket: null,
    state: 'waiting', submitted_at: noon, lapses_at: noon, closed_at: null, approvals_needed: 1, rule_id: 'r', rule_set_hash: 'h',
  } as const; // biome-ignore format: one row
  await expect(
    store.db
      .insertInto('requests')
      .values({ ...request, audit_sequence: 1 })
      .execute(),
  ).rejects.toThrow('no audit row');
  await store.db.transaction().execute(async (tx) => {
    const audit_sequence = await appendAudit(tx, event(20));
    await tx
      .insertInto('requests')
      .values({ ...request, audit_sequence })
      .execute();
  });
  await expect(
    store.db.updateTable('requests').set({ state: 'withdrawn', closed_at: noon }).where('id', '=', 'req_x').execute(),
  ).rejects.toThrow('no audit row');
});

test('fifty writers at once leave one chain without gaps, and the watch verifies it', async () => {
  const busy = await freshStore();
  const watch = watchChain(busy.db);
  await Promise.all(
    Array.from({ length: 50 }, (_, n) => busy.db.transaction().execute((tx) => appendAudit(tx, event(n)))),
  );
  expect(await watch.state(noon)).toMatchObject({ rows: 50, verified: { ok: true } });
  const { lines } = await exportOf(busy.db, 'jsonl');
  expect(verifyExport(lines, key.keyId)).toMatchObject({ ok: true, rows: 50 });
  await sql
    .raw(
      'alter table audit disable trigger all; update audit set event = event || \'{"reason":"nicer"}\' where sequence = 30',
    )
    .execute(busy.db);
  expect(await watchChain(busy.db).state(noon)).toMatchObject({ verified: { ok: false, sequence: 30 } });
  await busy.close();
});

test('AU-08 CSV cells start no formula and hold their quotes', async () => {
  for (const starter of ['=', '+', '-', '@', '\t', '\r']) expect(csvCell(`${starter}1`)).toBe(`"'${starter}1"`);
  expect(csvCell('say "no"')).toBe('"say ""no"""');
  expect((await exportOf(store.db, 'csv')).text.split('\r\n')[0]).toContain('"sequence"');
});

test('AU-08 hostile names and reasons: JSON Lines keep them exactly, CSV stays a table without formulas', async () => {
  const hostile = await freshStore();
  const texts = [
    '=HYPERLINK("http://evil")',
    '+1',
    '-1',
    '@SUM(A1)',
    '\t=1',
    '\r=1',
    'a\nb',
    'a\r\nb","=1',
    '\u001b[2J',
    '\u202e',
    '"',
  ];
  for (const [n, text] of texts.entries()) {
    const somebody = { ...ada, displayName: text };
    const made = { ...event(n, text), actor: { kind: 'person' as const, person: somebody }, requester: somebody };
    await hostile.db.transaction().execute((tx) => appendAudit(tx, made));
  }
  const { text: lines } = await exportOf(hostile.db, 'jsonl');
  const rows = lines.trimEnd().split('\n').slice(1);
  expect(rows.map((row) => JSON.parse(row).event.reason)).toEqual(texts);
  const { text: csv } = await exportOf(hostile.db, 'csv');
  await hostile.close();
  // RFC 4180: every cell in quotes, a quote twice.
  const table = [...csv.matchAll(/"((?:[^"]|"")*)"(,|\r\n)/g)]
    .reduce<string[][]>(
      (all, [, cell = '', end]) => {
        all.at(-1)?.push(cell.replaceAll('""', '"'));
        if (end !== ',') all.push([]);
        return all;
      },
      [[]],
    )
    .filter((row) => row.length > 0);
  expect(table).toHaveLength(texts.length + 1);
  const [columns = []] = table;
  for (const row of table) {
    expect(row).toHaveLength(columns.length);
    for (const cell of row) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
  }
  expect(table.slice(1).map((row) => row[columns.indexOf('actor')]?.replace(/^'/, ''))).toEqual(texts);
});

test('the command line verifies a file, and says no with exit code 1', async () => {
  const file = path.join(folder, 'trail.jsonl');
  const run = (...args: string[]) => promisify(execFile)(process.execPath, ['backend/audit/cli.ts', 'verify', ...args]);
  fs.writeFileSync(file, exported);
  expect((await run(file, '--key', key.keyId)).stdout).toContain(
    'verified: 13 rows, the whole trail, signed to row 12',
  );
  fs.writeFileSync(file, exported.replace('reason 5', 'reason 6'));
  await expect(run(file)).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('row 6 was changed') });
});

test('the command line exports what it then verifies with the fingerprint that it tells', async () => {
  const config = path.join(folder, 'curfew.yml');
  const example = fs.readFileSync('deploy/curfew.example.yml', 'utf8');
  fs.writeFileSync(config, example.replace('keysFolder: keys', `keysFolder: ${folder}`));
  const out = path.join(folder, 'exported.jsonl');
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['backend/audit/cli.ts', ...args], {
      env: { ...process.env, CURFEW_CONFIG: config, DATABASE_URL: store.url },
    });
  const fingerprint = (await run('key')).stdout.trim();
  expect(fingerprint).toBe(key.keyId);
  expect((await run('export', '--out', out)).stdout).toMatch(/^\d+ rows in /);
  expect((await run('verify', out, '--key', fingerprint)).stdout).toContain('the whole trail');
  expect((await run('export', '--format', 'csv')).stdout.split('\r\n')[0]).toContain('"sequence"');
});
