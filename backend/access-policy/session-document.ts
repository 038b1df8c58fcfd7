/**
 * What a session document of Curfew says, word for word as deploy/curfew-account.yml makes it, and how another one differs
 * (threats AWS-12). Pure.
 */
import { createHash } from 'node:crypto';
import { documentMinutes, documentNameFor } from './compile.ts';

/** The two parameters of the template that the documents depend on. */
export type SessionDocumentSetting = {
  /** `IdleMinutes`: a session without keystrokes ends after this long. */
  idleMinutes: number;
  /** `SessionLogBucket`; empty: session output is not logged to S3. */
  logBucket: string;
};

/** What the template makes when nothing else is said. */
const defaultSessionDocuments: SessionDocumentSetting = { idleMinutes: 15, logBucket: '' };

/** What an account's configuration says of its stack. */
export const sessionDocumentSetting = (account: {
  sessionDocuments?: SessionDocumentSetting | undefined;
}): SessionDocumentSetting => account.sessionDocuments ?? defaultSessionDocuments;

/** Names of all session documents, shortest first, with the longest session they allow in minutes. */
export const sessionDocuments: ReadonlyArray<{ name: string; minutes: number }> = documentMinutes.map((minutes) => ({
  name: documentNameFor(minutes * 60),
  minutes,
}));

/** The content of the document whose sessions last at most `minutes`. */
export const sessionDocumentContent = (minutes: number, { idleMinutes, logBucket }: SessionDocumentSetting) => ({
  schemaVersion: '1.0',
  description: `Curfew shell, at most ${minutes} minutes`,
  sessionType: 'Standard_Stream',
  inputs: {
    s3BucketName: logBucket,
    s3KeyPrefix: logBucket === '' ? '' : 'curfew',
    s3EncryptionEnabled: logBucket !== '',
    cloudWatchLogGroupName: '',
    cloudWatchEncryptionEnabled: false,
    kmsKeyId: '',
    runAsEnabled: false,
    runAsDefaultUser: '',
    idleSessionTimeout: String(idleMinutes),
    maxSessionDuration: String(minutes),
  },
});

/**
 * Every leaf by its path, as text, without those that say nothing: AWS gives booleans back as text at times, and leaving a
 * setting out is the same as leaving it empty.
 */
const leaves = (value: unknown, path = ''): Array<[string, string]> => {
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, part]) => leaves(part, path === '' ? key : `${path}.${key}`));
  }
  const text = String(value ?? '');
  return text === '' || text === 'false' ? [] : [[path, text]];
};

const sorted = (value: unknown): Array<[string, string]> => leaves(value).sort(([a], [b]) => (a < b ? -1 : 1));

/** Hex SHA-256 of what a document says, whatever its order and white space. */
const sessionDocumentHash = (content: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify(sorted(content)))
    .digest('hex');

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

/**
 * Names of the settings in which a document is not as the template makes it, e.g. `inputs.runAsEnabled`; empty when it is.
 * @param text the content as SSM holds it; null: there is no such document.
 */
export const sessionDocumentDifferences = (
  text: string | null,
  minutes: number,
  setting: SessionDocumentSetting,
): string[] => {
  if (text === null) return ['it does not exist'];
  const [wanted, seen] = [sessionDocumentContent(minutes, setting), parsed(text)];
  if (seen === null || typeof seen !== 'object') return ['its content is not JSON'];
  if (sessionDocumentHash(wanted) === sessionDocumentHash(seen)) return [];
  const [a, b] = [new Map(leaves(wanted)), new Map(leaves(seen))];
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names].filter((name) => a.get(name) !== b.get(name)).sort();
};
