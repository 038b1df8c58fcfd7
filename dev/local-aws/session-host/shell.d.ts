import type { HostedInstance } from './host-types.ts';
export type Shell = {
    write: (bytes: Buffer) => void;
    resize: (cols: number, rows: number) => void;
    /** Stops and goes on reading the PTY: back pressure for a slow or absent client. */
    pause: () => void;
    resume: () => void;
    /** Ends the shell and every process it started; resolves when none is left. Safe to repeat. */
    kill: () => Promise<void>;
};
/**
 * @param sessionId marks the processes.
 * @param program null: `bash -l` where there is one, else `sh -l`.
 * @param onExit is called once, after all output was handed over.
 * @throws Error when the home folder cannot be made or the PTY cannot be opened.
 */
export declare const startShell: (where: {
    instance: HostedInstance;
    runFolder: string;
    sessionId: string;
}, program: string[] | null, handlers: {
    onOutput: (bytes: Buffer) => void;
    onExit: () => void;
}) => Shell;
