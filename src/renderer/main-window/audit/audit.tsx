/** Page "Audit": what happened, newest first, with the state of the chain always in sight. */
import { Button, Checkbox, Menu, Popover, TextInput, UnstyledButton } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import {
  IconAlertTriangle,
  IconChevronDown,
  IconCircleCheck,
  IconDownload,
  IconListDetails,
  IconSearch,
} from '@tabler/icons-react';
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react';
import type { AuditPage, AuditRow, ChainState } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { Empty, FailureNote, Glyph, LinkButton, Note, RowShapes, Status } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { count, seen } from '../../look/words.ts';
import { settle, useIntent, useLoaded, useMain } from '../app-context.ts';
import filters from '../instances/instances.module.css';
import { somethingAbove } from '../overlay.ts';
import page from '../page.module.css';
import css from './audit.module.css';
import { kindsOf, kindWords, toneOf } from './story-lines.ts';
import { StoryPanel } from './story-panel.tsx';

const Chain = ({ chain }: { chain: ChainState }) => {
  const when = timeOfDay(chain.verified.at, Date.now());
  const rows = chain.rows.toLocaleString('en-GB');
  return (
    <span
      className={cx(css['chain'], page['small'], chain.verified.ok ? page['okText'] : page['noText'])}
      title={`Checked ${when}. Head ${chain.head}`}
      role="status"
    >
      <Glyph icon={chain.verified.ok ? IconCircleCheck : IconAlertTriangle} size={14} />
      {chain.verified.ok
        ? chain.unchecked === undefined
          ? `Chain whole, ${rows} rows`
          : `Chain whole up to row ${rows}, the rest is being checked`
        : `Chain broken at row ${chain.verified.sequence.toLocaleString('en-GB')}`}
    </span>
  );
};

const Export = () => {
  const { send, state } = useMain();
  const exporting = useIntent();
  const [done, setDone] = useState<string | null>(null);
  const so = exporting.busy ? state.exporting : null;
  const start = (format: 'jsonl' | 'csv'): void => {
    setDone(null);
    void exporting.run(
      () => send.exportAudit({ format, requestId: null }),
      (answer) => setDone(answer === null ? null : `${count(answer.rows, 'row')} written to ${answer.path}`),
    );
  };
  return (
    <>
      {so !== null && so.rows < so.of && (
        <span className={cx(page['small'], page['s3'], page['num'])} role="status">
          Writing row {so.rows.toLocaleString('en-GB')} of {so.of.toLocaleString('en-GB')}
        </span>
      )}
      {done !== null && (
        <span className={cx(page['small'], page['s3'], page['cut'])} role="status" title={done}>
          {done}
        </span>
      )}
      {exporting.failure !== null && <FailureNote failure={exporting.failure} />}
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" loading={exporting.busy} leftSection={<Glyph icon={IconDownload} />}>
            Export
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => start('jsonl')}>JSON Lines, verifies offline</Menu.Item>
          <Menu.Item onClick={() => start('csv')}>CSV, for a spreadsheet</Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </>
  );
};

const spans = { any: 'Any time', hour: 'Last hour', today: 'Today', week: 'Last 7 days' } as const;
type Span = keyof typeof spans;

const fromOf = (span: Span): string | null => {
  const now = new Date();
  if (span === 'hour') return new Date(now.getTime() - 3_600_000).toISOString();
  if (span === 'week') return new Date(now.getTime() - 7 * 86_400_000).toISOString();
  if (span === 'today') return new Date(now.getFullYear(), now.getMonth(), now.getDate()).toISOString();
  return null;
};

type Row = { row: AuditRow; open: boolean; onOpen: () => void };

