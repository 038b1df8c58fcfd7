/** What IAM operations accept: name rules, path rules, document characters and paging, with IAM's ValidationError. */
import { z } from 'zod';
export declare const roleName: z.ZodString;
export declare const userName: z.ZodString;
export declare const groupName: z.ZodString;
export declare const policyName: z.ZodString;
export declare const path: z.ZodString;
export declare const pathPrefix: z.ZodString;
export declare const document: z.ZodString;
export declare const arn: z.ZodString;
export declare const versionId: z.ZodString;
export declare const description: z.ZodOptional<z.ZodString>;
export declare const flag: z.ZodPipe<z.ZodEnum<{
    true: "true";
    false: "false";
}>, z.ZodTransform<boolean, "true" | "false">>;
/** Seconds. */
export declare const sessionDuration: z.ZodCoercedNumber<unknown>;
export declare const tagKey: z.ZodString;
export declare const tags: z.ZodArray<z.ZodObject<{
    Key: z.ZodString;
    Value: z.ZodString;
}, z.core.$strip>>;
export declare const pageShape: {
    MaxItems: z.ZodDefault<z.ZodCoercedNumber<unknown>>;
    Marker: z.ZodOptional<z.ZodString>;
};
/** Parses the input of an operation of IAM or STS; throws ValidationError in AWS's words. */
export declare const parseInput: <T>(schema: z.ZodType<T>, input: Record<string, unknown>) => T;
/** One page of a list and what IAM says about the rest. A marker names the position to go on from. */
export declare const pageOf: <T>(list: T[], page: {
    MaxItems: number;
    Marker?: string | undefined;
}) => {
    items: T[];
    more: {
        IsTruncated: boolean;
        Marker: string | undefined;
    };
};
/** Characters that count against a quota: white space does not. */
export declare const countedCharacters: (text: string) => number;
