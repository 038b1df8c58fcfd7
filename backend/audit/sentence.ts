/** One plain sentence for each audit event: what a person reads in the audit view, the CSV and the CLI. */
import type { DecidedBy, EndCause, InstanceRef, Person } from '../../src/shared/access.ts';
import { durationWords } from '../../src/shared/countdown.ts';
import { type GroupReach, widerWords } from '../../src/shared/group-reach.ts';
import { becauseWords } from '../../src/shared/person-decides.ts';
import { directoryWords } from '../store/people.ts';
import type { Actor, AuditEvent } from './event.ts';

export const actorName = (actor: Actor): string => {
  switch (actor.kind) {
    case 'person':
      return actor.person.displayName;
    case 'rule':
      return `rule ${actor.ruleId}`;
    case 'curfew':
      return 'Curfew';
  }
};

const ids = (instances: InstanceRef[]): string => instances.map((instance) => instance.instanceId).join(', ');

const deciderName = (by: DecidedBy): string => (by.kind === 'rule' ? `Rule ${by.ruleId}` : by.person.displayName);

/** Why a grant ended, as the end of a sentence. */
const causeWords = (cause: EndCause): string => {
  switch (cause.kind) {
    case 'time':
      return 'its time was over';
    case 'owner':
      return `${cause.person.displayName} ended it`;
    case 'revoked':
      return `${cause.person.displayName} revoked it${cause.comment ? `: “${cause.comment}”` : ''}`;
    case 'signed-out':
      return `${cause.person.displayName} signed out`;
    case 'left':
      return `${cause.person.displayName} left the organisation`;
    case 'kill':
      return `${cause.person.displayName} pulled a kill switch: “${cause.reason}”`;
    case 'inventory':
      return cause.what;
  }
};

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

const commented = (comment: string | null): string => (comment ? `: “${comment}”` : '');

/** A second sentence where a group carries the access. */
const widely = (wider: readonly GroupReach[] = []): string => (wider.length === 0 ? '' : `. ${widerWords(wider)}`);

const asideWhy = {
  changed: 'what it was for has changed',
  may_not_decide: 'they may not decide it any more',
  same_person: 'they had approved it by another sign-in',
} as const;

/** Further sentences where earlier approvals count no more. */
const asideWords = (aside: Extract<AuditEvent, { kind: 'request_decided' }>['aside'] = []): string =>
  aside
    .map(({ person, why }) => `. The earlier approval of ${person.displayName} counts no more: ${asideWhy[why]}`)
    .join('');

/** An IAM user cannot be disabled: who is in none of the groups has left. */
const leftWords = ({ person, why }: { person: Person; why: 'disabled' | 'gone' }): string => {
  const where = directoryWords(person.id);
  return why === 'gone' || person.id.startsWith('AIDA') ? `not in ${where} any more` : `disabled in ${where}`;
};

type Sentences = { [K in AuditEvent['kind']]: (event: Extract<AuditEvent, { kind: K }>) => string };