const RowLine = ({ row, open, onOpen }: Row) => {
  const has = row.requestId !== null;
  const onKeyDown = (event: KeyboardEvent<HTMLTableRowElement>): void => {
    if (event.key === 'Enter' && has) onOpen();
    const next = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' } as const;
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    const other = event.currentTarget[next[event.key]];
    if (other instanceof HTMLElement) other.focus();
  };
  return (
    <tr
      tabIndex={0}
      aria-selected={open}
      onClick={has ? onOpen : undefined}
      onKeyDown={onKeyDown}
      className={cx(has && css['opens'])}
    >
      <td className={cx(page['num'], page['s3'], css['when'])} title={row.at}>
        {timeOfDay(row.at, Date.now(), true)}
      </td>
      <td className={cx(page['name'], css['who'])}>{seen(row.actor)}</td>
      <td title={seen(row.sentence)}>{seen(row.sentence)}</td>
      <td className={css['kind']}>
        <Kind kind={row.kind} />
      </td>
      <td className={cx(page['s3'], page['num'], css['sequence'])}>{row.sequence.toLocaleString('en-GB')}</td>
    </tr>
  );
};

const Kind = ({ kind }: { kind: string }) => {
  const tone = toneOf(kind);
  return (
    <Status tone={tone === 'time' ? 'plain' : tone} hollow={tone === 'plain' || tone === 'time' || tone === 'ask'}>
      {kindWords(kind)}
    </Status>
  );
};

type Filters = { search: string; span: Span; kinds: string[] };

const useAudit = (wanted: Filters) => {
  const { send, state } = useMain();
  const question = useMemo(
    () => ({ search: wanted.search, kinds: wanted.kinds, from: fromOf(wanted.span), limit: 100 }),
    [wanted],
  );
  const first = useLoaded(
    JSON.stringify(question) + (state.overview?.serverTime ?? ''),
    () => send.listAudit(question),
    150,
  );
  const [older, setOlder] = useState<AuditPage[]>([]);
  const [failure, setFailure] = useState(first.failure);
  // biome-ignore lint/correctness/useExhaustiveDependencies: further pages belong to one question only
  useEffect(() => setOlder([]), [question]);
  const nextBefore = (older.at(-1) ?? first.value)?.nextBefore ?? null;
  const more = async (): Promise<void> => {
    if (nextBefore === null) return;
    const answer = await settle(send.listAudit({ ...question, before: nextBefore }));
    setFailure(answer.ok ? null : answer.failure);
    if (answer.ok) setOlder((before) => [...before, answer.value]);
  };
  // A newer first page may overlap with older ones: each row once, by its number.
  const rows = useMemo(() => {
    const all = new Map<number, AuditRow>();
    for (const answer of [first.value, ...older]) for (const row of answer?.rows ?? []) all.set(row.sequence, row);
    return [...all.values()].sort((left, right) => right.sequence - left.sequence);
  }, [first.value, older]);
  return { first, rows, more, hasMore: nextBefore !== null, failure: first.failure ?? failure };
};

