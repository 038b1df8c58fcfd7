/** Small drawn pieces that every screen shares: status, note, tag, person, keys, empty and loading states. */
import { Button, Skeleton, UnstyledButton } from '@mantine/core';
import {
  type Icon,
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleX,
  IconEye,
  IconInfoCircle,
} from '@tabler/icons-react';
import { type ReactNode, useEffect, useState } from 'react';
import type { Instance, Person } from '../../shared/access.ts';
import type { Failure } from '../../shared/refusal.ts';
import { cx } from './class-names.ts';
import css from './pieces.module.css';
import { failureWords, initials, mixesScripts, nameOf } from './words.ts';

/** Every icon: Tabler outline, 16 px, stroke 1.5, beside a word and growing with it; hidden from screen readers. */
export const Glyph = ({ icon: Drawn, size = 16 }: { icon: Icon; size?: number }) => (
  <Drawn size={`${size / 16}rem`} stroke={1.5} aria-hidden="true" className={css['glyph']} />
);

/** The brand's mark: the sun over the line. Says nothing about state. */
export const Mark = () => (
  <svg viewBox="0 0 18 18" width="1.125rem" height="1.125rem" fill="none" aria-hidden="true">
    <path d="M3 11.2a6 6 0 0 1 12 0Z" fill="currentColor" />
    <path d="M1 14.4h16" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />
  </svg>
);

export type Tone = 'ok' | 'no' | 'ask' | 'plain';

/** A word with a dot before it; hollow where nothing is going on. */
export const Status = ({ tone, hollow = false, children }: { tone: Tone; hollow?: boolean; children: ReactNode }) => (
  <span className={cx(css['status'], css[tone], hollow && css['hollow'])}>
    <span>{children}</span>
  </span>
);

export const Tag = ({ tone = 'plain', children }: { tone?: Tone; children: ReactNode }) => (
  <span className={cx(css['tag'], css[tone])}>{children}</span>
);

/** Keys of a command as a cap: "Ctrl K"; "Cmd K" on macOS. Not read aloud: the command palette names them. */
export const Keys = ({ children }: { children: string }) => (
  <span className={css['keys']} aria-hidden="true">
    {isMac() ? children.replace('Ctrl', 'Cmd') : children}
  </span>
);

const isMac = (): boolean => typeof navigator !== 'undefined' && navigator.userAgent.includes('Macintosh');

export const Avatar = ({ person, large = false }: { person: Person; large?: boolean }) => (
  <span className={cx(css['avatar'], large && css['large'])} aria-hidden="true">
    {initials(person)}
  </span>
);

/** Instance name, with a mark where it mixes scripts that look alike (threats RQ-16). */
export const InstanceName = ({ instance }: { instance: Instance }) => (
  <>
    {nameOf(instance)}
    {mixesScripts(instance.name) && (
      <>
        {' '}
        <Tag tone="ask">mixed scripts</Tag>
      </>
    )}
  </>
);

const noteIcons: Record<Tone, Icon> = {
  ok: IconCircleCheck,
  no: IconAlertTriangle,
  ask: IconEye,
  plain: IconInfoCircle,
};

type NoteProps = {
  tone?: Tone;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  icon?: Icon;
  role?: 'status' | 'alert';
};

/** A fact with a next step. The icon and the words say it; the tint only helps. */
export const Note = ({ tone = 'plain', title, children, action, icon, role }: NoteProps) => (
  <div className={cx(css['note'], css[`note-${tone}`])} role={role}>
    <Glyph icon={icon ?? noteIcons[tone]} />
    <div className={css['grow']}>
      <b>{title}</b>
      {children !== undefined && <div className={css['noteText']}>{children}</div>}
    </div>
    {action}
  </div>
);

/** How a call failed: what happened, what it means, what to do; with the way to try again where there is one. */
export const FailureNote = ({ failure, onRetry }: { failure: Failure; onRetry?: () => void }) => {
  const { what, advice } = failureWords(failure);
  return (
    <Note
      tone={failure.kind === 'unreachable' ? 'plain' : 'no'}
      icon={failure.kind === 'unreachable' ? IconAlertTriangle : IconCircleX}
      title={what}
      role="alert"
      action={
        onRetry !== undefined && (
          <Button size="xs" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )
      }
    >
      {advice}
    </Note>
  );
};

type EmptyProps = { icon: Icon; title: string; children?: ReactNode; action?: ReactNode };

/** Nothing here: what that means and what to do. No picture. */
export const Empty = ({ icon, title, children, action }: EmptyProps) => (
  <div className={css['empty']}>
    <Glyph icon={icon} size={20} />
    <h2>{title}</h2>
    {children !== undefined && <p>{children}</p>}
    {action !== undefined && <div className={css['row']}>{action}</div>}
  </div>
);

const widths = [62, 48, 70, 55, 40, 66, 58, 44];

/** Words come to the shapes after this long, ms: what is quick needs none. */
const wordsAfterMs = 1000;

/** The shapes of the rows that are being read; `label` says what is, to all eyes after a second. */
export const RowShapes = ({ rows = 8, label }: { rows?: number; label: string }) => {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), wordsAfterMs);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div role="status" aria-label={label} className={css['reads']}>
      {widths.slice(0, rows).map((width) => (
        <div key={width} className={css['shapes']}>
          <Skeleton width={16} height={16} radius={4} animate={false} />
          <Skeleton width={`${width / 3}%`} height={9} radius={4} animate={false} />
          <Skeleton width={120} height={9} radius={4} ml="auto" animate={false} />
          <Skeleton width={60} height={9} radius={4} animate={false} />
        </div>
      ))}
      {slow && <p className={css['reading']}>{label}</p>}
    </div>
  );
};

/** A button that looks like a link: for what goes somewhere or mends something small. */
export const LinkButton = ({ onClick, children }: { onClick: () => void; children: ReactNode }) => (
  <UnstyledButton className={css['link']} onClick={onClick}>
    {children}
  </UnstyledButton>
);

/** A round mark with an icon, before what the rules say. */
export const RoundMark = ({ tone, icon }: { tone: Tone; icon: Icon }) => (
  <span className={cx(css['round'], css[`round-${tone}`])}>
    <Glyph icon={icon} />
  </span>
);
