/** Small sentences that several screens say in the same words. */
import type { AccessRequest, Instance, Person } from '../../shared/access.ts';
import type { Failure } from '../../shared/refusal.ts';

// Characters that a name from AWS may hide in: controls, direction marks, zero-width and look-alike spaces.
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029\u00a0\u2000-\u200a\u202f\u205f\u3000]/gu;

/** Text from outside as it may be shown: what cannot be seen is written as `<U+200B>` (threats RQ-16). */
export const seen = (text: string): string =>
  text.replace(
    invisible,
    (character) => `<U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}>`,
  );

const scripts = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
];

/** Does one word mix letters of scripts that look alike ("prod-dЬ")? Such names get a mark (threats RQ-16). */
export const mixesScripts = (text: string): boolean =>
  text.split(/[\s\-_./]+/u).some((word) => scripts.filter((script) => script.test(word)).length > 1);

/** The instance's name as shown, its id when it has none. */
export const nameOf = (instance: Instance): string =>
  instance.name === '' ? instance.instanceId : seen(instance.name);

/** "api-1, api-2"; from `most` on "edge-proxy-1 and 5 more". */
export const namesOf = (instances: Instance[], most = 3): string => {
  const names = instances.map(nameOf);
  if (names.length <= most) return names.join(', ');
  return `${names[0] ?? ''} and ${names.length - 1} more`;
};

/** "1 grant", "3 grants". Numbers from 1,000 on are grouped. */
export const count = (number: number, noun: string, nouns = `${noun}s`): string =>
  `${number.toLocaleString('en-GB')} ${number === 1 ? noun : nouns}`;

/** "Jonas Lindqvist, Aiko Brandt and 3 more". */
export const peopleWords = (people: Person[], most = 2): string => {
  const names = people.map((person) => seen(person.displayName));
  if (names.length <= most + 1)
    return names.length <= 1 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
};

/** "Mira" of "Mira Okafor"; the user name when there is no display name. */
export const firstName = (person: Person): string => seen(person.displayName).split(' ')[0] || seen(person.userName);

/** Two letters for the round mark beside a name. */
export const initials = (person: Person): string => {
  const words = seen(person.displayName || person.userName).split(/\s+/u);
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? '')][0] ?? '');
  return letters.join('').toUpperCase();
};

/** How many must still say yes: "1 of 5 must approve", "1 yes of 2". */
export const waitingWords = (request: Extract<AccessRequest, { state: 'waiting' }>): string => {
  const { yeses, approvalsNeeded, approvers } = request;
  if (yeses.length > 0) return `${yeses.length} yes of ${approvalsNeeded}`;
  return approvers.length === 0
    ? `${approvalsNeeded} must approve`
    : `${approvalsNeeded} of ${approvers.length} must approve`;
};

/** What went wrong, in two parts: what happened, and what to do. */
export const failureWords = (failure: Failure): { what: string; advice: string } => {
  switch (failure.kind) {
    case 'refusal':
      return { what: failure.message ?? failure.advice, advice: failure.message === undefined ? '' : failure.advice };
    case 'unreachable':
      return {
        what: `The Curfew backend does not answer: ${failure.what}`,
        advice: 'Nothing was changed. Live access ends on time all the same.',
      };
    case 'fault':
      return {
        what: failure.what,
        advice: `Nothing is known to have changed. Tell your admin the number ${failure.faultId}.`,
      };
  }
};
