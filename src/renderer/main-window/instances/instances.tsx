/** Page "Instances": search, filter, select; the request form opens beside it. */
import { ActionIcon, Button, TextInput, Tooltip } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconRefresh, IconSearch, IconServer, IconStar, IconStarOff } from '@tabler/icons-react';
import { useRef, useState } from 'react';
import { refKey } from '../../../shared/access.ts';
import { limits } from '../../../shared/limits.ts';
import { cx } from '../../look/class-names.ts';
import { Empty, FailureNote, Glyph, Keys, Note, RowShapes } from '../../look/pieces.tsx';
import { useSecond } from '../../look/ticking.ts';
import { agoWords } from '../../look/time.ts';
import { nameOf, seen } from '../../look/words.ts';
import { useIntent, useMain } from '../app-context.ts';
import { somethingAbove } from '../overlay.ts';
import page from '../page.module.css';
import { RequestPanel } from '../request/request-panel.tsx';
import { FilterBar } from './filters.tsx';
import { InstanceTable } from './instance-table.tsx';
import css from './instances.module.css';
import { type Filters, filtersOn, type InstanceList, noFilters, useInstances } from './query.ts';

const Age = () => {
  const { state, send, canAct } = useMain();
  const now = useSecond();
  const looking = useIntent();
  const refreshedAt = state.overview?.inventory.refreshedAt ?? null;
  return (
    <span className={cx(page['end'], page['row'], page['small'], page['s3'])}>
      {refreshedAt === null ? 'Not checked yet' : `Checked ${agoWords(refreshedAt, now)} ago`}
      <Tooltip label="Check again">
        <ActionIcon
          variant="subtle"
          aria-label="Check again"
          loading={looking.busy}
          disabled={!canAct}
          onClick={() => looking.run(() => send.refreshInventory({}))}
        >
          <Glyph icon={IconRefresh} />
        </ActionIcon>
      </Tooltip>
    </span>
  );
};

/** Accounts or regions that could not be read: said above the list, never left out silently. */
const Partial = () => {
  const { state, send } = useMain();
  const looking = useIntent();
  const places = state.overview?.inventory.places ?? [];
  const failed = places.filter((place) => place.state === 'failed');
  if (failed.length === 0) return null;
  const names = failed.map((place) => `${seen(place.accountName)}, ${place.region}`).join('; ');
  const now = Date.now();
  return (
    <div className={css['padded']}>
      <Note
        title={`${names} ${failed.length === 1 ? 'does' : 'do'} not answer`}
        action={
          <Button
            size="xs"
            variant="default"
            loading={looking.busy}
            onClick={() => looking.run(() => send.refreshInventory({}))}
          >
            Look again
          </Button>
        }
      >
        {places.length - failed.length} of {places.length} places are shown as they are.{' '}
        {failed
          .map(
            (place) =>
              `${place.problem ?? 'No reason known'}${place.checkedAt === null ? '' : `, last seen ${agoWords(place.checkedAt, now)} ago`}.`,
          )
          .join(' ')}
      </Note>
    </div>
  );
};

/** Favourites stand in the tray's menu: one instance at a time is put there or taken away. */
const Favourite = () => {
  const { draft, state, send } = useMain();
  const keeping = useIntent();
  const [instance] = draft.instances;
  if (instance === undefined || draft.instances.length !== 1) return null;
  const isOne = state.favourites.some((favourite) => refKey(favourite) === refKey(instance));
  return (
    <Button
      variant="subtle"
      loading={keeping.busy}
      leftSection={<Glyph icon={isOne ? IconStarOff : IconStar} />}
      onClick={() => keeping.run(() => send.toggleFavourite({ instance }))}
    >
      {isOne ? 'Take from the tray' : 'Keep in the tray'}
    </Button>
  );
};

const SelectionBar = () => {
  const { draft, setDraft, known, setFormOpen } = useMain();
  const chosen = draft.instances;
  if (chosen.length === 0) return null;
  const names = chosen.map((ref) => {
    const instance = known.get(refKey(ref));
    return instance === undefined ? ref.instanceId : nameOf(instance);
  });
  const tooMany = chosen.length > limits.instancesPerRequest;
  return (
    <section className={cx(page['foot'], css['selection'])} aria-label="Selection">
      <b className={page['nowrap']}>{chosen.length} selected</b>
      <span className={cx(page['s2'], page['cut'], page['grow'])} title={names.join(', ')}>
        {names.join(', ')}
      </span>
      {tooMany && (
        <span className={cx(page['small'], page['s2'])}>
          One request takes {limits.instancesPerRequest}: take {chosen.length - limits.instancesPerRequest} out.
        </span>
      )}
      <Favourite />
      <Button variant="subtle" rightSection={<Keys>Esc</Keys>} onClick={() => setDraft({ ...draft, instances: [] })}>
        Clear
      </Button>
      <Button size="lg" disabled={tooMany} rightSection={<Keys>Enter</Keys>} onClick={() => setFormOpen(true)}>
        Request access
      </Button>
    </section>
  );
};

