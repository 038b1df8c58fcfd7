/** What a kill switch did and does, in words. */
import type { KillSwitch, SwitchPreview } from '../../../shared/kill-switch.ts';
import { measuredWords } from '../../look/time.ts';
import { count } from '../../look/words.ts';

/** How far a switch is, and once everything in its reach is verified, its receipt. */
export const progressWords = ({ progress, done, lifted }: Pick<KillSwitch, 'progress' | 'done' | 'lifted'>): string => {
  const { grants, already = 0, verified, sessions, requests } = progress;
  const before = already === 0 ? '' : `, ${already} of them ${already === 1 ? 'was' : 'were'} ending already`;
  const taken = requests === 0 ? '' : `, ${count(requests, 'request')} taken back`;
  if (done === null) {
    const open = sessions === 0 ? '' : `, ${count(sessions, 'session')} still open`;
    return `${verified} of ${count(grants, 'grant')} ended and verified${before}${open}${taken}`;
  }
  if (grants > 0) {
    return `${count(grants, 'grant')} ended${before}${taken}, all verified ${measuredWords(done.totalMs)} after the pull`;
  }
  // Lifted before it came to anybody: what was live then, nobody looked.
  const nothing =
    lifted !== null && Date.parse(lifted.at) <= Date.parse(done.at) ? 'It ended nothing' : 'Nothing was live';
  return `${nothing}${taken}`;
};

/** Of a switch that would end nothing. */
export const nothingLivesWords = ({ ending = 0 }: SwitchPreview['totals']): string =>
  ending === 0
    ? 'Nothing lives there now.'
    : `Nothing to end: ${count(ending, 'grant')} there ${ending === 1 ? 'is' : 'are'} ending already.`;
