/** Live access of other people, for those who may end it: searchable, page by page. */
import { Button, TextInput } from '@mantine/core';
import { IconKey, IconSearch } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import type { Grant } from '../../../shared/access.ts';
import type { KillSwitch } from '../../../shared/kill-switch.ts';
import { grantCan } from '../../../shared/lifecycle.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, useTimeOf } from '../../look/countdown.tsx';
import { FailureNote, Glyph, LinkButton, RowShapes } from '../../look/pieces.tsx';
import { count, namesOf, seen } from '../../look/words.ts';
import { EndDialog } from '../access/end-dialog.tsx';
import { LockList, locksWords } from '../access/locks.tsx';
import { settle, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './admin.module.css';
import { StopDialog } from './stop-dialog.tsx';

const openSessions = (grant: Grant): number => grant.sessions.filter(({ endedAt }) => endedAt === null).length;

type OnPulled = (pulled: KillSwitch) => void;

const Line = ({ grant, onPulled }: { grant: Grant; onPulled: OnPulled | null }) => {
  const { state, canAct, meId } = useMain();
  const [stopping, setStopping] = useState(false);
  const [asking, setAsking] = useState(false);
  const [locks, setLocks] = useState(false);
  const view = useTimeOf(grant, state.clock, null);
  const names = namesOf(grant.instances);
  const armed = locksWords(grant);
  return (
    <>
      <tr>
        <td className={page['name']}>{seen(grant.person.displayName)}</td>
        <td title={names}>{names}</td>
        <td className={css['account']}>{seen(grant.accountName)}</td>
        <td>
          <Countdown view={view} name={names} />
        </td>
        <td className={cx(page['num'], css['few'])}>{openSessions(grant)}</td>
        <td className={css['locksCell']}>
          {armed !== null && (
            <LinkButton onClick={() => setLocks((before) => !before)}>{armed.replace(' locks armed', '')}</LinkButton>
          )}
        </td>
        <td className={cx(css['act'], onPulled !== null && css['acts'])}>
          {canAct && grantCan('end', grant.state) && (
            <Button
              size="xs"
              variant="stop"
              aria-label={`End the access of ${seen(grant.person.displayName)} to ${names}`}
              onClick={() => setAsking(true)}
            >
              End
            </Button>
          )}
          {canAct && onPulled !== null && grant.person.id !== meId && (
            <Button
              size="xs"
              variant="stop"
              aria-label={`Stop the access of ${seen(grant.person.displayName)} or to ${names}`}
              onClick={() => setStopping(true)}
            >
              Stop
            </Button>
          )}
          {stopping && onPulled !== null && (
            <StopDialog
              person={grant.person}
              instances={grant.instances}
              onPulled={onPulled}
              onClose={() => setStopping(false)}
            />
          )}
          {asking && <EndDialog grant={grant} onClose={() => setAsking(false)} />}
        </td>
      </tr>
      {locks && grant.locks !== undefined && (
        <tr>
          <td colSpan={7} className={css['detail']}>
            <LockList locks={grant.locks} />
          </td>
        </tr>
      )}
    </>
  );
};

/** Asks again with every newer overview; further pages belong to one search. */
const useLive = (search: string) => {
  const { send, state } = useMain();
  const key = `${search} ${state.overview?.serverTime ?? ''}`;
  const first = useLoaded(key, () => send.listLive({ search, limit: 50 }), 150);
  const [older, setOlder] = useState<{ items: Grant[]; nextCursor: string | null }[]>([]);
  const [failure, setFailure] = useState(first.failure);
  // biome-ignore lint/correctness/useExhaustiveDependencies: further pages belong to one search only
  useEffect(() => setOlder([]), [search]);
  const nextCursor = (older.at(-1) ?? first.value)?.nextCursor ?? null;
  const more = async (): Promise<void> => {
    if (nextCursor === null) return;
    const answer = await settle(send.listLive({ search, limit: 50, cursor: nextCursor }));
    setFailure(answer.ok ? null : answer.failure);
    if (answer.ok) setOlder((before) => [...before, answer.value]);
  };
  const items = new Map<string, Grant>();
  for (const answer of [first.value, ...older]) for (const grant of answer?.items ?? []) items.set(grant.id, grant);
  return { first, items: [...items.values()], more, hasMore: nextCursor !== null, failure: first.failure ?? failure };
};

/**
 * The section with its search. `ofWhom`: whose access it lists, as the sentence under the title. `onPulled`: kill switches can be pulled
 * from here, where nothing else on the page does it.
 */
export const LiveAccess = ({ ofWhom, onPulled = null }: { ofWhom: string; onPulled?: OnPulled | null }) => {
  const [search, setSearch] = useState('');
  const { first, items, more, hasMore, failure } = useLive(search.trim());
  const { value } = first;
  return (
    <section className={css['live']} aria-labelledby="live-title">
      <div className={css['sectionHead']}>
        <h2 id="live-title">Live access</h2>
        <span className={page['s3']}>
          {value === null ? ofWhom : `${count(value.matching, 'grant')}, ${count(value.sessions, 'session')}`}
        </span>
        <TextInput
          className={css['search']}
          aria-label="Search live access"
          placeholder="Person, instance, account, reason"
          value={search}
          maxLength={200}
          leftSection={<Glyph icon={IconSearch} size={14} />}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
      </div>
      {failure !== null && <FailureNote failure={failure} onRetry={first.reload} />}
      {value === null && failure === null && <RowShapes rows={3} label="Reading live access" />}
      {value !== null && items.length === 0 && (
        <p className={cx(css['nothing'], page['s3'])}>
          <Glyph icon={IconKey} size={14} />{' '}
          {search === '' ? 'Nobody has access now.' : `No live access holds “${search}”.`}
        </p>
      )}
      {items.length > 0 && (
        <table className={cx(page['table'], css['list'])} aria-label="Live access">
          <thead>
            <tr>
              <th className={css['person']}>Person</th>
              <th>Instances</th>
              <th className={css['account']}>Account</th>
              <th className={css['left']}>Left</th>
              <th className={css['few']}>Sessions</th>
              <th className={css['locksCell']}>Locks</th>
              <th className={cx(css['act'], onPulled !== null && css['acts'])}>
                <span className={css['spoken']}>Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map((grant) => (
              <Line key={grant.id} grant={grant} onPulled={onPulled} />
            ))}
          </tbody>
        </table>
      )}
      {hasMore && (
        <p className={page['small']}>
          <LinkButton onClick={() => void more()}>Show more</LinkButton>
        </p>
      )}
    </section>
  );
};
