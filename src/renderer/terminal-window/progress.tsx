/** What happens before the prompt, step by step: waiting says what it waits for and how long that usually takes. */
import { Loader } from '@mantine/core';
import { IconCheck, IconCircle } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import type { Grant } from '../../shared/access.ts';
import { durationWords } from '../../shared/countdown.ts';
import type { ClockOffset, TerminalTab } from '../../shared/desktop.ts';
import { cx } from '../look/class-names.ts';
import { Glyph } from '../look/pieces.tsx';
import { backendNow, measuredWords } from '../look/time.ts';
import css from './terminal-window.module.css';

type Phase = 'granting' | 'spreading' | 'starting';
const order: readonly Phase[] = ['granting', 'spreading', 'starting'];

const approval = (grant: Grant): string => {
  const by = grant.approvedBy.map((one) => (one.kind === 'rule' ? `rule ${one.ruleId}` : one.person.displayName));
  return `Approved by ${by.join(' and ')}, ${durationWords(grant.durationSeconds)}`;
};

/** Ten looks a second: the number moves while a person waits. */
const useNow = (): number => {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 100);
    return () => clearInterval(timer);
  }, []);
  return now;
};

const Bar = ({ waitedMs, usualMs }: { waitedMs: number; usualMs: number }) => {
  const wholeMs = usualMs * 1.6;
  return (
    <div
      className={css['spread']}
      role="img"
      aria-label={`${measuredWords(waitedMs)}, usually ${measuredWords(usualMs)} here`}
    >
      <svg viewBox="0 0 100 4" preserveAspectRatio="none" width="100%" height="4" aria-hidden="true">
        <rect width="100" height="4" className={css['track']} />
        <rect width={Math.min(100, (waitedMs / wholeMs) * 100)} height="4" className={css['fill']} />
        <rect x={(usualMs / wholeMs) * 100} width="0.4" height="4" className={css['fill']} />
      </svg>
      <div className={css['spreadEnds']}>
        <span>0 s</span>
        <span>usual {measuredWords(usualMs)}</span>
        <span>{measuredWords(wholeMs)}</span>
      </div>
    </div>
  );
};

type StepProps = { state: 'done' | 'now' | 'later'; title: string; waited?: string; children?: React.ReactNode };

const Step = ({ state, title, waited, children }: StepProps) => (
  <li className={cx(css['step'], state === 'now' && css['stepNow'], state === 'later' && css['stepLater'])}>
    <span className={css['stepMark']}>
      {state === 'done' && <Glyph icon={IconCheck} />}
      {state === 'now' && <Loader size={14} color="var(--ink)" aria-label="going on" />}
      {state === 'later' && <Glyph icon={IconCircle} />}
    </span>
    <div className={css['stepText']}>
      <span>{title}</span>
      {children}
    </div>
    <span className={css['stepTime']}>{waited}</span>
  </li>
);

/** Drawn instead of the terminal until it lives. */
export const Progress = ({
  tab,
  grant,
  clock,
}: {
  tab: Extract<TerminalTab, { phase: Phase }>;
  grant: Grant | null;
  clock: ClockOffset | null;
}) => {
  const now = useNow();
  const waitedMs = Math.max(0, now - Date.parse(tab.since));
  const at = order.indexOf(tab.phase);
  const stateOf = (phase: Phase): 'done' | 'now' | 'later' => {
    const its = order.indexOf(phase);
    if (its < at) return 'done';
    return its === at ? 'now' : 'later';
  };
  const timeOf = (phase: Phase): { waited?: string } =>
    phase === tab.phase ? { waited: measuredWords(waitedMs) } : {};
  const connected =
    grant !== null && (grant.state === 'granting' || grant.state === 'active') ? grant.connectedAt : null;
  const usualMs = tab.phase === 'spreading' ? tab.usualMs : null;
  return (
    <div className={css['progress']}>
      <ol role="status" aria-live="polite" aria-label="Connecting">
        {grant !== null && <Step state="done" title={approval(grant)} />}
        <Step
          state="done"
          title="Decision on record"
          {...(connected === null
            ? {}
            : { waited: measuredWords(Math.max(0, backendNow(clock, now) - Date.parse(connected))) })}
        />
        <Step
          state={stateOf('granting')}
          title={tab.phase === 'granting' ? 'Writing the access policy' : 'Access policy written and read back'}
          {...timeOf('granting')}
        />
        <Step state={stateOf('spreading')} title="IAM is spreading the change" {...timeOf('spreading')}>
          {tab.phase === 'spreading' && (
            <>
              <span className={css['stepNote']}>
                {usualMs === null
                  ? 'Not measured here yet; a few seconds is usual.'
                  : `Usually ${measuredWords(usualMs)} here.`}{' '}
                {tab.tries > 0 && `Asked ${tab.tries} ${tab.tries === 1 ? 'time' : 'times'}.`}
              </span>
              {usualMs !== null && <Bar waitedMs={waitedMs} usualMs={Math.max(usualMs, 100)} />}
            </>
          )}
        </Step>
        <Step state={stateOf('starting')} title="Start the session" {...timeOf('starting')} />
        <Step state="later" title="Prompt" />
      </ol>
      <p className={css['stepNote']}>The terminal opens by itself. You can leave this window.</p>
    </div>
  );
};
