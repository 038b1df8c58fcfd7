/** Patterns of policy documents: `*` and `?`, policy variables, and ARNs that are matched part by part. */
/** Condition keys (lower case) and their values in one request. */
export type RequestContext = ReadonlyMap<string, readonly string[]>;
/** Makes a context from keys in any case; later records win. */
export declare const requestContext: (...records: Array<Record<string, readonly string[]> | undefined>) => RequestContext;
/** Whole text against a pattern. `context` null: variables are plain text. */
export declare const matchesPattern: (pattern: string, value: string, context: RequestContext | null) => boolean;
/** A text with its variables filled in and no wildcards; null when a variable has no value. */
export declare const fillVariables: (text: string, context: RequestContext | null) => string | null;
/** An ARN against a pattern, part by part: a wildcard never reaches over a colon of the first five. `*` alone is everything. */
export declare const matchesArn: (pattern: string, arn: string, context: RequestContext | null) => boolean;
