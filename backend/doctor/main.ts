/**
 * `npm run doctor -- [--as backend|provisioner|person] [--person USER_ID] [--json]`, with CURFEW_CONFIG naming the configuration and
 * the AWS credentials of whose place it takes (default: the backend). Says of every prerequisite whether it is all right, what was
 * found and what to mend. Exit code 0 only when nothing is wrong, 1 when something is, 2 when it was called wrongly.
 */
import { parseArgs } from 'node:util';
import { type Config, databaseUrlOf, readConfigFile, stsEndpoint } from '../config.ts';
import { FileError } from '../yaml-file.ts';
import { examine, type Place, places } from './doctor.ts';
import { counted, type Finding, notOk, ok } from './finding.ts';
import { startReport } from './report.ts';

const usage = `Usage: CURFEW_CONFIG=FILE npm run doctor [-- [--as ${places.join('|')}] [--person USER_ID] [--json]]`;

type Called = { as: Place; personId: string | null; json: boolean };

/** Null: called wrongly. */
const called = (): Called | null => {
  try {
    const { values } = parseArgs({
      options: { as: { type: 'string', default: 'backend' }, person: { type: 'string' }, json: { type: 'boolean' } },
    });
    const as = places.find((place) => place === values.as);
    const personId = values.person ?? null;
    if (as === undefined || (personId !== null && !/^[0-9a-f-]{1,47}$/.test(personId))) return null;
    return { as, personId, json: values.json === true };
  } catch {
    return null;
  }
};

type Read = { finding: Finding; config: Config | null };

const readConfiguration = (): Read => {
  const where = { area: 'configuration', check: 'file' };
  try {
    const file = readConfigFile();
    const found = `${file.organisationName}: ${counted(file.accounts.length, 'account')}`;
    return { finding: { ...where, ...ok(found) }, config: { ...file, databaseUrl: databaseUrlOf(file) ?? '' } };
  } catch (error) {
    const advice =
      error instanceof FileError
        ? 'Mend these lines; deploy/curfew.example.yml has every setting.'
        : 'Set CURFEW_CONFIG to your configuration; deploy/curfew.example.yml is one to copy.';
    // A line of its own for each problem of the file, in one finding.
    const found = (error instanceof Error ? error.message : String(error)).replaceAll('\n', '; ');
    return { finding: { ...where, ...notOk(found, advice) }, config: null };
  }
};

async function* findings(options: Called): AsyncGenerator<Finding, void, void> {
  const { finding, config } = readConfiguration();
  yield finding;
  if (config === null) return;
  const { as, personId } = options;
  yield* examine({ config, as, personId, stsEndpoint: stsEndpoint(), now: () => new Date() });
}

const main = async (): Promise<number> => {
  const options = called();
  if (options === null) {
    console.error(usage);
    return 2;
  }
  const report = startReport();
  const all: Finding[] = [];
  for await (const finding of findings(options)) {
    const lines = report.add(finding);
    all.push(finding);
    if (!options.json) console.log(lines);
  }
  const { line, well } = report.end();
  console.log(options.json ? JSON.stringify({ well, findings: all }, null, 2) : line);
  return well ? 0 : 1;
};

process.exitCode = await main();
