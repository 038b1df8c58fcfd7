/** The table: rows in view only, selection by mouse and keys, your access in the row. */
import { Checkbox, UnstyledButton } from '@mantine/core';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { type KeyboardEvent, type MouseEvent, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { type AccessRequest, type Grant, type Instance, refKey } from '../../../shared/access.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, useTimeOf } from '../../look/countdown.tsx';
import { Glyph, InstanceName, LinkButton, Status, Tag } from '../../look/pieces.tsx';
import { agoWords } from '../../look/time.ts';
import { count, nameOf, seen } from '../../look/words.ts';
import { liveGrants, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './instances.module.css';
import {
  allToggled,
  boxState,
  environmentKey,
  isNewHybrid,
  isProduction,
  rowsInView,
  teamKey,
  toggled,
  withRange,
} from './selection.ts';

const GrantTime = ({ grant }: { grant: Grant }) => {
  const { state, meId } = useMain();
  const view = useTimeOf(grant, state.clock, meId);
  return <Countdown view={view} />;
};

const YourAccess = ({ instance }: { instance: Instance }) => {
  const { state, go } = useMain();
  const key = refKey(instance);
  const covers = ({ instances }: Grant | AccessRequest): boolean => instances.some((other) => refKey(other) === key);
  const grant = liveGrants(state).find(covers);
  if (grant !== undefined) return <GrantTime grant={grant} />;
  const request = state.overview?.requests.find((candidate) => candidate.state === 'waiting' && covers(candidate));
  if (request === undefined) return null;
  return (
    <UnstyledButton className={css['waiting']} onClick={() => go('access', request.id)}>
      Waiting, {agoWords(request.submittedAt, Date.now())}
    </UnstyledButton>
  );
};

type RowProps = {
  instance: Instance;
  index: number;
  selected: boolean;
  current: boolean;
  onPick: (event: MouseEvent) => void;
  onFocus: () => void;
};

const Row = ({ instance, index, selected, current, onPick, onFocus }: RowProps) => {
  const environment = instance.tags[environmentKey(instance.tags) ?? ''] ?? '';
  const team = instance.tags[teamKey(instance.tags) ?? ''] ?? '';
  return (
    <tr
      aria-rowindex={index + 2}
      aria-selected={selected}
      tabIndex={current ? 0 : -1}
      data-row={index}
      onFocus={onFocus}
      onClick={onPick}
    >
      <td className={css['box']}>
        <Checkbox checked={selected} readOnly tabIndex={-1} aria-label={`Select ${nameOf(instance)}`} />
      </td>
      <td className={page['name']} title={nameOf(instance)}>
        <span className={css['named']}>
          <span>
            <InstanceName instance={instance} />
          </span>
          {isNewHybrid(instance, Date.now()) && (
            <span title={`New hybrid node, first seen ${agoWords(instance.firstSeenAt, Date.now())} ago`}>
              <Tag tone="ask">new node</Tag>
            </span>
          )}
        </span>
        <span className={css['second']}>
          {instance.instanceId}, {instance.platform}, {instance.region}
        </span>
      </td>
      <td className={cx(page['mono'], css['c-id'])}>{instance.instanceId}</td>
      <td className={cx(css['c-env'], isProduction(environment) && css['production'])}>{seen(environment)}</td>
      <td className={css['c-team']}>{seen(team)}</td>
      <td className={css['c-account']} title={instance.accountId}>
        {seen(instance.accountName)}
      </td>
      <td className={cx(page['s3'], css['c-region'])}>{instance.region}</td>
      <td className={css['c-platform']}>{instance.platform}</td>
      <td className={css['c-online']} title={`Checked ${agoWords(instance.checkedAt, Date.now())} ago`}>
        {instance.online ? (
          <Status tone="ok">Online</Status>
        ) : (
          <Status tone="plain" hollow>
            Offline
          </Status>
        )}
      </td>
      <td className={css['c-access']}>
        <YourAccess instance={instance} />
      </td>
    </tr>
  );
};

type Sort = 'name' | '-name';

const Head = ({
  items,
  matching,
  sort,
  onSort,
}: {
  items: Instance[];
  matching: number;
  sort: Sort;
  onSort: (sort: Sort) => void;
}) => {
  const { draft, setDraft } = useMain();
  const box = boxState(draft.instances, items);
  return (
    <thead>
      <tr aria-rowindex={1}>
        <th className={css['box']}>
          <Checkbox
            checked={box === 'all'}
            indeterminate={box === 'some'}
            disabled={items.length === 0}
            onChange={() => setDraft({ ...draft, instances: allToggled(draft.instances, items) })}
            aria-label={`Select all ${matching}`}
          />
        </th>
        <th aria-sort={sort === 'name' ? 'ascending' : 'descending'}>
          <UnstyledButton className={css['sort']} onClick={() => onSort(sort === 'name' ? '-name' : 'name')}>
            Name <Glyph icon={sort === 'name' ? IconArrowUp : IconArrowDown} size={12} />
          </UnstyledButton>
        </th>
        <th className={css['c-id']}>Instance id</th>
        <th className={css['c-env']}>Environment</th>
        <th className={css['c-team']}>Team</th>
        <th className={css['c-account']}>Account</th>
        <th className={css['c-region']}>Region</th>
        <th className={css['c-platform']}>Platform</th>
        <th className={css['c-online']}>Online</th>
        <th className={css['c-access']}>Your access</th>
      </tr>
    </thead>
  );
};

/** Which part of the list is in view, measured; fires `onEnd` when its last rows come near. */
const useRows = (rows: number, onEnd: () => void) => {
  const frame = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ scrollTop: 0, height: 800, rowHeight: 36 });
  const measure = (): void => {
    const { current } = frame;
    if (current === null) return;
    const rowHeight =
      current.querySelector('tbody tr[data-row]:not(:focus-within)')?.getBoundingClientRect().height ?? 36;
    setView({ scrollTop: current.scrollTop, height: current.clientHeight, rowHeight });
  };
  useLayoutEffect(() => {
    const { current } = frame;
    if (current === null) return undefined;
    const watcher = new ResizeObserver(measure);
    watcher.observe(current);
    return () => watcher.disconnect();
  });
  const range = rowsInView(view, rows);
  useEffect(() => {
    if (range.end >= rows - 20) onEnd();
  }, [range.end, rows, onEnd]);
  return { frame, range, rowHeight: view.rowHeight, measure };
};

