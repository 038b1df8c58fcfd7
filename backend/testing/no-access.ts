/** For tests of what does not decide: every decision is a mistake of the test. */
import type { ApiDeps } from '../api/deps.ts';

const never = async (): Promise<never> => {
  throw new Error('This test does not decide anything.');
};

export const noAccess: ApiDeps['access'] = {
  preview: never,
  submit: never,
  withdraw: never,
  card: never,
  claim: never,
  decide: never,
  connect: never,
  extend: never,
  end: never,
  endAllOfPerson: never,
  whatStays: never,
  endAllOn: never,
  revocable: never,
  pull: never,
  lift: never,
  reachFor: never,
  endFound: never,
};
