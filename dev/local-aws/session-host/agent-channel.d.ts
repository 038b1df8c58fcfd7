import { type AgentMessage } from '../../../src/session-client/codec.ts';
/** What to do with input: `taken` is acknowledged; `not-ready` is not, so that the client repeats it. */
export type InputVerdict = 'taken' | 'not-ready';
export type AgentChannel = {
    /** Numbers, records and (unless paused) sends one payload. */
    publish: (payloadType: number, payload: Buffer) => void;
    receive: (message: AgentMessage) => void;
    /** Looks at the oldest unacknowledged frame and repeats it when it is overdue. Every 100 ms. */
    tick: () => void;
    /** pause_publication: the client's connection is gone. Input or an acknowledge also ends the pause. */
    pause: () => void;
    start: () => void;
    paused: () => boolean;
    unacknowledged: () => number;
};
export declare const createAgentChannel: (deps: {
    now: () => Date;
    transmit: (frame: Buffer) => void;
    takeInput: (payloadType: number, payload: Buffer) => InputVerdict;
    /** Called after each acknowledge that took a frame off the list. */
    onDrained: () => void;
}) => AgentChannel;
/**
 * Cuts a byte stream into payloads of at most 1024 bytes (three more when a character was carried over) that end between UTF-8 characters.
 * An incomplete character at the end waits for its rest; bytes that are no UTF-8 pass unchanged.
 */
export declare const createUtf8Cutter: (emit: (payload: Buffer) => void) => {
    push: (bytes: Buffer) => void;
    flush: () => void;
};
