/** What the session host offers to the rest of local-aws: the far end of SSM sessions (message gateway, agent and shell in one). */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { LinkFaults } from './faulty-link.ts';
/** The machine that a session pretends to be on. `name` is shown in the prompt. */
export type HostedInstance = {
    instanceId: string;
    name: string;
    accountId: string;
    region: string;
};
export type OpenSession = {
    /** Unique among all sessions ever opened on this host. */
    sessionId: string;
    instance: HostedInstance;
    documentName: string;
    /** After this many minutes the service ends the session; null: never. */
    maxSessionMinutes: number | null;
    /** ARN of who started it; kept for the listener. */
    owner: string;
    /** Program and arguments instead of the login shell, for hostile-instance tests. */
    shell?: string[];
    /** Greet with a HandshakeRequest although plain shells have none: what actions to ask of the client. */
    handshake?: HandshakeAction[];
};
export type HandshakeAction = {
    ActionType: string;
    ActionParameters: unknown;
};
/** Why a session is over. `reason` is the text that channel_closed carried, empty when the shell exited by itself. */
export type EndedSession = {
    sessionId: string;
    owner: string;
    why: 'shell-exited' | 'terminated' | 'idle' | 'max-duration' | 'unable-to-start' | 'host-closed';
    reason: string;
    at: Date;
};
/** An answer to a websocket upgrade: let it in, or refuse with an HTTP status and a one-line body. */
export type UpgradeVerdict = {
    allow: true;
} | {
    allow: false;
    status: number;
    body: string;
};
export type SessionHostOptions = {
    now: () => Date;
    /** Folder for the instances' home folders: `<runFolder>/instances/<account>-<region>-<id>/home`. Made when missing, kept afterwards. */
    runFolder: string;
    /** Checks the SigV4 headers of a data channel's upgrade (service `ssmmessages`). Absent: the session's token alone authenticates. */
    verifyUpgrade?: (request: IncomingMessage, sessionId: string) => UpgradeVerdict | Promise<UpgradeVerdict>;
    /** Milliseconds without a client's input before an idle session ends; AWS's default is 20 minutes. */
    idleMs?: number;
    /** Milliseconds that a finished connection stays open so that channel_closed is read. Default 1000. */
    lingerMs?: number;
    /** How often the oldest unacknowledged frame is looked at, milliseconds. Default 100, as the agent's. */
    resendTickMs?: number;
    /** Faults of new and living connections. */
    faults?: Partial<LinkFaults>;
    /** Source of chance for faults, 0 ≤ n < 1. Default Math.random. */
    random?: () => number;
    /** Where unexpected errors go. Default: a line on stderr. */
    onFault?: (error: unknown, sessionId: string) => void;
};
export type SessionHost = {
    /** Starts the shell at once and answers the token for the data channel. Throws when the session id is taken. */
    open: (session: OpenSession) => {
        tokenValue: string;
    };
    /** ResumeSession: a new token (the old one is void), or null when the session is over or unknown. */
    renewToken: (sessionId: string) => {
        tokenValue: string;
    } | null;
    /** Ends the session for ever: channel_closed with the reason, shell and its children killed. Safe to repeat. */
    terminate: (sessionId: string, reason: string) => void;
    /** True until the session is over, whether or not a client is connected. */
    isUp: (sessionId: string) => boolean;
    /** True while a client is connected. */
    isConnected: (sessionId: string) => boolean;
    /** Takes an HTTP upgrade for `/v1/data-channel/<sessionId>?role=publish_subscribe`. False: not ours, untouched. */
    handleUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;
    /** Cuts the TCP connections of one session or of all without a word, as a lost network does. The sessions live on. */
    dropConnections: (sessionId?: string) => void;
    setFaults: (faults: Partial<LinkFaults>) => void;
    /** Called once per session, after its shell is gone. Returns how to stop listening. */
    onEnded: (listener: (ended: EndedSession) => void) => () => void;
    /** Ends every session; resolves when no shell, child process or connection is left. */
    close: () => Promise<void>;
};
