/** The command line of local-aws: `serve` runs it, everything else talks to a running one through its control API. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const usage = `local-aws: a stand-in for AWS on this machine, for development only

  serve [--port 4566] [--state FILE] [--run FOLDER] [--world FILE]

  world                                   people, groups, accounts and instances as they are now
  sessions                                every session of this run
  calls [--service S] [--operation O]     the last 2,000 calls; "calls forget" empties the list
  roles ACCOUNT                           names of all roles of an account
  role ACCOUNT NAME                       one role with its trust, boundary and policies
  person USERNAME [--disable | --enable] [--groups A,B] [--rename NEW]
  instance ID [--offline | --online] [--tag KEY=VALUE]... [--untag KEY]... [--name NAME]
  document ACCOUNT NAME MINUTES           change a session document's longest duration

  faults                                  what is set
  faults spreading MS                     IAM changes take effect after this long (usual: 1000)
  faults rate-limits on|off               AWS's documented rates (usual: on)
  faults fail SERVICE OPERATION CODE [--status 400] [--after N] [--times N | --always]
  faults lose SERVICE OPERATION [--after N] [--times N | --always]    the call is done, its answer is lost
  faults slow SERVICE OPERATION MS [--after N] [--times N | --always]
  faults link [--latency MS] [--lose SHARE] [--corrupt SHARE] [--repeat SHARE] [--reorder SHARE]
  faults drop [SESSION]                   cut the websocket of one session or of all
  faults lifetimes NAME=SECONDS...        e.g. accessTokenSeconds=60 portalSessionSeconds=300
  reset                                   no faults, no sessions, no sign-ins; IAM and the world stay

Where a running one is: --endpoint URL, else AWS_ENDPOINT_URL, else http://127.0.0.1:4566.
`;

/** What a person typed wrong; told without a stack. */
class UsageError extends Error {}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const many = { type: 'string', multiple: true } as const;
const read = (args: string[]) =>
  parseArgs({
    args,
    allowPositionals: true,
    options: {
      port: text,
      state: text,
      run: text,
      world: text,
      endpoint: text,
      service: text,
      operation: text,
      groups: text,
      rename: text,
      name: text,
      disable: flag,
      enable: flag,
      online: flag,
      offline: flag,
      tag: many,
      untag: many,
      status: text,
      after: text,
      times: text,
      always: flag,
      latency: text,
      lose: text,
      corrupt: text,
      repeat: text,
      reorder: text,
      help: flag,
    },
  });
type Line = ReturnType<typeof read>;
type Options = Line['values'];
/** A call of the control API: the method and its body. */
type Ask = { method: string; body: Record<string, unknown> };

