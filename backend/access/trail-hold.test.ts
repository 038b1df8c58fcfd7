/** AU-02: a trail that was cut, and a database restored from yesterday's backup, against an anchor outside. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Grant } from '../../src/shared/access.ts';
import { openAnchor, readAnchor } from '../audit/anchor.ts';
import { type AuditKey, openAuditKey } from '../audit/heads.ts';
import { verifyExport } from '../audit/verify.ts';
import { createLog } from '../log.ts';
import { loadGrants } from '../store/grants.ts';
import { wholeExport } from '../testing/whole-export.ts';
import { type Office, openOffice } from './testing/office.ts';
import { confirmRestore, keepTrail } from './trail-hold.ts';

let office: Office;
let folder: string;
let file: string;
let key: AuditKey;
beforeEach(async () => {
  office = await openOffice();
  folder = mkdtempSync(join(tmpdir(), 'curfew-anchor-'));
  file = join(folder, 'anchor.jsonl');
  key = openAuditKey(folder);
});
afterEach(async () => {
  await office.close();
  rmSync(folder, { recursive: true, force: true });
});

const log = createLog({ write: () => undefined });
/** As a start of the backend does it, and every minute after that. */
const keep = () => keepTrail({ ...office.deps, key, anchor: openAnchor(file), log });
const exported = async (): Promise<string[]> => {
  const wish = { format: 'jsonl' as const, requestId: null };
  return (await wholeExport({ db: office.db, key, wish, at: office.deps.now() })).lines;
};
const verify = async () => verifyExport(await exported(), key.keyId, readAnchor(file));

const submitted = async (): Promise<Grant> => {
  const request = await office.access.submit(office.person('mira'), office.draft(['staging']));
  const [grant] = await loadGrants(office.db, (eb) => eb('grants.request_id', '=', request.id));
  if (grant === undefined) throw new Error('There is no grant.');
  return grant;
};
const stateOf = async ({ id }: Grant): Promise<string> =>
  (await office.db.selectFrom('grants').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;

const tables = ['audit', 'audit_head', 'audit_signature', 'requests', 'decisions', 'grants', 'notices', 'trail_anchor'];
const backUp = async (): Promise<void> => {
  for (const table of tables) await sql.raw(`create table backup_${table} as table ${table}`).execute(office.db);
};
/** As the database's owner can: past every trigger. */
const restore = (): Promise<void> =>
  office.db.connection().execute(async (connection) => {
    await sql`set session_replication_role = replica`.execute(connection);
    for (const table of tables) {
      await sql.raw(`delete from ${table}`).execute(connection);
      await sql.raw(`insert into ${table} select * from backup_${table}`).execute(connection);
    }
    await sql`set session_replication_role = origin`.execute(connection);
  });

test('AU-02 a database older than its anchor gives nothing, ends what it takes for live, and goes on when an admin confirms', async () => {
  await keep();
  const grant = await submitted();
  await office.access.connect(await office.reader('mira'), grant.id);
  await backUp();
  await office.access.end(await office.reader('mira'), { grantId: grant.id, comment: null });
  office.pass(60);
  await keep();
  const whole = await verify();
  expect(whole).toMatchObject({ ok: true, anchor: { ok: true, lost: [] } });

  await restore();
  expect(await stateOf(grant)).toBe('granting');
  // An export of the cut trail is a good chain; only the anchor knows that its end is missing.
  expect(verifyExport(await exported(), key.keyId)).toMatchObject({ ok: true, anchor: null });
  expect(await verify()).toMatchObject({ ok: false, what: expect.stringMatching(/is missing: the end was cut off$/) });

  office.pass(60);
  await keep();
  expect(await stateOf(grant)).toBe('ending');
  await expect(submitted()).rejects.toMatchObject({
    code: 'paused',
    detail: { message: expect.stringContaining('older than its anchor') },
  });
  // Rows that are written meanwhile do not make it look even, and are not anchored.
  const anchored = readFileSync(file, 'utf8');
  for (let round = 0; round < 5; round += 1) await keep();
  await expect(submitted()).rejects.toMatchObject({ code: 'paused' });
  expect(readFileSync(file, 'utf8')).toBe(anchored);

  const deps = { db: office.db, anchorFile: file, now: office.deps.now, key };
  expect(await confirmRestore(deps, 'dele at the console')).toContain('older than its anchor');
  expect(await confirmRestore(deps, 'dele at the console')).toBeNull();
  await submitted();
  office.pass(60);
  await keep();
  await submitted();
  // It verifies again, and says for ever what was lost.
  const after = await verify();
  if (!after.ok || after.anchor === null) throw new Error(JSON.stringify(after));
  expect(after.anchor.lost).toHaveLength(1);
  // A head of before, put there again as a restore by somebody without the key, drops nothing.
  const [first] = readAnchor(file);
  if (first === undefined) throw new Error('There is no head.');
  const forged = [...readAnchor(file), { kind: 'restored' as const, head: { ...first.head, after: 0 } }];
  expect(verifyExport(await exported(), key.keyId, forged)).toMatchObject({ ok: false });
  expect(after.anchor.provenTo).toBeGreaterThan(after.anchor.lost[0]?.from ?? Number.NaN);
});

test('AU-02 an anchor that is gone, that is not readable, or that another key signed is no anchor', async () => {
  await submitted();
  await keep();
  const good = readFileSync(file, 'utf8');
  appendFileSync(file, 'what is this\n');
  await keep();
  await expect(submitted()).rejects.toMatchObject({
    code: 'paused',
    detail: { message: expect.stringContaining('is not a signed head') },
  });
  writeFileSync(file, good);
  await confirmRestore({ db: office.db, anchorFile: file, now: office.deps.now, key }, 'dele');
  await submitted();

  rmSync(file);
  await keep();
  await expect(submitted()).rejects.toMatchObject({
    code: 'paused',
    detail: { message: expect.stringContaining('the anchor is empty or gone') },
  });

  const stranger = openAuditKey(mkdtempSync(join(folder, 'stranger-')));
  const theirs = join(folder, 'theirs.jsonl');
  writeFileSync(theirs, good.replaceAll(key.keyId, stranger.keyId));
  expect(verifyExport(await exported(), key.keyId, readAnchor(theirs))).toMatchObject({
    ok: false,
    what: expect.stringContaining('is not signed by this key'),
  });
});

test('AU-02 a line that a crash cut off is passed over, and spoils no later one', async () => {
  await submitted();
  await keep();
  appendFileSync(file, '{"head":{"sequence":9');
  await submitted();
  office.pass(60);
  const before = openAnchor(file).newest();
  await keep();
  // Not held, and what came after the crash is anchored.
  await submitted();
  expect(openAnchor(file).newest()?.sequence).toBeGreaterThan(before?.sequence ?? Number.NaN);
  expect(await verify()).toMatchObject({ ok: true });
});
