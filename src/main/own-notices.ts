/** Notices that the app makes itself, because only it counts down on time even when the backend is out of reach. Pure. */
import { randomUUID } from 'node:crypto';
import type { Grant, Notice } from '../shared/access.ts';
import { countdownWords, noticesBeforeEndMs } from '../shared/countdown.ts';
import type { SignInState, TerminalTab } from '../shared/desktop.ts';

/** "payments-api-1", "edge-proxy-1 and 2 more". */
export const instanceNames = (instances: readonly { name: string }[]): string => {
  const [first, ...rest] = instances;
  if (first === undefined) return 'no instance';
  return rest.length === 0 ? first.name : `${first.name} and ${rest.length} more`;
};

/** "16:42", local time, 24 h. */
export const clockTime = (at: Date): string =>
  at.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', hour12: false });

const terminalsOpen = (count: number): string => {
  if (count === 0) return 'No terminal is open.';
  return count === 1 ? 'One terminal is open.' : `${count} terminals are open.`;
};

/**
 * Warnings at 10, 5 and 1 minutes that are due now and were not given yet. A grant gets a warning only when it is longer than it by a
 * half; one that was slept through is given once, with the time that is really left; an extension makes them due anew.
 * @param given keys of what was given; grows.
 * @param now the backend's clock.
 */
export const warningsDue = (
  grants: readonly Grant[],
  tabs: readonly TerminalTab[],
  given: Set<string>,
  now: Date,
): Notice[] =>
  grants.flatMap((grant) => {
    if (grant.state !== 'active' && grant.state !== 'granting') return [];
    const endsAt = new Date(grant.endsAt);
    const msLeft = endsAt.getTime() - now.getTime();
    if (msLeft <= 0) return [];
    const due = noticesBeforeEndMs.filter((before) => msLeft <= before && grant.durationSeconds * 1000 >= before * 1.5);
    const fresh = due.filter((before) => !given.has(`${grant.id}/${grant.endsAt}/${before}`));
    for (const before of due) given.add(`${grant.id}/${grant.endsAt}/${before}`);
    const nearest = due.at(-1);
    if (nearest === undefined || !fresh.includes(nearest)) return [];
    const open = tabs.filter((tab) => tab.grantId === grant.id && tab.phase === 'live').length;
    const tail = nearest === noticesBeforeEndMs[2] ? 'The text stays, what runs may not.' : terminalsOpen(open);
    // A whole minute is said as such: at 9:59.8 nobody wants to read "9 min left".
    const left = nearest - msLeft < 2000 ? `${nearest / 60_000} min` : countdownWords(msLeft);
    return [
      {
        id: randomUUID(),
        at: now.toISOString(),
        kind: 'ending-soon',
        title: `${left} left on ${instanceNames(grant.instances)}`,
        body: `Ends ${clockTime(endsAt)}. ${tail}`,
        target: { kind: 'grant', id: grant.id },
        readAt: null,
      } satisfies Notice,
    ];
  });

/** The notice for the moment when a running sign-in turns into one that is needed again; null at every other change. */
export const signInNotice = (options: {
  before: SignInState;
  after: SignInState;
  organisation: string;
  tabs: readonly TerminalTab[];
  now: Date;
}): Notice | null => {
  const { before, after, organisation, tabs, now } = options;
  if (after.state !== 'again' || before.state === 'again') return null;
  const live = tabs.filter((tab) => tab.phase === 'live').length;
  const goesOn = live === 1 ? 'One terminal goes on and ends on time.' : `${live} terminals go on and end on time.`;
  return {
    id: randomUUID(),
    at: now.toISOString(),
    kind: 'sign-in-needed',
    title: `Sign in again to ${organisation}`,
    body: live === 0 ? 'Live access still ends on time.' : goesOn,
    target: { kind: 'sign-in' },
    readAt: null,
  };
};
