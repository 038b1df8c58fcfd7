import { z } from 'zod';
import { type FaultHooks } from './service.ts';
/** One call of an API. `accountId` and `region` are empty for the unsigned services (`sso-oidc`, `sso`). */
export type Call = Parameters<FaultHooks['beforeCall']>[0];
export type CallRecord = Call & {
    at: string;
    outcome: 'let-through' | 'throttled' | 'error-injected' | 'answer-lost';
};
/** A fault: which calls, how many of them pass first (`after`), how many are hit then (`times`; null: all of them). */
export declare const faultRule: z.ZodObject<{
    match: z.ZodDefault<z.ZodObject<{
        service: z.ZodOptional<z.ZodString>;
        operation: z.ZodOptional<z.ZodString>;
        accountId: z.ZodOptional<z.ZodString>;
        region: z.ZodOptional<z.ZodString>;
    }, z.core.$strict>>;
    after: z.ZodDefault<z.ZodInt>;
    times: z.ZodDefault<z.ZodNullable<z.ZodInt>>;
    effect: z.ZodDiscriminatedUnion<[z.ZodObject<{
        kind: z.ZodLiteral<"error">;
        code: z.ZodString;
        message: z.ZodDefault<z.ZodString>;
        status: z.ZodDefault<z.ZodInt>;
    }, z.core.$strict>, z.ZodObject<{
        kind: z.ZodLiteral<"lose-answer">;
    }, z.core.$strict>, z.ZodObject<{
        kind: z.ZodLiteral<"latency">;
        ms: z.ZodInt;
    }, z.core.$strict>], "kind">;
}, z.core.$strict>;
export type FaultRule = z.infer<typeof faultRule>;
export declare const faultSettings: z.ZodObject<{
    spreadingDelayMs: z.ZodInt;
    rateLimits: z.ZodBoolean;
}, z.core.$strict>;
export type FaultSettings = z.infer<typeof faultSettings>;
type SettingsChange = {
    [K in keyof FaultSettings]?: FaultSettings[K] | undefined;
};
export type Faults = {
    /**
     * Before each call is authorised and done: waits where a fault says so.
     * @throws AwsError for throttling and for an injected error: the call is then not done.
     */
    beforeCall(call: Call): Promise<void>;
    /** After the call was done: whether its answer must be lost. */
    loseAnswer(call: Call): boolean;
    /** The present delay of IAM's spreading, milliseconds. */
    spreadingDelayMs(): number;
    settings(): FaultSettings;
    change(settings: SettingsChange): void;
    add(rule: FaultRule): void;
    rules(): FaultRule[];
    /** Takes all rules away and puts the settings back. The list of calls stays. */
    reset(): void;
    /** The last 2,000 calls, oldest first. */
    calls(): CallRecord[];
    forgetCalls(): void;
};
/** @param now the clock of the token buckets and of the list of calls. */
export declare const createFaults: ({ now }: {
    now: () => Date;
}) => Faults;
export {};