const numberOf = (value: string | undefined, what: string): number => {
  const number = Number(value);
  if (value === undefined || value === '' || !Number.isFinite(number))
    throw new UsageError(`${what} must be a number.`);
  return number;
};
const wordOf = (value: string | undefined, what: string): string => {
  if (value === undefined) throw new UsageError(`${what} is missing.`);
  return value;
};
/** Without what was not given. */
const given = (body: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
const pairOf = (word: string): [string, string] => {
  const at = word.indexOf('=');
  if (at < 1) throw new UsageError(`${word} is not NAME=VALUE.`);
  return [word.slice(0, at), word.slice(at + 1)];
};
const eitherOf = (yes: boolean | undefined, no: boolean | undefined): boolean | undefined =>
  yes === true ? true : no === true ? false : undefined;
const numberIfGiven = (value: string | undefined, what: string): number | undefined =>
  value === undefined ? undefined : numberOf(value, what);

/** A fault rule from `SERVICE OPERATION` and the counting options. */
const ruleFor = (words: string[], options: Options, effect: Record<string, unknown>): Ask => {
  const [service, operation] = words;
  const times = options.always === true ? null : numberIfGiven(options.times, '--times');
  return {
    method: 'addFault',
    body: given({
      match: { service: wordOf(service, 'SERVICE'), operation: wordOf(operation, 'OPERATION') },
      after: numberIfGiven(options.after, '--after'),
      times,
      effect,
    }),
  };
};

const faultCommands: Record<string, (words: string[], options: Options) => Ask> = {
  spreading: ([ms]) => ({ method: 'changeSettings', body: { spreadingDelayMs: numberOf(ms, 'MS') } }),
  'rate-limits': ([word]) => {
    if (word !== 'on' && word !== 'off') throw new UsageError('rate-limits is on or off.');
    return { method: 'changeSettings', body: { rateLimits: word === 'on' } };
  },
  fail: (words, options) => {
    const status = numberIfGiven(options.status, '--status');
    return ruleFor(words, options, given({ kind: 'error', code: wordOf(words[2], 'CODE'), status }));
  },
  lose: (words, options) => ruleFor(words, options, { kind: 'lose-answer' }),
  slow: (words, options) => ruleFor(words, options, { kind: 'latency', ms: numberOf(words[2], 'MS') }),
  link: (_words, options) => ({
    method: 'changeLink',
    body: given({
      latencyMs: numberIfGiven(options.latency, '--latency'),
      loseShare: numberIfGiven(options.lose, '--lose'),
      corruptShare: numberIfGiven(options.corrupt, '--corrupt'),
      duplicateShare: numberIfGiven(options.repeat, '--repeat'),
      reorderShare: numberIfGiven(options.reorder, '--reorder'),
    }),
  }),
  drop: ([sessionId]) => ({ method: 'drop', body: given({ sessionId }) }),
  lifetimes: (words) => ({
    method: 'changeLifetimes',
    body: Object.fromEntries(words.map(pairOf).map(([name, value]) => [name, numberOf(value, name)])),
  }),
};

const commands: Record<string, (words: string[], options: Options) => Ask> = {
  world: () => ({ method: 'world', body: {} }),
  sessions: () => ({ method: 'sessions', body: {} }),
  reset: () => ({ method: 'reset', body: {} }),
  calls: ([word], { service, operation }) =>
    word === 'forget' ? { method: 'forgetCalls', body: {} } : { method: 'calls', body: given({ service, operation }) },
  roles: ([account]) => ({ method: 'roles', body: { account: wordOf(account, 'ACCOUNT') } }),
  role: ([account, name]) => ({
    method: 'role',
    body: { account: wordOf(account, 'ACCOUNT'), name: wordOf(name, 'NAME') },
  }),
  person: ([userName], { enable, disable, groups, rename }) => ({
    method: 'changePerson',
    body: given({
      userName: wordOf(userName, 'USERNAME'),
      enabled: eitherOf(enable, disable),
      groups: groups?.split(',').filter((group) => group !== ''),
      newUserName: rename,
    }),
  }),
  instance: ([id], { online, offline, tag, untag, name }) => ({
    method: 'changeInstance',
    body: given({
      id: wordOf(id, 'ID'),
      online: eitherOf(online, offline),
      name,
      tags: Object.fromEntries([
        ...(tag ?? []).map(pairOf),
        ...(untag ?? []).map((key): [string, null] => [key, null]),
      ]),
    }),
  }),
  document: ([account, name, minutes]) => ({
    method: 'changeDocument',
    body: {
      account: wordOf(account, 'ACCOUNT'),
      name: wordOf(name, 'NAME'),
      maxSessionMinutes: numberOf(minutes, 'MINUTES'),
    },
  }),
  faults: ([what, ...words], options) => {
    if (what === undefined) return { method: 'faults', body: {} };
    const command = Object.hasOwn(faultCommands, what) ? faultCommands[what] : undefined;
    if (!command) throw new UsageError(`There is no fault called ${what}.`);
    return command(words, options);
  },
};

const ask = async (endpoint: string, { method, body }: Ask): Promise<void> => {
  const response = await fetch(`${endpoint}/_control/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }).catch((cause: unknown) => {
    throw new UsageError(`No local-aws answers at ${endpoint}. Start one with "serve".`, { cause });
  });
  const answer: unknown = await response.json();
  if (!response.ok) {
    const told = typeof answer === 'object' && answer !== null && 'message' in answer ? String(answer.message) : '';
    throw new UsageError(told === '' ? `local-aws answered ${response.status}.` : told);
  }
  console.log(JSON.stringify(answer, null, 2));
};

/** Runs until a signal. Without `--run` the instances' homes are temporary. */
const serve = async (options: Options): Promise<void> => {
  // Loaded only here: the other commands are a single HTTP call and should answer at once.
  const { startLocalAws } = await import('./start.ts');
  const runFolder = options.run ?? mkdtempSync(path.join(tmpdir(), 'local-aws-'));
  const local = await startLocalAws({
    worldFile: options.world ?? path.join(import.meta.dirname, 'world.yml'),
    stateFile: options.state ?? null,
    port: numberOf(options.port ?? '4566', '--port'),
    runFolder,
  });
  console.log(`local-aws plays ${local.world.organisation.name} at ${local.endpoint} (a stand-in, not AWS)`);
  const stop = async (): Promise<void> => {
    await local.close();
    if (options.run === undefined) rmSync(runFolder, { recursive: true, force: true });
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void stop());
};

const main = async (): Promise<void> => {
  const { values, positionals } = read(process.argv.slice(2));
  const [name, ...words] = positionals;
  if (values.help === true || name === undefined) {
    console.log(usage);
    return;
  }
  if (name === 'serve') return serve(values);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) throw new UsageError(`There is no command ${name}. Try --help.`);
  const endpoint = values.endpoint ?? process.env['AWS_ENDPOINT_URL'] ?? 'http://127.0.0.1:4566';
  await ask(endpoint, command(words, values));
};

/** A missing file, a port that is taken and a word that is not known need no stack. */
const plainCodes = /^(?:ERR_PARSE_ARGS|ENOENT|EADDRINUSE|EACCES)/;
const isUsage = (error: unknown): error is Error =>
  error instanceof UsageError ||
  (error instanceof Error && error.name === 'FileError') ||
  (error instanceof Error && 'code' in error && plainCodes.test(String(error.code)));

main().catch((error: unknown) => {
  console.error(isUsage(error) ? error.message : error);
  process.exitCode = 1;
});
