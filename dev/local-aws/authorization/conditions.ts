/** Condition blocks. Source: "IAM JSON policy elements: Condition operators" and "... multivalued context keys". */
import { BlockList, isIP } from 'node:net';
import { fillVariables, matchesArn, matchesPattern, type RequestContext } from './match-pattern.ts';
import type { ConditionOperator, ConditionTest } from './policy-document.ts';

/** Does one value of the request meet one value of the policy? */
type Test = (given: string, wanted: string, context: RequestContext | null) => boolean;

const numbers =
  (holds: (given: number, wanted: number) => boolean): Test =>
  (given, wanted) => {
    const [left, right] = [given, wanted].map((text) => (text.trim() === '' ? Number.NaN : Number(text)));
    return left !== undefined && right !== undefined && holds(left, right);
  };

/** ISO 8601 or seconds since 1970, in ms; NaN for anything else, and then no comparison holds. */
const instant = (text: string): number => {
  if (/^-?\d+(\.\d+)?$/.test(text) && text.length > 4) return Number(text) * 1000;
  return /^\d{4}(-\d\d(-\d\d(T[\d:.]+(Z|[+-]\d\d:?\d\d)?)?)?)?$/.test(text) ? Date.parse(text) : Number.NaN;
};
const dates =
  (holds: (given: number, wanted: number) => boolean): Test =>
  (given, wanted) =>
    holds(instant(given), instant(wanted));

const inNetwork: Test = (given, wanted) => {
  const [network = '', bits] = wanted.split('/');
  const family = isIP(network);
  if (family === 0 || isIP(given) !== family) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const prefix = Number(bits ?? (family === 4 ? 32 : 128));
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, prefix, type);
  return list.check(given, type);
};

const equals: Test = (given, wanted, context) => given === fillVariables(wanted, context);
const equalsWithoutCase: Test = (given, wanted, context) =>
  given.toLowerCase() === fillVariables(wanted, context)?.toLowerCase();
const isLike: Test = (given, wanted, context) => matchesPattern(wanted, given, context);
const arnIsLike: Test = (given, wanted, context) => matchesArn(wanted, given, context);
const sameNumber = numbers((given, wanted) => given === wanted);
const sameDate = dates((given, wanted) => given === wanted);

/** `negated`: holds when no value of the policy is met. A missing key then counts as met. */
const operators: Record<Exclude<ConditionOperator, 'Null'>, { test: Test; negated: boolean }> = {
  StringEquals: { test: equals, negated: false },
  StringNotEquals: { test: equals, negated: true },
  StringEqualsIgnoreCase: { test: equalsWithoutCase, negated: false },
  StringNotEqualsIgnoreCase: { test: equalsWithoutCase, negated: true },
  StringLike: { test: isLike, negated: false },
  StringNotLike: { test: isLike, negated: true },
  ArnEquals: { test: arnIsLike, negated: false },
  ArnNotEquals: { test: arnIsLike, negated: true },
  ArnLike: { test: arnIsLike, negated: false },
  ArnNotLike: { test: arnIsLike, negated: true },
  NumericEquals: { test: sameNumber, negated: false },
  NumericNotEquals: { test: sameNumber, negated: true },
  NumericLessThan: { test: numbers((given, wanted) => given < wanted), negated: false },
  NumericLessThanEquals: { test: numbers((given, wanted) => given <= wanted), negated: false },
  NumericGreaterThan: { test: numbers((given, wanted) => given > wanted), negated: false },
  NumericGreaterThanEquals: { test: numbers((given, wanted) => given >= wanted), negated: false },
  DateEquals: { test: sameDate, negated: false },
  DateNotEquals: { test: sameDate, negated: true },
  DateLessThan: { test: dates((given, wanted) => given < wanted), negated: false },
  DateLessThanEquals: { test: dates((given, wanted) => given <= wanted), negated: false },
  DateGreaterThan: { test: dates((given, wanted) => given > wanted), negated: false },
  DateGreaterThanEquals: { test: dates((given, wanted) => given >= wanted), negated: false },
  Bool: { test: (given, wanted) => given.toLowerCase() === wanted.toLowerCase(), negated: false },
  IpAddress: { test: inNetwork, negated: false },
  NotIpAddress: { test: inNetwork, negated: true },
};

/**
 * Does the request meet one test of a condition block? All tests of a statement must hold.
 * `variables` is false for documents before 2012-10-17.
 */
export const conditionHolds = (condition: ConditionTest, context: RequestContext, variables: boolean): boolean => {
  const given = context.get(condition.key);
  if (condition.operator === 'Null') {
    const missing = given === undefined || given.length === 0;
    return condition.values.some((value) => (value.toLowerCase() === 'true') === missing);
  }
  const { test, negated } = operators[condition.operator];
  if (given === undefined || given.length === 0) {
    if (condition.qualifier === 'ForAllValues') return true;
    if (condition.qualifier === 'ForAnyValue') return condition.ifExists;
    return negated || condition.ifExists;
  }
  const filled = variables ? context : null;
  const meets = (value: string): boolean => condition.values.some((wanted) => test(value, wanted, filled)) !== negated;
  // Without a qualifier a negated test must hold for every value, so that it is the opposite of the positive one.
  const all = condition.qualifier === 'ForAllValues' || (condition.qualifier === null && negated);
  return all ? given.every(meets) : given.some(meets);
};