const Rows = ({
  list,
  filters,
  onFilters,
}: {
  list: InstanceList;
  filters: Filters;
  onFilters: (filters: Filters) => void;
}) => {
  const { setFormOpen, draft, state } = useMain();
  if (list.page === null) {
    if (list.failure !== null) {
      return (
        <div className={css['padded']}>
          <FailureNote failure={list.failure} onRetry={list.reload} />
        </div>
      );
    }
    return <RowShapes rows={8} label="Reading instances" />;
  }
  if (list.page.askable === 0) {
    const groups = state.overview?.me.groups ?? [];
    return (
      <Empty icon={IconServer} title="No instance you may ask for">
        {groups.length === 0
          ? 'You are in no group that the rules know. Your Curfew admin can change that.'
          : `The rules give nothing to ${groups.map(seen).join(', ')}. Your Curfew admin can change that.`}
      </Empty>
    );
  }
  if (list.items.length === 0) {
    const on = filtersOn(filters);
    return (
      <Empty
        icon={IconSearch}
        title={filters.search === '' ? 'No instance matches the filters' : `No instance matches “${filters.search}”`}
        action={
          <>
            {filters.search !== '' && (
              <Button variant="default" onClick={() => onFilters({ ...filters, search: '' })}>
                Clear the search
              </Button>
            )}
            {on > 0 && (
              <Button variant="subtle" onClick={() => onFilters({ ...noFilters, search: filters.search })}>
                Clear filters
              </Button>
            )}
          </>
        }
      >
        {on > 0 && `${on === 1 ? 'A filter is' : `${on} filters are`} on as well. `}
        Names, ids, tags, accounts and regions are searched.
      </Empty>
    );
  }
  return (
    <InstanceTable
      items={list.items}
      matching={list.page.matching}
      sort={filters.sort}
      onSort={(sort) => onFilters({ ...filters, sort })}
      onMore={list.more}
      onOpen={() => {
        if (draft.instances.length > 0) setFormOpen(true);
      }}
    />
  );
};

export const Instances = () => {
  const { formOpen, setFormOpen, draft, setDraft } = useMain();
  const [filters, setFilters] = useState<Filters>(noFilters);
  const list = useInstances(filters);
  const search = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => search.current?.focus()]]);
  useHotkeys(
    [
      [
        'Escape',
        () => {
          if (somethingAbove()) return;
          if (formOpen) setFormOpen(false);
          else if (draft.instances.length > 0) setDraft({ ...draft, instances: [] });
        },
      ],
    ],
    [],
  );
  const { page: answer } = list;
  return (
    <div className={page['two']}>
      <main className={cx(page['page'], css['page'])}>
        <header className={page['head']}>
          <h1>Instances</h1>
          {answer !== null && (
            <span className={page['meta']} role="status">
              {answer.matching.toLocaleString('en-GB')} of the {answer.askable.toLocaleString('en-GB')} you may ask for
            </span>
          )}
          <Age />
        </header>
        <div className={page['tools']}>
          <TextInput
            ref={search}
            className={css['search']}
            aria-label="Search instances"
            placeholder="Name, id, tag, account or region"
            value={filters.search}
            maxLength={200}
            onChange={(event) => setFilters({ ...filters, search: event.currentTarget.value })}
            leftSection={<Glyph icon={IconSearch} size={14} />}
            rightSection={<Keys>/</Keys>}
          />
          {answer !== null && (
            <FilterBar
              page={answer}
              filters={filters}
              onChange={setFilters}
              onClear={() => setFilters({ ...noFilters, search: filters.search })}
            />
          )}
        </div>
        <Partial />
        {answer !== null && list.failure !== null && (
          <div className={css['padded']}>
            <FailureNote failure={list.failure} onRetry={list.reload} />
          </div>
        )}
        <Rows list={list} filters={filters} onFilters={setFilters} />
        {!formOpen && <SelectionBar />}
      </main>
      {formOpen && <RequestPanel />}
    </div>
  );
};
