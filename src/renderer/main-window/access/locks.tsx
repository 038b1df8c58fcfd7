/** The three locks of a live grant: each holds until an instant, or is missing and says why. */
import { IconLock, IconLockOpen } from '@tabler/icons-react';
import type { Grant, Lock, Locks } from '../../../shared/access.ts';
import { cx } from '../../look/class-names.ts';
import { Glyph } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { seen } from '../../look/words.ts';
import page from '../page.module.css';
import css from './access.module.css';

const rows: Array<{ key: keyof Locks; armed: string; missing: string }> = [
  { key: 'policyDate', armed: 'The access policy carries its own end', missing: 'No end in the access policy' },
  { key: 'removal', armed: 'Curfew removes it', missing: 'No removal scheduled' },
  { key: 'terminal', armed: 'The app closes its terminal', missing: 'No timer in the app' },
];

const Row = ({ lock, armed, missing }: { lock: Lock; armed: string; missing: string }) => (
  <li className={cx(!lock.armed && page['s3'])}>
    <Glyph icon={lock.armed ? IconLock : IconLockOpen} size={14} />
    <span>{lock.armed ? `${armed}, ${timeOfDay(lock.at, Date.now(), true)}` : `${missing}: ${seen(lock.why)}`}</span>
  </li>
);

/** "2 of 3 locks armed" for a grant whose clock runs; null for every other. */
export const locksWords = (grant: Grant): string | null => {
  const { locks } = grant;
  if (locks === undefined) return null;
  return `${rows.filter(({ key }) => locks[key].armed).length} of 3 locks armed`;
};

/** All three, one a line. */
export const LockList = ({ locks }: { locks: Locks }) => (
  <ul className={cx(css['locks'], page['small'], page['s2'])} aria-label="What ends this access">
    {rows.map(({ key, armed, missing }) => (
      <Row key={key} lock={locks[key]} armed={armed} missing={missing} />
    ))}
  </ul>
);
