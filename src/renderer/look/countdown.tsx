/** The countdown as a number and as a fuse. Look.md 3: nearness is told by weight, box and fill, never by hue alone. */
import { VisuallyHidden } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import { type CSSProperties, useEffect, useRef, useState } from 'react';
import type { Grant } from '../../shared/access.ts';
import type { ClockOffset } from '../../shared/desktop.ts';
import { cx } from './class-names.ts';
import css from './countdown.module.css';
import { useSecond } from './ticking.ts';
import { crossingWords, type TimeView, timeOfGrant } from './time.ts';
import { namesOf } from './words.ts';

type Face = { view: TimeView; name?: string; big?: boolean };

/** The number. `name` (of the instances) completes its name for screen readers; it never announces by itself. */
export const Countdown = ({ view, name, big = false }: Face) => (
  <span
    className={cx(css['left'], big && css['big'])}
    data-t={view.look}
    role="timer"
    aria-live="off"
    aria-label={name === undefined ? view.spoken : view.spoken.replace(' left,', ` left on ${name},`)}
  >
    <Digits view={view} big={big} />
  </span>
);

const Digits = ({ view, big }: { view: TimeView; big: boolean }) => {
  if (view.parts === null) {
    const words = big && view.look === 'late' ? 'Not verified' : view.words;
    return (
      <>
        {view.look === 'ended' && <IconCheck size={big ? 20 : 14} stroke={2} aria-hidden="true" />}
        {words}
      </>
    );
  }
  return (
    <>
      {view.look === 'about' && <span className={css['unit']}>about</span>}
      {view.look === 'ready' && !big && <span>Ready,</span>}
      {view.parts.map(({ digits, unit }) => (
        <span key={unit} className={css['part']}>
          <span>{digits}</span>
          <span className={css['unit']}>{unit}</span>
        </span>
      ))}
    </>
  );
};

const share = (value: number): string => `${(value * 100).toFixed(2)}%`;

/** Custom properties are not in React's style type: this names the two that the style sheet reads. */
const fuseStyle = (name: '--at' | '--x', value: string): CSSProperties & Record<'--at' | '--x', string> => ({
  '--at': '0%',
  '--x': '0%',
  [name]: value,
});

/** The whole grant from left to right: burnt hair line, head, ember line, cuts at the notices, post at the end. */
export const Fuse = ({ view }: { view: TimeView }) => (
  <div
    className={css['fuse']}
    data-t={view.look === 'late' ? 'ending' : view.look}
    style={fuseStyle('--at', share(view.at))}
    role="img"
    aria-label={view.spoken}
  >
    {view.cuts
      .filter((cut) => cut > view.at)
      .map((cut) => (
        <i key={cut} style={fuseStyle('--x', `calc(${share(cut)} - 1px)`)} />
      ))}
    <b />
  </div>
);

/** What the screen says about this grant's time, drawn anew every second. */
export const useTimeOf = (grant: Grant, clock: ClockOffset | null, meId: string | null): TimeView => {
  const now = useSecond();
  return timeOfGrant(grant, { clock, now, meId });
};

type Speaking = { grants: Grant[]; clock: ClockOffset | null; meId: string | null };

/** The one live region: speaks at 10, 5 and 1 minute, at ending and at ended, and is silent otherwise. */
export const TimeSpeaker = ({ grants, clock, meId }: Speaking) => {
  const now = useSecond();
  const [said, say] = useState<{ words: string; urgent: boolean }>({ words: '', urgent: false });
  const looks = useRef(new Map<string, TimeView['look']>());
  useEffect(() => {
    for (const grant of grants) {
      const view = timeOfGrant(grant, { clock, now, meId });
      const words = crossingWords(looks.current.get(grant.id), view.look, namesOf(grant.instances), view.words);
      looks.current.set(grant.id, view.look);
      if (words !== null) say({ words, urgent: view.look === 'last' });
    }
  }, [grants, clock, meId, now]);
  return (
    <VisuallyHidden component="div" aria-live={said.urgent ? 'assertive' : 'polite'}>
      {said.words}
    </VisuallyHidden>
  );
};
