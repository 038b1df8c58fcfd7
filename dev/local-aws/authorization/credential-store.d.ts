import type { Caller, IssuedCredentials } from '../service.ts';
export type StoredCredentials = {
    accessKeyId: string;
    secretAccessKey: string;
    caller: Caller;
    /** Temporary credentials only: the token that must come with the signature, and the end. */
    session: {
        token: string;
        expiresAt: Date;
    } | null;
};
export type CredentialStore = {
    /** Registers a user's long-lived key from the world. Not part of the snapshot: the world has it. */
    addUserKey(key: {
        accessKeyId: string;
        secretAccessKey: string;
        caller: Caller;
    }): void;
    /** Makes temporary credentials with random secrets; adds `aws:TokenIssueTime` to the caller's condition keys. */
    mint(options: {
        caller: Caller;
        expiresAt: Date;
    }): IssuedCredentials;
    find(accessKeyId: string): StoredCredentials | undefined;
    /** Temporary credentials that still live, as plain JSON; `restore` parses it and throws a ZodError on anything else. */
    snapshot(): unknown;
    restore(snapshot: unknown): void;
};
/** An AWS-like unique id: the prefix (`ASIA`, `AROA`, `ANPA`, ...) and `length` characters of A-Z2-7. */
export declare const uniqueId: (prefix: string, length?: number) => string;
/** Makes an empty store. `now` decides which temporary credentials are worth keeping. */
export declare const createCredentialStore: ({ now }: {
    now: () => Date;
}) => CredentialStore;