/** Stands for the rows that are not drawn. */
const Gap = ({ height }: { height: number }) =>
  height > 0 && (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it holds no cell, so it must not count as a row
    <tr role="presentation" className={css['gap']} style={{ height }} />
  );

type TableProps = {
  items: Instance[];
  matching: number;
  sort: Sort;
  onSort: (sort: Sort) => void;
  onMore: () => void;
  onOpen: () => void;
};

export const InstanceTable = ({ items, matching, sort, onSort, onMore, onOpen }: TableProps) => {
  const { draft, setDraft } = useMain();
  const [at, setAt] = useState(0);
  const anchor = useRef(0);
  const { frame, range, rowHeight, measure } = useRows(items.length, onMore);
  const selected = new Set(draft.instances.map(refKey));
  const setSelected = (instances: typeof draft.instances): void => setDraft({ ...draft, instances });

  const focusRow = (index: number): void => {
    const to = Math.min(items.length - 1, Math.max(0, index));
    setAt(to);
    const { current } = frame;
    if (current === null) return;
    const top = to * rowHeight;
    if (top < current.scrollTop) current.scrollTop = top;
    if (top + rowHeight * 2 > current.scrollTop + current.clientHeight) {
      current.scrollTop = top + rowHeight * 2 - current.clientHeight;
    }
    requestAnimationFrame(() => current.querySelector<HTMLElement>(`tr[data-row="${to}"]`)?.focus());
  };
  const pick = (index: number, event: MouseEvent): void => {
    const item = items[index];
    if (item === undefined) return;
    if (event.shiftKey) setSelected(withRange(draft.instances, items, { from: anchor.current, to: index }));
    else setSelected(toggled(draft.instances, item));
    anchor.current = index;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      if (event.shiftKey) setSelected(withRange(draft.instances, items, { from: anchor.current, to: at + step }));
      else anchor.current = at + step;
      focusRow(at + step);
    } else if (event.key === ' ') {
      event.preventDefault();
      const item = items[at];
      if (item !== undefined) setSelected(toggled(draft.instances, item));
      anchor.current = at;
    } else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      setSelected(withRange(draft.instances, items, { from: 0, to: items.length - 1 }));
    } else if (event.key === 'Enter' && event.target instanceof HTMLTableRowElement) {
      event.preventDefault();
      onOpen();
    }
  };
  return (
    <div className={css['frame']} ref={frame} onScroll={measure}>
      <table
        className={cx(page['table'], css['table'])}
        // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a grid is a table whose rows take focus and selection
        role="grid"
        aria-label="Instances you may ask for"
        aria-multiselectable="true"
        aria-rowcount={matching + 1}
        onKeyDown={onKeyDown}
      >
        <Head items={items} matching={matching} sort={sort} onSort={onSort} />
        <tbody>
          <Gap height={range.start * rowHeight} />
          {items.slice(range.start, range.end).map((instance, offset) => {
            const index = range.start + offset;
            return (
              <Row
                key={refKey(instance)}
                instance={instance}
                index={index}
                selected={selected.has(refKey(instance))}
                current={index === Math.min(at, items.length - 1)}
                onPick={(event) => pick(index, event)}
                onFocus={() => setAt(index)}
              />
            );
          })}
          <Gap height={(items.length - range.end) * rowHeight} />
        </tbody>
      </table>
      <Below items={items} matching={matching} onMore={onMore} />
    </div>
  );
};

const Below = ({ items, matching, onMore }: { items: Instance[]; matching: number; onMore: () => void }) => {
  const [open, setOpen] = useState(false);
  return (
    <div className={css['below']}>
      {items.length < matching ? (
        <p>
          {items.length} of {count(matching, 'instance')} read. <LinkButton onClick={onMore}>Read more</LinkButton>
        </p>
      ) : (
        <p>
          These are all that match. You do not see an instance that no rule lets you ask for.{' '}
          <LinkButton onClick={() => setOpen(!open)}>Why one is missing</LinkButton>
        </p>
      )}
      {open && <WhyMissing />}
    </div>
  );
};

const WhyMissing = () => {
  const { state } = useMain();
  const silent = (state.overview?.inventory.places ?? []).filter((place) => place.state !== 'ok');
  return (
    <ul className={css['why']}>
      <li>No rule lets you ask for it: an admin changes the rules, or your groups.</li>
      <li>It is not managed by Systems Manager: the agent must run and its instance profile must let it register.</li>
      <li>It started less than a few minutes ago: look again with the round arrow above.</li>
      <li>A filter is on, or the search has a letter too many.</li>
      {silent.map((place) => (
        <li key={`${place.accountId}${place.region}`}>
          {seen(place.accountName)}, {place.region} could not be read: {place.problem ?? 'not looked at yet'}.
        </li>
      ))}
    </ul>
  );
};