const Tools = ({ wanted, set, kinds }: { wanted: Filters; set: (filters: Filters) => void; kinds: string[] }) => {
  const search = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => search.current?.focus()]]);
  return (
    <div className={page['tools']}>
      <TextInput
        ref={search}
        className={page['grow']}
        aria-label="Search the audit trail"
        placeholder="Person, instance, ticket, session id"
        value={wanted.search}
        maxLength={200}
        leftSection={<Glyph icon={IconSearch} size={14} />}
        onChange={(event) => set({ ...wanted, search: event.currentTarget.value })}
      />
      <Menu position="bottom-start">
        <Menu.Target>
          <UnstyledButton
            className={cx(filters['chip'], filters['chipButton'], wanted.span !== 'any' && filters['on'])}
          >
            {spans[wanted.span]} <Glyph icon={IconChevronDown} size={14} />
          </UnstyledButton>
        </Menu.Target>
        <Menu.Dropdown>
          {Object.entries(spans).map(([span, label]) => (
            <Menu.Item key={span} onClick={() => set({ ...wanted, span: isSpan(span) ? span : 'any' })}>
              {label}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      <Popover position="bottom-end" trapFocus returnFocus>
        <Popover.Target>
          <UnstyledButton
            className={cx(filters['chip'], filters['chipButton'], wanted.kinds.length > 0 && filters['on'])}
          >
            {wanted.kinds.length === 0 ? 'Kind' : `Kind: ${wanted.kinds.length}`}{' '}
            <Glyph icon={IconChevronDown} size={14} />
          </UnstyledButton>
        </Popover.Target>
        <Popover.Dropdown aria-label="Kind">
          <Checkbox.Group
            value={wanted.kinds}
            onChange={(chosen) => set({ ...wanted, kinds: chosen })}
            aria-label="Kind"
          >
            <div className={filters['choices']}>
              {kinds.map((kind) => (
                <Checkbox key={kind} value={kind} label={kindWords(kind)} />
              ))}
            </div>
          </Checkbox.Group>
        </Popover.Dropdown>
      </Popover>
    </div>
  );
};

const isSpan = (text: string): text is Span => Object.hasOwn(spans, text);

/** Every kind met since the page was opened stays in the filter, also while it filters. */
const useKinds = (rows: AuditRow[]): string[] => {
  const [kinds, setKinds] = useState<string[]>([]);
  useEffect(() => {
    setKinds((before) => {
      const all = [...new Set([...before, ...kindsOf(rows)])].sort();
      return all.length === before.length ? before : all;
    });
  }, [rows]);
  return kinds;
};

export const Audit = () => {
  const { placeId, go } = useMain();
  const [wanted, setWanted] = useState<Filters>({ search: '', span: 'any', kinds: [] });
  const { first, rows, more, hasMore, failure } = useAudit(wanted);
  const kinds = useKinds(rows);
  const chain = first.value?.chain;
  useHotkeys(
    [
      [
        'Escape',
        () => {
          if (!somethingAbove()) go('audit');
        },
      ],
    ],
    [],
  );
  const open = (row: AuditRow): void => go('audit', row.requestId);
  return (
    <div className={page['two']}>
      <main className={cx(page['page'], css['list'])}>
        <header className={page['head']}>
          <h1>Audit</h1>
          <span className={page['end']} />
          {chain !== undefined && <Chain chain={chain} />}
          <Export />
        </header>
        {chain !== undefined && !chain.verified.ok && (
          <div className={css['padded']}>
            <Note
              tone="no"
              title={`The chain does not hold from row ${chain.verified.sequence.toLocaleString('en-GB')} on`}
              role="alert"
            >
              {seen(chain.verified.what)} Rows above it cannot be trusted by themselves. Live access ends on time all
              the same. Export it now and tell security.
            </Note>
          </div>
        )}
        <Tools wanted={wanted} set={setWanted} kinds={kinds} />
        {failure !== null && (
          <div className={css['padded']}>
            <FailureNote failure={failure} onRetry={first.reload} />
          </div>
        )}
        {first.value === null && failure === null && <RowShapes rows={8} label="Reading the audit trail" />}
        {first.value !== null && rows.length === 0 && (
          <Empty
            icon={IconListDetails}
            title={
              hasMore
                ? `Nothing in the newest rows holds “${wanted.search}”`
                : wanted.search === ''
                  ? 'Nothing recorded here'
                  : `Nothing holds “${wanted.search}”`
            }
          >
            {hasMore ? (
              <LinkButton onClick={() => void more()}>Search older rows</LinkButton>
            ) : (
              'Names, instances, tickets and session ids are searched.'
            )}
          </Empty>
        )}
        {rows.length > 0 && (
          <div className={page['scroll']}>
            <table
              className={page['table']}
              // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a grid is a table whose rows take focus and selection
              role="grid"
              aria-label="Audit trail"
            >
              <thead>
                <tr>
                  <th className={css['when']} aria-sort="descending">
                    When
                  </th>
                  <th className={css['who']}>Who</th>
                  <th>What</th>
                  <th className={css['kind']}>Kind</th>
                  <th className={css['sequence']}>Row</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <RowLine
                    key={row.sequence}
                    row={row}
                    open={row.requestId !== null && row.requestId === placeId}
                    onOpen={() => open(row)}
                  />
                ))}
              </tbody>
            </table>
            <div className={css['below']}>
              {hasMore ? <LinkButton onClick={() => void more()}>Show older rows</LinkButton> : 'These are all.'}
            </div>
          </div>
        )}
      </main>
      {placeId !== null && <StoryPanel key={placeId} requestId={placeId} onClose={() => go('audit')} />}
    </div>
  );
};
