import { type Control } from './control.ts';
import { type World } from './world.ts';
type LocalAwsOptions = {
    /** The world's YAML file. */
    worldFile: string;
    /** Where IAM, credentials and sign-ins are kept over a restart; null: nowhere. */
    stateFile: string | null;
    /** On 127.0.0.1; 0 = any free one. */
    port: number;
    /** For the instances' home folders. */
    runFolder: string;
    now?: () => Date;
    /** Told of what local-aws itself did wrong. Default: standard error. */
    onFault?: (error: unknown, id: string) => void;
};
export type LocalAws = {
    /** `http://127.0.0.1:<port>`: the value for `AWS_ENDPOINT_URL`. */
    endpoint: string;
    /** Alive: change it through `control`. */
    world: World;
    control: Control;
    /** Saves, ends every session and shell, stops listening. Safe to repeat. */
    close(): Promise<void>;
};
/** Starts it all. @throws FileError for a bad world, Error for a bad state file or a port that is taken. */
export declare const startLocalAws: (options: LocalAwsOptions) => Promise<LocalAws>;
export {};
