/**
 * `npm run external-id -- --keys FOLDER ACCOUNT_ID` prints the external id of an account: made of this installation's key and the
 * account's number, so that no two installations and no two accounts share one, and nobody chooses it (threats AWS-10). It is the same
 * each time. FOLDER is `keysFolder` of the configuration; decision.key is made there when it is missing.
 */
import { parseArgs } from 'node:util';
import { accountId } from '../../src/shared/access.ts';
import { externalIdOf, openSealKey } from '../store/seal.ts';

const usage = 'Usage: npm run external-id -- --keys FOLDER ACCOUNT_ID';

const main = (): number => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { keys: { type: 'string' } } });
  const account = accountId.safeParse(positionals[0]);
  if (values.keys === undefined || values.keys === '' || !account.success || positionals.length !== 1) {
    console.error(usage);
    return 2;
  }
  console.log(externalIdOf(openSealKey(values.keys), account.data));
  return 0;
};

try {
  process.exitCode = main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
