/** What runs without AWS: rules, the access policy compiler, the verification of an audit export. */
import { generateKeyPairSync } from 'node:crypto';
import path from 'node:path';
import { compileAccessPolicy, personalCarrier } from '../backend/access-policy/compile.ts';
import { firstPreviousHash, hashOfRow } from '../backend/audit/chain.ts';
import type { AuditEvent } from '../backend/audit/event.ts';
import { exportFormat } from '../backend/audit/export.ts';
import { keyIdOf } from '../backend/audit/heads.ts';
import { verifyExport } from '../backend/audit/verify.ts';
import { defaultTrustedTags } from '../backend/config.ts';
import { sampleFacts } from '../backend/rules/facts.ts';
import { openRules } from '../backend/rules/rules.ts';
import type { Figure } from './figures.ts';

/** Milliseconds of each run, after a tenth of them to warm up. */
const timed = (runs: number, work: () => void): number[] => {
  for (let at = 0; at < runs / 10; at += 1) work();
  return Array.from({ length: runs }, () => {
    const since = performance.now();
    work();
    return performance.now() - since;
  });
};

/** One decision: Cedar, the default rules, all three questions that a submit asks for one instance. */
export const ruleTimes = async (): Promise<Figure[]> => {
  const rules = (await openRules(path.resolve(import.meta.dirname, '../deploy/rules'), defaultTrustedTags)).current();
  const facts = {
    ...sampleFacts,
    person: { ...sampleFacts.person, groups: ['payments-engineers'] },
    instance: { ...sampleFacts.instance, tags: { team: 'payments', env: 'staging' } },
  };
  const values = timed(500, () => {
    rules.request(facts);
    rules.autoApprove(facts);
  });
  return [{ name: 'rules: may ask and needs a person', unit: 'ms', values, note: 'the default rules, one instance' }];
};

const accountId = '482011773306';
const hex = (number: number, length: number): string => number.toString(16).padStart(length, '0');

/** One principal's document, nearly full: 120 instances in five grants, each with an end of its own. */
export const compileTimes = async (): Promise<Figure[]> => {
  const notBefore = new Date('2026-11-22T09:00:00Z');
  const grants = Array.from({ length: 5 }, (_, grant) => ({
    id: `grt_${grant}`,
    notBefore,
    endsAt: new Date(notBefore.getTime() + (grant + 1) * 3_600_000),
    instances: Array.from({ length: 24 }, (_one, at) => ({
      accountId,
      region: 'eu-central-1',
      instanceId: `i-${hex(grant * 24 + at, 17)}`,
    })),
  }));
  const input = { ...personalCarrier({ partition: 'aws', accountId, sessionName: 'mira.1a2b3c4d' }), grants };
  const { characters, limit } = compileAccessPolicy(input);
  const values = timed(300, () => void compileAccessPolicy(input));
  return [
    {
      name: 'access policy compiled, 120 instances, five ends',
      unit: 'ms',
      values,
      note: `${characters} of ${limit} characters`,
    },
  ];
};

const person = { id: 'c2c5d4e4-1021-70aa-8b10-1f2e3d4c5b01', userName: 'mira@harborline.example', displayName: 'Mira' };
const auditRows = 20_000;

/** An export as the backend writes it, of events of the usual size. */
const exportOf = (rows: number): string[] => {
  const { publicKey } = generateKeyPairSync('ed25519');
  const lines: unknown[] = [
    {
      format: exportFormat,
      exportedAt: '2026-11-22T09:00:00.000Z',
      scope: 'whole',
      rows,
      keyId: keyIdOf(publicKey),
      publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    },
  ];
  let previousHash = firstPreviousHash;
  for (let sequence = 1; sequence <= rows; sequence += 1) {
    const event: AuditEvent = {
      kind: 'session_started',
      at: new Date(1_795_000_000_000 + sequence * 1000).toISOString(),
      actor: { kind: 'person', person },
      sessionId: `mira.1a2b3c4d-${hex(sequence, 17)}`,
      instance: { accountId, region: 'eu-central-1', instanceId: 'i-0f3a9c1d7b24e8a61' },
      grantId: `grt_${hex(sequence, 26)}`,
      requestId: `req_${hex(sequence, 26)}`,
      owner: person,
      accountId,
    };
    const hash = hashOfRow({ sequence, previousHash, event });
    lines.push({ sequence, previousHash, hash, event });
    previousHash = hash;
  }
  return lines.map((line) => JSON.stringify(line));
};

/** Verifying a whole trail offline. */
export const auditTimes = async (): Promise<Figure[]> => {
  const lines = exportOf(auditRows);
  const values = timed(5, () => {
    const result = verifyExport(lines, null);
    if (!result.ok) throw new Error(`The export does not verify: ${result.what}`);
  }).map((ms) => auditRows / (ms / 1000));
  return [{ name: 'audit verify', unit: 'rows/s', values, note: `${auditRows} rows each` }];
};
