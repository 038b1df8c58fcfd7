/** What must be right on the machine of the backend itself: rules, keys, database, clock. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Probe } from '../aws/probe.ts';
import type { Config } from '../config.ts';
import { loadRules } from '../rules/load.ts';
import { auditRightsAdvice } from '../store/audit-rights.ts';
import { databaseAddressProblem } from '../store/database-address.ts';
import { readSchemaState } from '../store/open.ts';
import { type Answer, counted, type Finding, look, notOk, ok, someOf, unchecked } from './finding.ts';

const area = 'this machine';

/** A proof of identity may be 60 s old (limits.ts), and an end that comes late by more than this is nobody's second. */
const mostAheadMs = 5_000;

const problemsShown = 3;

/** Every rule is read and validated as the backend does it. */
export const checkRules = (config: Pick<Config, 'rulesFolder' | 'trustedTags'>): Promise<Finding> =>
  look(
    { area, check: 'rules' },
    `Put schema.cedarschema and your *.cedar files into ${config.rulesFolder} (start from deploy/rules), or mend rulesFolder.`,
    async () => {
      const read = await loadRules(config.rulesFolder, config.trustedTags);
      if (read.ok) return ok(`${counted(read.loaded.rules.size, 'rule')} in ${config.rulesFolder}`);
      const told = read.problems.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`);
      return notOk(
        told.slice(0, problemsShown).join('; '),
        `Mend ${counted(read.problems.length, 'problem')} in ${config.rulesFolder}: the backend starts with valid rules only.`,
      );
    },
  );

const octal = (mode: number): string => (mode & 0o777).toString(8).padStart(4, '0');

const keysAnswer = (folder: string): Answer => {
  if (!existsSync(folder)) return ok(`${folder} is not there yet: the backend makes it (0700) at its first start`);
  const stats = statSync(folder);
  if (!stats.isDirectory()) return notOk(`${folder} is a file`, 'Let keysFolder name a folder of the backend’s own.');
  const { mode } = stats;
  if (process.platform === 'win32') {
    return unchecked(`${folder} is there`, 'Windows has no modes: let only the backend’s account read it.');
  }
  if ((mode & 0o077) !== 0) {
    return notOk(`${folder} has mode ${octal(mode)}`, `Others may not look into it: chmod 700 ${folder}`);
  }
  const keys = readdirSync(folder).filter((name) => name.endsWith('.key'));
  const open = keys.filter((name) => (statSync(`${folder}/${name}`).mode & 0o077) !== 0);
  if (open.length > 0) {
    return notOk(
      `others can read ${open.join(', ')} in ${folder}`,
      `chmod 600 ${open.map((name) => `${folder}/${name}`).join(' ')}; somebody who read decision.key can forge grants, so think about a new one.`,
    );
  }
  return ok(
    keys.length === 0 ? `${folder} is empty: keys are made at the first start` : `${folder}: ${keys.join(', ')}`,
  );
};

/** Modes of the keys folder; no key is read and none is made. */
export const checkKeys = ({ keysFolder }: Pick<Config, 'keysFolder'>): Promise<Finding> =>
  look(
    { area, check: 'keys' },
    `Let the backend’s user own ${keysFolder} and be able to write in ${dirname(keysFolder)}.`,
    () => keysAnswer(keysFolder),
  );

const databaseAdvice =
  'Mend DATABASE_URL (or database.url): postgres://USER@HOST:5432/DATABASE. Is Postgres running, reachable from here, and does the password fit?';

/** @param url null when the configuration names no database. */
export const checkDatabase = (url: string | null): Promise<Finding> =>
  look({ area, check: 'Postgres' }, databaseAdvice, async () => {
    if (url === null) return notOk('no database is named', databaseAdvice);
    const problem = databaseAddressProblem(url);
    if (problem !== null) {
      return notOk(
        problem,
        'Put ?sslmode=verify-full behind it, and &sslrootcert=FILE where its certificate is of your own authority.',
      );
    }
    const { postgres, pending, mayMigrate } = await readSchemaState(url);
    if (pending.length === 0) return ok(`Postgres ${postgres}, at this version’s shape`);
    if (!mayMigrate) {
      return notOk(
        `Postgres ${postgres}: ${counted(pending.length, 'migration')} to come (${someOf(pending)}), and this user may not make tables`,
        'Let the backend’s database user make them: grant create on schema public to USER (or make it the database’s owner).',
      );
    }
    return ok(`Postgres ${postgres}: the backend makes its tables at its next start (${someOf(pending)})`);
  });

/**
 * Who could change the trail with the backend's own database user (threats AU-06).
 * @param oneMachine the backend listens for this machine only: then one user for all is how it is set up.
 */
export const checkTrail = (url: string, oneMachine: boolean): Promise<Finding> =>
  look({ area, check: 'the trail in Postgres' }, databaseAdvice, async () => {
    const { pending, auditRightsTooMany } = await readSchemaState(url);
    if (pending.includes('001-init')) return unchecked('there are no tables yet', 'Start the backend once.');
    if (auditRightsTooMany.length === 0) return ok('this database user may append and read, nothing else');
    const found = `this database user may ${someOf(auditRightsTooMany, 2)}`;
    if (oneMachine) return ok(`tamper-evident, not tamper-proof: ${found}`);
    return notOk(found, auditRightsAdvice);
  });

/** Ends are instants: the backend's clock and AWS's must agree. */
export const checkClock = (probe: Pick<Probe, 'clockAheadMs'>): Promise<Finding> =>
  look(
    { area, check: 'clock' },
    'AWS could not be asked for its time: let this machine reach the STS endpoint of signIn.stsRegion.',
    async () => {
      const ahead = await probe.clockAheadMs();
      const words = `${(Math.abs(ahead) / 1000).toFixed(1)} s ${ahead < 0 ? 'behind' : 'ahead of'} AWS`;
      if (Math.abs(ahead) <= mostAheadMs) return ok(words);
      return notOk(
        words,
        'Let the machine keep its time by NTP (timedatectl set-ntp true, or chronyd), then try again.',
      );
    },
  );
