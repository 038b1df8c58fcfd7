/**
 * The provisioner: makes the personal roles that access policies hang on, for the people in the configured groups. A process
 * of its own with AWS credentials of its own, because whoever can make roles must not be able to decide about access, and
 * the other way round (threats AWS-09). It never changes whom an existing role trusts.
 *
 * `npm run provision -- [--watch SECONDS] [--remove-leavers]`, with CURFEW_CONFIG naming the configuration. Prints one JSON
 * line for each thing it did or found; exits with 1 when something could not be done.
 */
import { parseArgs } from 'node:util';
import { readConfigFile } from '../config.ts';
import { openProvisioner } from './provisioner.ts';

const print = (line: object): void => console.log(JSON.stringify({ at: new Date().toISOString(), ...line }));

const { values } = parseArgs({
  options: { watch: { type: 'string' }, 'remove-leavers': { type: 'boolean', default: false } },
});
const watchSeconds = values.watch === undefined ? null : Number(values.watch);
if (watchSeconds !== null && !(Number.isInteger(watchSeconds) && watchSeconds >= 1 && watchSeconds <= 86_400)) {
  console.error('--watch takes whole seconds, 1 to 86400.');
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

const config = readConfigFile();
if (config.directory.kind === 'iam-users') {
  print({ event: 'done', why: 'People are IAM users here: nobody has a personal role.' });
  process.exit(0);
}
const provisioner = openProvisioner(config);
const round = async (): Promise<boolean> => {
  let well = true;
  for await (const line of provisioner.run({ removeLeavers: values['remove-leavers'] })) {
    print(line);
    if (line.event === 'failed') well = false;
  }
  return well;
};

let well = await round();
while (watchSeconds !== null && !stop.signal.aborted) {
  await sleep(watchSeconds * 1000);
  if (!stop.signal.aborted) well = await round();
}
provisioner.close();
process.exitCode = well ? 0 : 1;
