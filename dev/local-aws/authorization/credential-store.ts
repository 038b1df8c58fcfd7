/** Which access keys exist and whose they are: long-lived keys of the world's users and temporary ones minted here. */
import { randomBytes, randomInt } from 'node:crypto';
import { z } from 'zod';
import type { Caller, IssuedCredentials } from '../service.ts';

export type StoredCredentials = {
  accessKeyId: string;
  secretAccessKey: string;
  caller: Caller;
  /** Temporary credentials only: the token that must come with the signature, and the end. */
  session: { token: string; expiresAt: Date } | null;
};

export type CredentialStore = {
  /** Registers a user's long-lived key from the world. Not part of the snapshot: the world has it. */
  addUserKey(key: { accessKeyId: string; secretAccessKey: string; caller: Caller }): void;
  /** Makes temporary credentials with random secrets; adds `aws:TokenIssueTime` to the caller's condition keys. */
  mint(options: { caller: Caller; expiresAt: Date }): IssuedCredentials;
  /** An IAM user is called otherwise now: all keys of its id, also temporary ones, sign as this caller. */
  renameUser(user: Caller): void;
  find(accessKeyId: string): StoredCredentials | undefined;
  /** Temporary credentials that still live, as plain JSON; `restore` parses it and throws a ZodError on anything else. */
  snapshot(): unknown;
  restore(snapshot: unknown): void;
};

const caller: z.ZodType<Caller> = z.object({
  accountId: z.string(),
  arn: z.string(),
  userId: z.string(),
  entity: z.object({ kind: z.enum(['user', 'role']), accountId: z.string(), name: z.string() }),
  contextKeys: z.record(z.string(), z.array(z.string())),
  sessionPolicy: z.string().optional(),
});
const snapshotSchema = z.array(
  z.object({
    accessKeyId: z.string(),
    secretAccessKey: z.string(),
    caller,
    session: z.object({ token: z.string(), expiresAt: z.coerce.date() }),
  }),
);

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** An AWS-like unique id: the prefix (`ASIA`, `AROA`, `ANPA`, ...) and `length` characters of A-Z2-7. */
export const uniqueId = (prefix: string, length = 16): string =>
  prefix + Array.from({ length }, () => base32[randomInt(base32.length)]).join('');

/** Makes an empty store. `now` decides which temporary credentials are worth keeping. */
export const createCredentialStore = ({ now }: { now: () => Date }): CredentialStore => {
  const stored = new Map<string, StoredCredentials>();

  /** AWS knows an expired token for long and says ExpiredToken; a day is enough for that here. */
  const forgetLongExpired = (): void => {
    const limit = now().getTime() - 24 * 3600 * 1000;
    for (const [id, { session }] of stored) if (session && session.expiresAt.getTime() < limit) stored.delete(id);
  };

  return {
    addUserKey: (key) => {
      stored.set(key.accessKeyId, { ...key, session: null });
    },
    mint: ({ caller: owner, expiresAt }) => {
      forgetLongExpired();
      const accessKeyId = uniqueId('ASIA');
      const secretAccessKey = randomBytes(30).toString('base64');
      const token = `IQoJb3JpZ2luX2Vj${randomBytes(240).toString('base64')}`;
      const contextKeys = { ...owner.contextKeys, 'aws:TokenIssueTime': [now().toISOString()] };
      stored.set(accessKeyId, {
        accessKeyId,
        secretAccessKey,
        caller: { ...owner, contextKeys },
        session: { token, expiresAt },
      });
      return { accessKeyId, secretAccessKey, sessionToken: token, expiration: expiresAt };
    },
    renameUser: (user) => {
      for (const [id, one] of stored) {
        if (one.caller.userId !== user.userId) continue;
        const contextKeys = { ...one.caller.contextKeys, ...user.contextKeys };
        stored.set(id, { ...one, caller: { ...one.caller, arn: user.arn, entity: user.entity, contextKeys } });
      }
    },
    find: (accessKeyId) => stored.get(accessKeyId),
    snapshot: () => [...stored.values()].filter((one) => one.session !== null),
    restore: (snapshot) => {
      for (const one of snapshotSchema.parse(snapshot)) stored.set(one.accessKeyId, one);
    },
  };
};
