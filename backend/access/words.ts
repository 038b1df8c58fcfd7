/** The words of notices: native notifications and the inbox show the same (look 4). */
import type { Instance, Person } from '../../src/shared/access.ts';
import { durationWords } from '../../src/shared/countdown.ts';
import { type GroupReach, widerWords } from '../../src/shared/group-reach.ts';

/** "payments-api-1", "edge-proxy-1 and 5 more". */
export const instancesWords = (instances: ReadonlyArray<Pick<Instance, 'name' | 'instanceId'>>): string => {
  const [first, ...others] = instances;
  if (first === undefined) return 'no instance';
  const name = first.name === '' ? first.instanceId : first.name;
  return others.length === 0 ? name : `${name} and ${others.length} more`;
};

type What = { instances: ReadonlyArray<Pick<Instance, 'name' | 'instanceId'>>; durationSeconds: number };

const what = ({ instances, durationSeconds }: What): string =>
  `${instancesWords(instances)}, ${durationWords(durationSeconds)}`;

export type NoticeWords = { title: string; body: string };

export const toApproveWords = (
  request: What & { requester: Person; reason: string; extends: boolean; wider: readonly GroupReach[] },
  ruleId: string,
): NoticeWords => ({
  title: `${request.requester.displayName} asks for ${request.extends ? 'more time on ' : ''}${what(request)}`,
  body: [widerWords(request.wider), `“${request.reason}” Rule: ${ruleId}.`].filter((words) => words !== '').join(' '),
});

/** For whoever said yes before what it was for has changed. */
export const lookAgainWords = (request: What & { requester: Person; extends: boolean }): NoticeWords => ({
  title: `Look again: ${request.requester.displayName} asks for ${request.extends ? 'more time on ' : ''}${what(request)}`,
  body: 'What you said yes to has changed since, so your yes counts no more.',
});

export const approvedWords = (
  yes: What & { less: boolean; extends: boolean },
  deciders: readonly Person[],
  comment: string | null,
): NoticeWords => {
  const by = deciders.map((person) => person.displayName).join(' and ');
  const clock = yes.extends ? 'The new end counts already.' : 'The clock starts when you connect.';
  return {
    title: `Approved${yes.less ? ' for less' : ''}: ${yes.extends ? 'more time on ' : ''}${what(yes)}`,
    body: comment === null || comment === '' ? `By ${by}. ${clock}` : `${by}: “${comment}” ${clock}`,
  };
};

export const deniedWords = (request: What, decider: Person, comment: string | null): NoticeWords => ({
  title: `Not approved: ${what(request)}`,
  body: comment === null || comment === '' ? `By ${decider.displayName}.` : `${decider.displayName}: “${comment}”`,
});

/** Everybody said yes, each to another part. */
export const nothingLeftWords = (
  request: What,
  { givers, decider, comment }: { givers: readonly Person[]; decider: Person; comment: string | null },
): NoticeWords => {
  const names = [...givers, decider].map((person) => person.displayName).join(' and ');
  const said = comment === null || comment === '' ? '' : ` ${decider.displayName}: “${comment}”`;
  return {
    title: `Not approved: ${what(request)}`,
    body: `${names} each said yes to a part of it, and no instance is in all of them.${said}`,
  };
};

export const requestLapsedWords = (request: What): NoticeWords => ({
  title: `Nobody decided in time: ${what(request)}`,
  body: 'Nothing was granted. Ask again when it is still needed.',
});

export const revokedWords = (grant: What, by: Person, comment: string | null): NoticeWords => ({
  title: `${by.displayName} ended your access to ${instancesWords(grant.instances)}`,
  body: comment === null || comment === '' ? 'Your terminal text is kept.' : `“${comment}” Your terminal text is kept.`,
});

/** For the other admins: who pulled a kill switch, on what and why. */
export const pulledWords = (name: string, by: Person, reason: string): NoticeWords => ({
  title: `${by.displayName} ended ${name === 'everything' ? 'everything' : `all access: ${name}`}`,
  body: `“${reason}” It stays stopped until somebody lifts it.`,
});

export const liftedWords = (name: string, by: Person): NoticeWords => ({
  title: `${by.displayName} lifted the stop: ${name}`,
  body: 'What was ended stays ended. It can be asked for again.',
});

const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

/** For the person hit: who ended it and why. */
export const stoppedWords = (what: { grants: number; requests: number }, by: Person, reason: string): NoticeWords => {
  const access = what.grants === 0 ? '' : `ended your access (${counted(what.grants, 'grant')})`;
  const requests = what.requests === 0 ? '' : `took back ${counted(what.requests, 'request')} of yours`;
  return {
    title: `${by.displayName} ${[access, requests].filter(Boolean).join(' and ')}`,
    body: `“${reason}” It stays stopped until somebody else lifts it.${what.grants === 0 ? '' : ' Your terminal text is kept.'}`,
  };
};
