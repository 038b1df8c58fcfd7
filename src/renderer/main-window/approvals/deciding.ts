/** What an approver's card says and what its buttons will do. Pure. */
import type { AccessRequest, InstanceRef } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import type { RequestCard } from '../../../shared/views.ts';
import { timeOfDay } from '../../look/time.ts';
import { count, peopleWords, seen } from '../../look/words.ts';

/** A yes works only once the card has been open this long, ms: no blind yes (look.md 5). */
export const yesAfterMs = 1000;

/** "Approve 2 h"; for less "Approve 30 min on 2". The time is what will be granted. */
export const approveWords = (
  request: AccessRequest,
  less: { instances: InstanceRef[]; durationSeconds: number } | null,
): string => {
  const length = durationWords(less?.durationSeconds ?? request.durationSeconds);
  const more = request.purpose.kind === 'extend' ? ' more' : '';
  if (less === null || less.instances.length === request.instances.length) return `Approve ${length}${more}`;
  return `Approve ${length}${more} on ${less.instances.length}`;
};

/** Is this yes really less than what was asked? */
export const isLess = (request: AccessRequest, less: { instances: InstanceRef[]; durationSeconds: number }): boolean =>
  less.instances.length < request.instances.length || less.durationSeconds < request.durationSeconds;

/** "6 times in the last 30 days, always approved. Used 1 h 12 m in all. Ended early 4 of 6." */
export const historyWords = (
  { history, mayDecide }: Pick<RequestCard, 'history' | 'mayDecide'>,
  now: number,
): string => {
  // Who may not decide it is told of what they see anyway, so nothing there does not mean that nothing was.
  if (history.asked === 0 && !mayDecide.yes) return 'No other request in 30 days that you may see.';
  if (history.asked === 0) return 'Never asked before. This is the first time.';
  const yes = history.denied === 0 ? 'never denied' : `${history.approved} approved, ${history.denied} denied`;
  const last = history.lastAt === null ? '' : `, last ${timeOfDay(history.lastAt, now)}`;
  const used =
    history.usedSeconds === 0 ? 'Never used.' : `Used ${durationWords(Math.max(60, history.usedSeconds))} in all.`;
  return `${mayDecide.yes ? '' : 'Of what you may see: '}${count(history.asked, 'time')} in 30 days, ${yes}${last}. ${used} Ended early ${history.endedEarly} of ${history.approved}.`;
};

/** What is said where the card names nothing that the requester has; null: nothing is said of it, because the request is closed. */
export const hasNothingWords = ({ request, mayDecide }: Pick<RequestCard, 'request' | 'mayDecide'>): string | null => {
  if (request.state !== 'waiting') return null;
  return mayDecide.yes ? 'Nothing.' : 'Nothing that you may see.';
};

/** "Rule ledger data asks for 1 of 5: Jonas Lindqvist, Aiko Brandt and 3 more." */
export const whyWords = (why: RequestCard['why']): string => {
  const people = why.approvers.length === 0 ? '' : ` of ${why.approvers.length}: ${peopleWords(why.approvers)}`;
  return `${seen(why.text)} Needs ${why.approvalsNeeded}${people}.`;
};

/** The outcome line of a request that is decided: "Jonas Lindqvist approved", "By rule x, at once", "Withdrawn". */
export const outcomeWords = (request: AccessRequest, meId: string | null): string => {
  if (request.state === 'withdrawn') return 'Withdrawn';
  if (request.state === 'lapsed') return 'Lapsed';
  if (request.state === 'waiting') return 'Waiting';
  const last = request.decisions.at(-1);
  // Each said yes to another part of it.
  if (request.state === 'denied' && last?.verdict === 'yes') return 'Denied: nothing is in all of the approvals';
  const verb = request.state === 'approved' ? 'approved' : 'denied';
  if (last === undefined) return verb;
  if (last.by.kind === 'rule')
    return request.state === 'approved' ? 'By rule, at once' : `Rule ${seen(last.by.ruleId)} said no`;
  return last.by.person.id === meId ? `You ${verb}` : `${seen(last.by.person.displayName)} ${verb}`;
};

/** The instant an outcome stands, or null while it waits. */
export const outcomeAt = (request: AccessRequest): string | null => (request.state === 'waiting' ? null : request.at);
