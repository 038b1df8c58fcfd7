/**
 * Why a person decides although a rule would give it at once: tags that rules trust have changed lately, or could not be read (threats
 * RQ-07). Said in the same words everywhere.
 */
import type { Because, Instant, TagChange } from './access.ts';

const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

const agoInWords = (at: Instant, now: number): string => {
  const minutes = Math.floor(Math.max(0, now - Date.parse(at)) / 60_000);
  if (minutes < 1) return 'just now';
  return minutes < 60 ? `${counted(minutes, 'minute')} ago` : `${counted(Math.floor(minutes / 60), 'hour')} ago`;
};

const clause = (because: Because, now: number): string =>
  because.kind === 'tag-changed'
    ? `the tag ${because.key} of ${because.name} changed ${agoInWords(because.at, now)}`
    : `the tags of ${because.name} could not be read from AWS when it was asked`;

/** More are counted. */
const named = 3;

/** "The tag env of web-1 changed 12 minutes ago, so a person decides." Empty without a reason. @param now ms since 1970. */
export const becauseWords = (because: readonly Because[], now: number): string => {
  if (because.length === 0) return '';
  const clauses = because.slice(0, named).map((one) => clause(one, now));
  if (because.length > named) clauses.push(`${counted(because.length - named, 'more reason')}`);
  const [last = '', ...before] = clauses.toReversed();
  const whole = before.length === 0 ? last : `${before.toReversed().join(', ')} and ${last}`;
  return `${whole.charAt(0).toUpperCase()}${whole.slice(1)}, so a person decides.`;
};

/** "production → dev", for reading beside the tag's key. */
export const tagChangeWords = ({ from, to }: Pick<TagChange, 'from' | 'to'>): string =>
  `${from ?? 'not set'} → ${to ?? 'not set'}`;
