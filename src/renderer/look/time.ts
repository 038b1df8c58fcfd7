/**
 * What the screen says about time, as data: look, words, shares of the fuse. Pure, so every state can be tested.
 * Remaining time is the grant's end minus the backend's clock (look.md 3), rounded down.
 */
import type { EndCause, Grant, Instant } from '../../shared/access.ts';
import {
  type CountdownPart,
  countdownParts,
  countdownSpoken,
  countdownWords,
  durationWords,
  lateAfterMs,
  lookFor,
  noticesBeforeEndMs,
} from '../../shared/countdown.ts';
import type { ClockOffset } from '../../shared/desktop.ts';

export type TimeLook = 'ready' | 'calm' | 'soon' | 'near' | 'last' | 'ending' | 'late' | 'ended' | 'about' | 'off';

/** Everything a countdown and its fuse need. Shares are 0 to 1 of the whole grant, from left to right. */
export type TimeView = {
  look: TimeLook;
  /** Digits and units of the number; null where words stand in its place. */
  parts: CountdownPart[] | null;
  /** The same in one string: "1 h 42 m", "about 42 min", "Ending", "Ended 16:42". */
  words: string;
  /** Full sentence for screen readers, without the names of instances. */
  spoken: string;
  at: number;
  cuts: number[];
  /** Under the fuse, left and right: "14:42" and "ends 16:42". */
  startWords: string;
  endWords: string;
  msLeft: number;
};

/** After this long without a look at the backend's clock the number is only "about". */
const clockUncheckedAfterMs = 60_000;

const minute = 60_000;

/** The backend's clock as we know it, in ms since 1970. Without a measured offset our own clock stands in. */
export const backendNow = (clock: ClockOffset | null, now: number): number => now + (clock?.offsetMs ?? 0);

/** Has the backend's clock not been looked at for a minute (or ever)? */
export const clockIsOld = (clock: ClockOffset | null, now: number): boolean =>
  clock === null || now - Date.parse(clock.checkedAt) > clockUncheckedAfterMs;

const clockFace = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const clockFaceSeconds = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const weekday = new Intl.DateTimeFormat('en-GB', { weekday: 'short' });
const dayAndMonth = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

const dayOf = (ms: number): number => {
  const date = new Date(ms);
  return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
};

/** "today" is left out, else "yesterday", "tomorrow", a weekday within the week, or "12 Nov". Local time. */
export const dayWords = (at: number, now: number): string => {
  const days = Math.round((dayOf(at) - dayOf(now)) / 86_400_000);
  if (days === 0) return '';
  if (days === -1) return 'yesterday';
  if (days === 1) return 'tomorrow';
  return Math.abs(days) < 7 ? weekday.format(at) : dayAndMonth.format(at);
};

/** "16:42", with the day in front when it is not today: "tomorrow 06:00". `seconds` gives "16:42:07". */
export const timeOfDay = (at: Instant | number, now: number, seconds = false): string => {
  const ms = typeof at === 'number' ? at : Date.parse(at);
  const face = (seconds ? clockFaceSeconds : clockFace).format(ms);
  const day = dayWords(ms, now);
  return day === '' ? face : `${day} ${face}`;
};

/** "40 s", "6 min", "3 h", "2 days": how long ago `at` is. Never negative. */
export const agoWords = (at: Instant | number, now: number): string => {
  const ms = Math.max(0, now - (typeof at === 'number' ? at : Date.parse(at)));
  if (ms < minute) return `${Math.floor(ms / 1000)} s`;
  if (ms < 60 * minute) return `${Math.floor(ms / minute)} min`;
  const hours = Math.floor(ms / (60 * minute));
  if (hours < 24) return `${hours} h`;
  const days = Math.floor(hours / 24);
  return `${days} day${days === 1 ? '' : 's'}`;
};

/** Measured milliseconds as "0.4 s", from one minute on as "1 min 4 s". */
export const measuredWords = (ms: number): string => {
  const whole = Math.max(0, ms);
  if (whole < minute) return `${(whole / 1000).toFixed(1)} s`;
  return `${Math.floor(whole / minute)} min ${Math.floor((whole % minute) / 1000)} s`;
};

