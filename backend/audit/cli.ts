/** `npm run audit -- verify FILE [--key FINGERPRINT]`: checks an export without the backend. Exit code 0 only when it verifies. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { verifyExport } from './verify.ts';

const usage = 'Usage: npm run audit -- verify FILE [--key FINGERPRINT]';

const visible = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

const main = (): number => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { key: { type: 'string' } } });
  const [command, file] = positionals;
  if (command !== 'verify' || file === undefined) {
    console.error(usage);
    return 2;
  }
  const result = verifyExport(readFileSync(file, 'utf8'), values.key ?? null);
  if (!result.ok) {
    console.log(visible(`NOT VERIFIED, line ${result.line}: ${result.what}`));
    return 1;
  }
  const scope = result.scope === 'whole' ? 'the whole trail' : 'an excerpt: rows of other requests are left out';
  const signed = result.signedTo === null ? 'no row is signed yet' : `signed to row ${result.signedTo}`;
  const key =
    values.key === undefined
      ? `key ${result.keyId} (taken from the export: compare it with the one you know)`
      : `key ${result.keyId}`;
  console.log(`verified: ${result.rows} rows, ${scope}, ${signed}, ${key}`);
  return 0;
};

try {
  process.exitCode = main();
} catch (error) {
  console.error(error instanceof Error ? visible(error.message) : String(error));
  process.exitCode = 2;
}
