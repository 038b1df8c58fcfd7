import { type RequestContext } from './match-pattern.ts';
import type { ConditionTest } from './policy-document.ts';
/**
 * Does the request meet one test of a condition block? All tests of a statement must hold.
 * `variables` is false for documents before 2012-10-17.
 */
export declare const conditionHolds: (condition: ConditionTest, context: RequestContext, variables: boolean) => boolean;
