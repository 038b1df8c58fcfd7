import type { SessionHost } from '../session-host/host-types.ts';
export type SessionRecord = {
    sessionId: string;
    accountId: string;
    region: string;
    target: string;
    documentName: string;
    /** Assumed-role or user ARN of who started it. */
    owner: string;
    /** `AROA…:name` or `AIDA…`: the value of the tag `aws:ssmmessages:session-id`. */
    ownerUserId: string;
    reason: string | null;
    maxSessionMinutes: number;
    startedAt: Date;
    phase: 'open' | 'terminating' | 'ended';
    endedAt: Date | null;
    details: string | null;
    failed: boolean;
    everConnected: boolean;
};
export type SessionStatus = 'Connected' | 'Connecting' | 'Disconnected' | 'Terminating' | 'Terminated' | 'Failed';
/** `<name>-<26 lower-case alphanumerics>` (aws-facts 4.4). @param name role session name or IAM user name. */
export declare const newSessionId: (name: string) => string;
export type SessionTable = {
    add(session: SessionRecord): void;
    /** Sessions belong to one account and region: elsewhere they do not exist. */
    find(place: {
        accountId: string;
        region: string;
    }, sessionId: string): SessionRecord | undefined;
    /** Newest first. */
    list(place?: {
        accountId: string;
        region: string;
    }): SessionRecord[];
    statusOf(session: SessionRecord): SessionStatus;
    isActive(session: SessionRecord): boolean;
};
/** The table hears from the host when a session has really ended: only then is it Terminated. */
export declare const createSessionTable: (options: {
    host: SessionHost;
    now: () => Date;
}) => SessionTable;
