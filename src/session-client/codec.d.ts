/** Larger frames are dropped: terminal data come in about 1 KiB, a handshake in a few. */
export declare const largestFrameBytes: number;
export declare const payloadTypes: {
    readonly none: 0;
    readonly output: 1;
    readonly error: 2;
    readonly size: 3;
    readonly handshakeRequest: 5;
    readonly handshakeResponse: 6;
    readonly handshakeComplete: 7;
    readonly challengeRequest: 8;
    readonly challengeResponse: 9;
    readonly flag: 10;
    readonly stdErr: 11;
    readonly exitCode: 12;
};
export declare const messageTypes: {
    readonly input: "input_stream_data";
    readonly output: "output_stream_data";
    readonly acknowledge: "acknowledge";
    readonly channelClosed: "channel_closed";
    readonly startPublication: "start_publication";
    readonly pausePublication: "pause_publication";
};
/** Flags of acknowledge frames: SYN and FIN. */
export declare const acknowledgeFlags = 3;
export type AgentMessage = {
    /** One of `messageTypes`, or a type we do not know. */
    messageType: string;
    /** Milliseconds since 1970; never 0. */
    createdMs: number;
    sequenceNumber: number;
    flags: number;
    /** UUID in its usual lower-case form. */
    messageId: string;
    payloadType: number;
    payload: Buffer;
};
export type Decoded = {
    ok: true;
    message: AgentMessage;
} | {
    ok: false;
    problem: string;
};
/** @throws RangeError when a field does not fit: the caller made it up wrongly, it is no input from outside. */
export declare const encodeMessage: (message: AgentMessage) => Buffer;
/**
 * Reads one frame. The payload is a view into `frame`, not a copy. pause_publication and start_publication skip the checks of
 * date, digest and payload, as both official ends do.
 */
export declare const decodeMessage: (frame: Buffer) => Decoded;
