export type Patterns = {
    negated: boolean;
    patterns: string[];
};
export type PrincipalPattern = {
    type: string;
    value: string;
};
export type ConditionTest = {
    /** Without qualifier and `IfExists`. */
    operator: ConditionOperator;
    qualifier: 'ForAllValues' | 'ForAnyValue' | null;
    ifExists: boolean;
    /** Lower case: condition keys have no case. */
    key: string;
    values: string[];
};
export type Statement = {
    sid: string | null;
    effect: 'Allow' | 'Deny';
    actions: Patterns;
    /** Null in trust policies, which have no resource. */
    resources: Patterns | null;
    /** Null in identity policies, which have no principal. */
    principals: {
        negated: boolean;
        list: PrincipalPattern[];
    } | null;
    conditions: ConditionTest[];
};
/** `variables`: only version 2012-10-17 knows `${aws:userid}`; in older documents it is plain text. */
export type PolicyDocument = {
    variables: boolean;
    statements: Statement[];
};
export declare const conditionOperators: readonly ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike", "ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike", "NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals", "DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals", "Bool", "IpAddress", "NotIpAddress", "Null"];
export type ConditionOperator = (typeof conditionOperators)[number];
/**
 * Parses a document. `identity`: inline, managed, boundary and session policies; `trust`: a role's trust policy.
 * Throws `AwsError` MalformedPolicyDocument.
 */
export declare const parsePolicyDocument: (text: string, kind: "identity" | "trust") => PolicyDocument;
