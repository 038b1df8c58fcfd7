/** The bar under the terminal: how long, how it is locked, extend and end. It never covers the last line, and output never reaches it. */
import { Button } from '@mantine/core';
import { IconLock, IconLockOpen } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import type { Grant } from '../../shared/access.ts';
import { durationWords } from '../../shared/countdown.ts';
import type { BackendReach, ClockOffset } from '../../shared/desktop.ts';
import { grantCan } from '../../shared/lifecycle.ts';
import type { Answer } from '../../shared/refusal.ts';
import type { ExtendOutcome } from '../../shared/views.ts';
import { cx } from '../look/class-names.ts';
import { Countdown, Fuse, useTimeOf } from '../look/countdown.tsx';
import { Glyph, Keys } from '../look/pieces.tsx';
import { measuredWords, policyGoneWords, timeOfDay } from '../look/time.ts';
import { failureWords, namesOf } from '../look/words.ts';
import css from './terminal-window.module.css';

export const extendBySeconds = 30 * 60;
const noteForMs = 6_000;

type Lock = { name: string; holds: boolean; why: string };

const locksOf = (grant: Grant, backend: BackendReach): Lock[] => {
  const written = grant.state === 'active' || grant.state === 'granting';
  return [
    {
      name: 'access policy',
      holds: written,
      why: written ? 'The access policy carries its own end.' : 'The access policy no longer holds this access.',
    },
    {
      name: 'backend',
      holds: backend.state === 'ok',
      why:
        backend.state === 'ok'
          ? 'The backend takes the access away and ends the session.'
          : 'The backend cannot be reached: the other two locks hold.',
    },
    { name: 'app', holds: true, why: 'This app closes its own terminal.' },
  ];
};

const Locks = ({ grant, backend }: { grant: Grant; backend: BackendReach }) => (
  <ul className={css['locks']} aria-label="What ends this access">
    {locksOf(grant, backend).map((lock) => (
      <li key={lock.name} title={lock.why} className={cx(!lock.holds && css['open'])}>
        <Glyph icon={lock.holds ? IconLock : IconLockOpen} size={14} />
        <span>
          {lock.name}
          {!lock.holds && <span className={css['why']}> not holding</span>}
        </span>
      </li>
    ))}
  </ul>
);

const extendedWords = (answer: Answer<ExtendOutcome>, now: number): string => {
  if (!answer.ok) {
    const { what, advice } = failureWords(answer.failure);
    return `${what} ${advice}`;
  }
  const { value } = answer;
  if (value.kind === 'asked')
    return `Asked for ${durationWords(value.request.durationSeconds)} more: a person decides.`;
  return 'endsAt' in value.grant ? `Extended to ${timeOfDay(value.grant.endsAt, now)}.` : 'Extended.';
};

type Props = {
  grant: Grant;
  clock: ClockOffset | null;
  backend: BackendReach;
  /** Shown while it asks whether to end. */
  confirming: boolean;
  onConfirming: (asking: boolean) => void;
  onExtend: () => Promise<Answer<ExtendOutcome>>;
  onEnd: () => void;
  onAskAgain: () => void;
  onSave: () => void;
  /** The latest word on an extension that was begun by the keyboard. */
  extension: Answer<ExtendOutcome> | null;
};

const useForAWhile = (extension: Answer<ExtendOutcome> | null): Answer<ExtendOutcome> | null => {
  const [shown, setShown] = useState(extension);
  useEffect(() => {
    setShown(extension);
    // A refusal stays until the next try: it has to be read.
    if (extension === null || !extension.ok) return undefined;
    const timer = setTimeout(() => setShown(null), noteForMs);
    return () => clearTimeout(timer);
  }, [extension]);
  return shown;
};

const ExtendButton = ({ near, onExtend }: { near: boolean; onExtend: Props['onExtend'] }) => {
  const [busy, setBusy] = useState(false);
  return (
    <Button
      variant={near ? 'filled' : 'default'}
      loading={busy}
      onClick={() => {
        setBusy(true);
        void onExtend().finally(() => setBusy(false));
      }}
      rightSection={<Keys>Ctrl Shift E</Keys>}
    >
      {near ? 'Extend by 30 min' : 'Extend'}
    </Button>
  );
};

const EndedWords = ({ grant }: { grant: Grant }) => {
  if (grant.state === 'ended') {
    const { policyGoneMs, sessionsGoneMs, stage } = grant.receipt;
    return (
      <span className={css['endsAt']}>
        Access policy gone {measuredWords(policyGoneMs)}, sessions gone {measuredWords(sessionsGoneMs)} after the end,
        verified
        {stage === 'sealed' ? ' and sealed' : ''}.
      </span>
    );
  }
  if (grant.state === 'failed') return <span className={css['endsAt']}>{grant.advice}</span>;
  const gone = policyGoneWords(grant);
  return <span className={css['endsAt']}>{gone ?? 'The text stays, nothing more is sent or received.'}</span>;
};

const Over = ({ grant, onAskAgain, onSave }: Pick<Props, 'grant' | 'onAskAgain' | 'onSave'>) => (
  <>
    <EndedWords grant={grant} />
    <span className={css['grow']} />
    <Button variant="subtle" onClick={onSave}>
      Save the text
    </Button>
    <Button variant="filled" onClick={onAskAgain} rightSection={<Keys>Ctrl Shift E</Keys>}>
      Ask again
    </Button>
  </>
);

const Confirm = ({ grant, onConfirming, onEnd }: Pick<Props, 'grant' | 'onConfirming' | 'onEnd'>) => (
  <div className={css['confirm']} role="alertdialog" aria-label="End this access">
    <span>
      End access to <b>{namesOf(grant.instances)}</b> now? The text stays, what runs may not.
    </span>
    <span className={css['grow']} />
    <Button variant="default" onClick={() => onConfirming(false)} data-autofocus>
      Keep it
    </Button>
    <Button variant="sure" onClick={onEnd}>
      End access
    </Button>
  </div>
);

export const Bar = (props: Props) => {
  const { grant, clock, backend, confirming, onConfirming, onExtend } = props;
  const view = useTimeOf(grant, clock, grant.person.id);
  const note = useForAWhile(props.extension);
  const live = grantCan('end', grant.state);
  const last = view.look === 'last' && live;
  const near = last || view.look === 'near';
  return (
    <footer className={css['bar']} data-t={view.look}>
      <div className={css['barFuse']}>
        <Fuse view={view} />
      </div>
      <div className={css['barRow']} {...(last ? { role: 'alert' } : {})}>
        <Countdown view={view} name={namesOf(grant.instances)} big />
        {!live && <Over {...props} />}
        {live && confirming && <Confirm {...props} />}
        {live && !confirming && (
          <>
            <span className={css['endsAt']} role="status">
              {note === null
                ? `${view.endWords}${last ? '. What is on the screen stays, what runs in it may not.' : ''}`
                : extendedWords(note, Date.now())}
            </span>
            <span className={css['grow']} />
            {!last && <Locks grant={grant} backend={backend} />}
            <ExtendButton near={near} onExtend={onExtend} />
            <Button variant="stop" onClick={() => onConfirming(true)}>
              End
            </Button>
          </>
        )}
      </div>
    </footer>
  );
};
