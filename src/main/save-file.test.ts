import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { PlainFault } from './ports.ts';
import { saveFile } from './save-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'curfew-save-'));
const file = join(folder, 'audit.jsonl');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function* cutOff() {
  yield 'one\n';
  throw new Error('The backend is gone.');
}

it('writes all parts, for its owner only, over what was there', async () => {
  writeFileSync(file, 'old, and longer than the new one', { mode: 0o644 });
  await saveFile('The audit trail', file, ['one\n', 'two\n']);
  expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['audit.jsonl']);
});

it('leaves what was there when the parts end too early, and nothing beside it', async () => {
  await saveFile('The audit trail', file, ['whole\n']);
  await expect(saveFile('The audit trail', file, cutOff())).rejects.toThrow('The backend is gone.');
  expect(readFileSync(file, 'utf8')).toBe('whole\n');
  expect(readdirSync(folder)).toEqual(['audit.jsonl']);
});

it('says so where nothing can be written', async () => {
  const nowhere = saveFile('The audit trail', join(folder, 'missing', 'audit.jsonl'), ['one\n']);
  await expect(nowhere).rejects.toThrow(PlainFault);
  await expect(nowhere).rejects.toThrow('The audit trail could not be written there. Nothing was changed.');
});