/** The notices that a grant of this length gets, as shares of it: drawn where it is longer than the notice by a half. */
export const cutShares = (lengthMs: number): number[] =>
  noticesBeforeEndMs.filter((before) => lengthMs >= before * 1.5).map((before) => 1 - before / lengthMs);

/** Who or what ended it, for after "Ended 15:20": "by you", "by Dele Adeyemi", or nothing when it was the time. */
const causeWords = (cause: EndCause, meId: string | null): string => {
  switch (cause.kind) {
    case 'time':
      return '';
    case 'owner':
      return cause.person.id === meId ? 'by you' : `by ${cause.person.displayName}`;
    case 'revoked':
      return cause.person.id === meId ? 'by you' : `by ${cause.person.displayName}`;
    case 'signed-out':
      return cause.person.id === meId ? 'when you signed out' : `when ${cause.person.displayName} signed out`;
    case 'left':
      return `when ${cause.person.displayName} left the organisation`;
    case 'kill':
      return cause.person.id === meId ? 'by your kill switch' : `by a kill switch of ${cause.person.displayName}`;
    case 'inventory':
      return `because ${cause.what}`;
  }
};

/** "1 h 30 m" of a duration in seconds as digits and units, to be weighed differently. */
export const durationParts = (seconds: number): CountdownPart[] =>
  durationWords(seconds)
    .split(' ')
    .reduce<CountdownPart[]>((parts, word, index, all) => {
      if (index % 2 === 0) parts.push({ digits: word, unit: all[index + 1] ?? '' });
      return parts;
    }, []);

type Moment = { clock: ClockOffset | null; now: number; meId: string | null };

const still = (view: Pick<TimeView, 'look' | 'words' | 'spoken' | 'startWords' | 'endWords'>): TimeView => ({
  parts: null,
  at: 1,
  cuts: [],
  msLeft: 0,
  ...view,
});

const liveView = (startAt: number, endAt: number, moment: Moment): TimeView => {
  const backend = backendNow(moment.clock, moment.now);
  const msLeft = endAt - backend;
  const old = clockIsOld(moment.clock, moment.now);
  const near = lookFor(msLeft);
  const seconds = near === 'last';
  const start = timeOfDay(startAt, moment.now);
  if (near === 'over') return endingView(startAt, endAt, moment, []);
  const length = Math.max(1, endAt - startAt);
  return {
    look: old ? 'about' : near,
    parts: countdownParts(msLeft),
    words: `${old ? 'about ' : ''}${countdownWords(msLeft)}`,
    spoken: `${old ? 'about ' : ''}${countdownSpoken(msLeft)} left, ends ${timeOfDay(endAt, moment.now, seconds)}`,
    at: Math.min(1, Math.max(0, (backend - startAt) / length)),
    cuts: old ? [] : cutShares(length),
    startWords: start,
    endWords: old ? `about ${timeOfDay(endAt, moment.now)}` : `ends ${timeOfDay(endAt, moment.now, seconds)}`,
    msLeft,
  };
};

/** Over, but not verified: "Ending", and from 30 s on "Not verified, 48 s". `done` are the words of what is done. */
const endingView = (startAt: number, endAt: number, moment: Moment, done: string[]): TimeView => {
  const past = backendNow(moment.clock, moment.now) - endAt;
  const late = past >= lateAfterMs;
  const waited = Math.floor(Math.max(0, past) / 1000);
  return still({
    look: late ? 'late' : 'ending',
    words: late ? `Not verified, ${waited} s` : 'Ending',
    spoken: late
      ? `Not verified ${waited} seconds after the end at ${timeOfDay(endAt, moment.now, true)}`
      : 'Ending, not verified yet',
    startWords: timeOfDay(startAt, moment.now),
    endWords: done.length > 0 ? done.join(', ') : `end was ${timeOfDay(endAt, moment.now, true)}`,
  });
};