const sentences: Sentences = {
  signed_in: (e) => `${actorName(e.actor)} signed in as ${e.arn}`,
  sign_in_refused: (e) => `A sign-in${e.arn === null ? '' : ` as ${e.arn}`} was refused: ${e.why}`,
  signed_out: (e) =>
    `${actorName(e.actor)} signed out${e.otherSignIns === undefined ? '' : ` everywhere (${e.otherSignIns + 1} sign-ins)`}${e.endedGrants.length > 0 ? ` and ended ${e.endedGrants.length} grants` : ''}`,
  person_left: (e) =>
    `${e.person.displayName} is ${leftWords(e)}: ${e.tokens} sign-ins, ${e.withdrawnRequests.length} requests and ${e.endedGrants.length} grants were closed`,
  rules_loaded: (e) => `${e.rules} rules came into force, set ${e.ruleSetHash.slice(0, 12)}`,
  request_submitted: (e) =>
    `${e.requester.displayName} asked for ${e.extendsGrantId === null ? '' : 'more time on '}${ids(e.instances)}, ${durationWords(e.durationSeconds)}: “${e.reason}”${widely(e.wider)}${e.because === undefined ? '' : `. ${becauseWords(e.because, Date.parse(e.at))}`}`,
  request_decided: (e) =>
    e.verdict === 'yes'
      ? `${deciderName(e.by)} approved ${durationWords(e.durationSeconds ?? 0)} on ${ids(e.instances ?? [])} for ${e.requester.displayName}${commented(e.comment)}${widely(e.wider)}${e.leavesNothing === true ? '. No instance is in all of the approvals, so the request is denied' : ''}${asideWords(e.aside)}`
      : `${deciderName(e.by)} denied the request of ${e.requester.displayName}${commented(e.comment)}${asideWords(e.aside)}`,
  request_withdrawn: (e) =>
    e.left === true
      ? `The request of ${e.requester.displayName}, who left the organisation, was withdrawn`
      : e.stopped !== undefined
        ? `${actorName(e.actor)} took back the request of ${e.requester.displayName}${e.stopped.switchId === null ? ' with the access it was for' : ' by a kill switch'}`
        : `${e.requester.displayName} withdrew the request`,
  request_lapsed: (e) => `Nobody decided the request of ${e.requester.displayName} in time`,
  grant_made: (e) =>
    `${e.owner.displayName} may connect to ${ids(e.instances)} for ${durationWords(e.durationSeconds)}`,
  grant_connected: (e) =>
    `${e.owner.displayName} connected: access until ${e.endsAt}, and its removal is scheduled for then`,
  access_policy_written: (e) =>
    `The access policy of ${e.principal} was written and read back with its own end ${e.endsAt}, ${e.documentHash.slice(0, 12)}`,
  grant_active: (e) => `Access of ${e.owner.displayName} is active`,
  grant_extended: (e) => `${deciderName(e.by)} extended the access of ${e.owner.displayName} to ${e.endsAt}`,
  grant_shortened: (e) =>
    `The access of ${e.owner.displayName} ends at ${e.endsAt} and not at ${e.fromEndsAt}: ${e.advice}`,
  grant_ending: (e) => `Access of ${e.owner.displayName} is ending: ${causeWords(e.cause)}`,
  grant_ended: (e) =>
    `Access of ${e.owner.displayName} ended, ${causeWords(e.cause)}: access policy gone ${seconds(e.receipt.policyGoneMs)}, sessions gone ${seconds(e.receipt.sessionsGoneMs)} after the end, verified${e.receipt.stays === undefined ? '' : `; ${[...new Set(e.receipt.stays.map(({ instance }) => instance.instanceId))].join(', ')} stays reachable by other access`}`,
  grant_sealed: (e) => `Sealed: ${e.receipt.looks} looks after the end found nothing more`,
  grant_lapsed: (e) => `${e.owner.displayName} did not connect in time`,
  grant_failed: (e) => `Access of ${e.owner.displayName} failed (${e.code}): ${e.advice}`,
  session_started: (e) =>
    `${e.owner.displayName} opened session ${e.sessionId} on ${e.instance.instanceId}${e.closesAt === undefined ? '' : `; the app closes it at ${e.closesAt}`}`,
  session_ended: (e) => `Session ${e.sessionId} on ${e.instance.instanceId} ended`,
  session_terminated: (e) => `Session ${e.sessionId} on ${e.instance.instanceId} was terminated by Curfew`,
  session_unexplained: (e) =>
    `Session ${e.sessionId} of ${e.owner} on ${e.target} has no grant${e.terminated ? ' and was terminated' : ''}`,
  session_end_asked: (e) =>
    `${actorName(e.actor)} asked for the end of session ${e.sessionId}, which was not opened by the app: “${e.reason}”`,
  found_session_ended: (e) =>
    `Session ${e.sessionId} of ${e.owner} on ${e.target}, not opened by the app, was terminated by Curfew`,
  kill_switch_pulled: (e) =>
    `${actorName(e.actor)} pulled the kill switch for ${e.name}${e.within === null ? '' : `, on the ${e.within.length} instances they may decide about`}: “${e.reason}”`,
  kill_switch_done: (e) =>
    `The kill switch for ${e.name} has ended ${e.grants} grants and taken back ${e.requests} requests${e.already === undefined ? '' : ` (${e.already} more were ending already)`}, the last one verified after ${seconds(e.totalMs)}`,
  kill_switch_lifted: (e) => `${actorName(e.actor)} lifted the kill switch for ${e.name}`,
  access_policy_mended: (e) => `The access policy of ${e.principal} was mended: ${e.what}`,
  leftover_reported: (e) => `Left over on ${e.principal}: ${e.what}`,
  trail_held: (e) => `Nothing is given until an admin confirms: ${e.what}`,
  restore_confirmed: (e) => `${e.by} confirmed at the command line that the database was restored: ${e.what}`,
  finding_reported: (e) => `Found at ${e.subject}: ${e.what}`,
  finding_mended: (e) => `No longer there at ${e.subject}: ${e.what}`,
  finding_author: (e) =>
    `CloudTrail says who it was at ${e.subject}: ${e.who} at ${e.didAt}${e.from === null ? '' : ` from ${e.from}`} (${e.did})`,
  seal_broken: (e) => `Row ${e.rowId} in ${e.table} does not carry a valid seal: nothing was written for it`,
  role_provisioned: (e) => `Personal role ${e.principal} was made in ${e.accountId}`,
};

/** @returns one line without line breaks. */
export const auditSentence = (event: AuditEvent): string => {
  // Narrowed by kind: the table has exactly one sentence for each.
  const sentence: (event: never) => string = sentences[event.kind];
  return Reflect.apply(sentence, undefined, [event]);
};
