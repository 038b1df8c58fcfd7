/**
 * The countdown in words and thresholds (look.md 3). Remaining time is the grant's end minus the backend's clock, and
 * it is rounded down: the screen never shows more time than there is. Thresholds include their lower bound's far side:
 * exactly 10:00 is already `soon`.
 */
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

export type CountdownLook = 'calm' | 'soon' | 'near' | 'last' | 'over';

/** Which look a live grant has with this many milliseconds left. */
export const lookFor = (msLeft: number): CountdownLook => {
  if (msLeft <= 0) return 'over';
  if (msLeft <= 1 * minute) return 'last';
  if (msLeft <= 5 * minute) return 'near';
  if (msLeft <= 10 * minute) return 'soon';
  return 'calm';
};

/** The parts of the number: digits and units alternate, so that a window can weigh them differently. */
export type CountdownPart = { digits: string; unit: string };

/** "1 h 42 m", "2 h", "42 min", "58 s", as parts. Rounds down. */
export const countdownParts = (msLeft: number): CountdownPart[] => {
  const left = Math.max(0, msLeft);
  if (left < minute || lookFor(left) === 'last') {
    return [{ digits: String(Math.floor(left / second)), unit: 's' }];
  }
  if (left <= hour) return [{ digits: String(Math.floor(left / minute)), unit: 'min' }];
  const hours = { digits: String(Math.floor(left / hour)), unit: 'h' };
  const minutes = Math.floor((left % hour) / minute);
  return minutes === 0 ? [hours] : [hours, { digits: String(minutes), unit: 'm' }];
};

/** "1 h 42 m" as one string. */
export const countdownWords = (msLeft: number): string =>
  countdownParts(msLeft)
    .map((part) => `${part.digits} ${part.unit}`)
    .join(' ');

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** For screen readers: "1 hour 42 minutes". */
export const countdownSpoken = (msLeft: number): string =>
  countdownParts(msLeft)
    .map(({ digits, unit }) => {
      const noun = { h: 'hour', m: 'minute', min: 'minute', s: 'second' }[unit] ?? unit;
      return plural(Number(digits), noun);
    })
    .join(' ');

/** A duration in seconds, as asked for or granted: "2 h", "1 h 30 m", "30 min", "90 s". */
export const durationWords = (seconds: number): string => {
  if (seconds < 120 && seconds % 60 !== 0) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  const minutes = Math.floor((seconds % 3600) / 60);
  return minutes === 0 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 3600)} h ${minutes} m`;
};

/** The notices before an end, milliseconds before it, first to last. */
export const noticesBeforeEndMs = [10 * minute, 5 * minute, 1 * minute] as const;

/** Unverified for this long after the end: the screen says "Not verified". */
export const lateAfterMs = 30 * second;
