/**
 * The audit trail on the command line.
 * `npm run audit -- verify FILE [--key FINGERPRINT] [--anchor FILE]` checks an export without the backend; exit code 0 only when it
 * verifies, and with an anchor only when nothing that was anchored is missing.
 * `npm run audit -- export [--format jsonl|csv] [--request ID] [--out FILE]` reads the trail; CURFEW_CONFIG names the configuration.
 * `npm run audit -- confirm-restore --by NAME` lets things begin again on a database that is older than its anchor.
 * `npm run audit -- key` prints the fingerprint to hand to auditors.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { parseArgs } from 'node:util';
import { requestId } from '../../src/shared/access.ts';
import type { ExportWish } from '../../src/shared/views.ts';
import { confirmRestore } from '../access/trail-hold.ts';
import { loadConfig } from '../config.ts';
import { openStore } from '../store/open.ts';
import { readAnchor } from './anchor.ts';
import { exportParts } from './export.ts';
import { openAuditKey, signHead } from './heads.ts';
import { verifyExport } from './verify.ts';

const usage = `Usage: npm run audit -- verify FILE [--key FINGERPRINT] [--anchor FILE]
       npm run audit -- export [--format jsonl|csv] [--request ID] [--out FILE]
       npm run audit -- confirm-restore --by NAME
       npm run audit -- key`;

/** Controls and direction marks as escapes: a row must not write on the auditor's terminal (threats AU-08). */
const visible = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** The lines of a file of any size. */
function* linesOf(file: string): Generator<string> {
  const handle = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(1 << 20);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for (let read = readSync(handle, bytes); read > 0; read = readSync(handle, bytes)) {
      const lines = (rest + decoder.write(bytes.subarray(0, read))).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
    yield rest + decoder.end();
  } finally {
    closeSync(handle);
  }
}

const verify = (file: string, key: string | null, anchorFile: string | null): number => {
  const anchor = anchorFile === null ? null : readAnchor(anchorFile);
  const result = verifyExport(linesOf(file), key, anchor);
  if (!result.ok) {
    console.log(visible(`NOT VERIFIED, line ${result.line}: ${result.what}`));
    return 1;
  }
  const scope = result.scope === 'whole' ? 'the whole trail' : 'an excerpt: rows of other requests are left out';
  const signed = result.signedTo === null ? 'no row is signed yet' : `signed to row ${result.signedTo}`;
  const whose = key === null ? ' (taken from the export: compare it with the one you know)' : '';
  console.log(`verified: ${result.rows} rows, ${scope}, ${signed}, key ${result.keyId}${whose}`);
  if (result.anchor === null) {
    console.log('no anchor was given: rows cut off after the last signed one would go unnoticed');
    return 0;
  }
  const { provenTo, lost } = result.anchor;
  console.log(provenTo === null ? 'the anchor proves none of these rows' : `anchored to row ${provenTo}`);
  for (const { from, to, at } of lost) {
    console.log(visible(`rows ${from} to ${to} of an earlier trail are lost: a restore was confirmed at ${at}`));
  }
  return 0;
};

const confirm = async (by: string): Promise<number> => {
  const config = loadConfig();
  if (config.auditAnchor === undefined) {
    console.error('The configuration names no auditAnchor.');
    return 2;
  }
  const store = await openStore(config.databaseUrl, (error) => console.error(visible(error.message)));
  try {
    const key = openAuditKey(config.keysFolder);
    const deps = { db: store.api, anchorFile: config.auditAnchor, now: () => new Date(), key };
    const what = await confirmRestore(deps, by);
    console.log(what === null ? 'nothing is held' : `confirmed: ${visible(what)}`);
    return 0;
  } finally {
    await store.close();
  }
};

const exportTrail = async (wish: ExportWish, out: string | null): Promise<number> => {
  const config = loadConfig();
  const store = await openStore(config.databaseUrl, (error) => console.error(visible(error.message)));
  try {
    const key = openAuditKey(config.keysFolder);
    await signHead(store.api, key, new Date());
    const parts = exportParts({ db: store.api, key, wish, at: new Date() });
    const handle = out === null ? process.stdout.fd : openSync(out, 'w', 0o600);
    let rows = 0;
    for await (const part of parts) {
      for (let bytes = Buffer.from(part.text); bytes.length > 0; ) bytes = bytes.subarray(writeSync(handle, bytes));
      rows += part.rows;
      if (out !== null && process.stderr.isTTY) process.stderr.write(`\r${rows} of ${part.of} rows`);
    }
    if (out === null) return 0;
    closeSync(handle);
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
    console.log(`${rows} rows in ${out}`);
    return 0;
  } finally {
    await store.close();
  }
};

const main = async (): Promise<number> => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      key: { type: 'string' },
      format: { type: 'string', default: 'jsonl' },
      request: { type: 'string' },
      out: { type: 'string' },
      anchor: { type: 'string' },
      by: { type: 'string' },
    },
  });
  const [command, file] = positionals;
  if (command === 'verify' && file !== undefined) return verify(file, values.key ?? null, values.anchor ?? null);
  if (command === 'confirm-restore' && values.by !== undefined && values.by !== '') return await confirm(values.by);
  if (command === 'export' && (values.format === 'jsonl' || values.format === 'csv')) {
    const request = values.request === undefined ? null : requestId.parse(values.request);
    return await exportTrail({ format: values.format, requestId: request }, values.out ?? null);
  }
  if (command === 'key') {
    console.log(openAuditKey(loadConfig().keysFolder).keyId);
    return 0;
  }
  console.error(usage);
  return 2;
};

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? visible(error.message) : String(error));
  process.exitCode = 2;
}