const endingWords = (grant: Extract<Grant, { state: 'ending' }>, moment: Moment): string[] => {
  const past = Math.max(0, backendNow(moment.clock, moment.now) - Date.parse(grant.endsAt));
  const seconds = `${Math.floor(past / 1000)} s`;
  if (grant.policyGoneAt === null) return [`taking the access policy away, ${seconds}`];
  const left = grant.sessionsLeft;
  if (left === null) return [`looking for sessions, ${seconds}`];
  return [
    left === 0 ? `no session left, looking again, ${seconds}` : `${left} session${left === 1 ? '' : 's'} may be open`,
  ];
};

/** How long after the due end the access policy was read back without the grant: "access policy gone 0.4 s"; or null. */
export const policyGoneWords = (grant: Grant): string | null => {
  if (grant.state !== 'ending' || grant.policyGoneAt === null) return null;
  return `access policy gone ${measuredWords(Date.parse(grant.policyGoneAt) - Date.parse(grant.endsAt))}`;
};

/** What the screen says about one grant's time at this moment (`now`: our clock, ms since 1970). */
export const timeOfGrant = (grant: Grant, moment: Moment): TimeView => {
  const { now } = moment;
  switch (grant.state) {
    case 'ready': {
      const by = `connect by ${timeOfDay(grant.activateBy, now)}`;
      const length = durationWords(grant.durationSeconds);
      return {
        look: 'ready',
        parts: durationParts(grant.durationSeconds),
        words: `Ready, ${length}`,
        spoken: `Ready: ${length} from when you connect, ${by}`,
        at: 0,
        cuts: [],
        startWords: 'no clock runs',
        endWords: by,
        msLeft: grant.durationSeconds * 1000,
      };
    }
    case 'granting':
    case 'active':
      return liveView(Date.parse(grant.connectedAt), Date.parse(grant.endsAt), moment);
    case 'ending': {
      const start = Date.parse(grant.connectedAt ?? grant.approvedAt);
      return endingView(start, Date.parse(grant.endsAt), moment, endingWords(grant, moment));
    }
    case 'ended': {
      const cause = causeWords(grant.cause, moment.meId);
      const words = `Ended ${timeOfDay(grant.endsAt, now)}${cause === '' ? '' : ` ${cause}`}`;
      const verified = Math.max(grant.receipt.policyGoneMs, grant.receipt.sessionsGoneMs);
      return still({
        look: 'ended',
        words,
        spoken: `${words}, verified`,
        startWords: timeOfDay(grant.connectedAt ?? grant.approvedAt, now),
        endWords: `verified ${measuredWords(verified)} after the end`,
      });
    }
    case 'lapsed':
      return still({
        look: 'off',
        words: `Lapsed ${timeOfDay(grant.at, now)}`,
        spoken: `Lapsed ${timeOfDay(grant.at, now)}, nobody connected`,
        startWords: timeOfDay(grant.approvedAt, now),
        endWords: 'never connected',
      });
    case 'failed':
      return still({
        look: 'off',
        words: 'Failed',
        spoken: `Failed ${timeOfDay(grant.at, now)}`,
        startWords: timeOfDay(grant.approvedAt, now),
        endWords: `failed ${timeOfDay(grant.at, now)}`,
      });
  }
};

/** Grants by their end, nearest first; what is ending before all, what has not started last. */
export const byEnd = (left: Grant, right: Grant): number => endRank(left) - endRank(right);

const endRank = (grant: Grant): number => {
  switch (grant.state) {
    case 'ending':
      return 0;
    case 'granting':
    case 'active':
      return Date.parse(grant.endsAt);
    case 'ready':
      return Date.parse(grant.activateBy) * 2;
    default:
      return Number.MAX_SAFE_INTEGER;
  }
};

/** What the one live region says when a countdown crosses from one look into the next; null where nothing is said. */
export const crossingWords = (from: TimeLook | undefined, to: TimeLook, name: string, words: string): string | null => {
  if (from === undefined || from === to) return null;
  if (to === 'soon' || to === 'near' || to === 'last') return `${words} left on ${name}`;
  if (to === 'ending') return `Access to ${name} is ending`;
  if (to === 'late') return `The end of access to ${name} is not verified yet`;
  if (to === 'ended') return `Access to ${name} has ended`;
  return null;
};
