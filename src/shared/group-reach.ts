/** Where an IAM group carries the access policy, a yes reaches further than the person who asked: said in the same words everywhere (threats RQ-20). */

/** What one account's access policy on a group means now. */
export type GroupReach = {
  accountId: string;
  accountName: string;
  group: string;
  /** Members of the group, the requester among them. */
  members: number;
  /** User names of the first of them, in order of the alphabet. */
  names: string[];
  /** SHA-256 (hex) over all of them, where `names` has only the first; missing: it has all. */
  membersHash?: string;
};

const people = (count: number): string => (count === 1 ? '1 person' : `${count} people`);

/** "Everybody in IAM group oncall of payments-dev (7 people) gets this access." */
export const groupReachWords = ({ group, accountName, members }: GroupReach): string =>
  `Everybody in IAM group ${group} of ${accountName} (${people(members)}) gets this access.`;

/** The same of several accounts, one sentence after the other; empty when no group is involved. */
export const widerWords = (wider: readonly GroupReach[]): string => wider.map(groupReachWords).join(' ');

/** No boundary of IAM can fence a group (aws-facts 3.1): said wherever a person decides. */
export const groupWarning =
  'IAM has no permissions boundary for groups: nothing but this access policy limits what they may reach.';
