import type { WebSocket } from 'ws';
import { type LinkFaults } from './faulty-link.ts';
import type { EndedSession, OpenSession } from './host-types.ts';
export type HostedSession = {
    attach: (socket: WebSocket) => void;
    dropConnection: () => void;
    isUp: () => boolean;
    isConnected: () => boolean;
    /** Ends it; the promise resolves when shell, children and connection are gone. */
    end: (why: EndedSession['why'], reason: string) => Promise<void>;
};
export type HostedSessionDeps = {
    now: () => Date;
    runFolder: string;
    idleMs: number;
    lingerMs: number;
    resendTickMs: number;
    faults: () => LinkFaults;
    random: () => number;
    onEnded: (ended: EndedSession) => void;
    onFault: (error: unknown) => void;
};
export declare const createHostedSession: (session: OpenSession, deps: HostedSessionDeps) => HostedSession;
