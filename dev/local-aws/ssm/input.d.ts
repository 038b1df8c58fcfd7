/** Reading what a caller of SSM sent, with AWS's words for what is wrong. */
import type { z } from 'zod';
/** @throws AwsError ValidationException in the shape that SSM uses. */
export declare const parseInput: <S extends z.ZodType>(schema: S, input: unknown) => z.output<S>;
/** One page of a list. Tokens are ours and opaque to callers. @throws AwsError InvalidNextToken. */
export declare const pageOf: <T>(items: T[], size: number, nextToken: string | undefined) => {
    items: T[];
    NextToken: string | undefined;
};
/** JSON 1.1 tells instants as seconds since 1970. */
export declare const epochSeconds: (at: Date) => number;
