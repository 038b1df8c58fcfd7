/** The filters above the list: one chip each where there is room, one button with a count where there is not. */
import { Button, Checkbox, Popover, UnstyledButton } from '@mantine/core';
import { IconChevronDown, IconFilter, IconX } from '@tabler/icons-react';
import type { InstancePage } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { Glyph, LinkButton } from '../../look/pieces.tsx';
import { seen } from '../../look/words.ts';
import css from './instances.module.css';
import { type Filters, filtersOn } from './query.ts';
import { environmentKey, teamKey } from './selection.ts';

type Choice = { value: string; label: string };
type Facet = { name: string; choices: Choice[]; chosen: string[]; choose: (values: string[]) => void };

const plain = (values: string[]): Choice[] =>
  values.map((value) => ({ value, label: value === '' ? '(empty)' : seen(value) }));
const title = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What can be filtered by, in the order of the columns; further tags after those that have a column. */
const facetsOf = (
  page: InstancePage,
  filters: Filters,
  set: (filters: Filters) => void,
): { main: Facet[]; further: Facet[] } => {
  const tagFacet = (key: string, name: string): Facet => ({
    name,
    choices: plain(page.facets.tags[key] ?? []),
    chosen: filters.tags[key] ?? [],
    choose: (values) => set({ ...filters, tags: { ...filters.tags, [key]: values } }),
  });
  const environment = environmentKey(page.facets.tags);
  const team = teamKey(page.facets.tags);
  const known = [environment, team].filter((key) => key !== null);
  return {
    main: [
      {
        name: 'Account',
        choices: page.facets.accounts.map(({ accountId, accountName }) => ({
          value: accountId,
          label: seen(accountName),
        })),
        chosen: filters.accounts,
        choose: (accounts) => set({ ...filters, accounts }),
      },
      {
        name: 'Region',
        choices: plain(page.facets.regions),
        chosen: filters.regions,
        choose: (regions) => set({ ...filters, regions }),
      },
      ...(environment === null ? [] : [tagFacet(environment, 'Environment')]),
      ...(team === null ? [] : [tagFacet(team, 'Team')]),
    ],
    further: Object.keys(page.facets.tags)
      .filter((key) => !known.includes(key))
      .map((key) => tagFacet(key, title(seen(key)))),
  };
};

const Choices = ({ facet }: { facet: Facet }) => (
  <Checkbox.Group value={facet.chosen} onChange={facet.choose} aria-label={facet.name}>
    <div className={css['choices']}>
      {facet.choices.map(({ value, label }) => (
        <Checkbox key={value} value={value} label={label} />
      ))}
    </div>
  </Checkbox.Group>
);

const chosenWords = (facet: Facet): string => {
  const names = facet.choices.filter(({ value }) => facet.chosen.includes(value)).map(({ label }) => label);
  return names.length > 3 ? `${facet.name}: ${names.length}` : `${facet.name}: ${names.join(', ')}`;
};

const FacetChip = ({ facet }: { facet: Facet }) => {
  const on = facet.chosen.length > 0;
  return (
    <span className={cx(css['chip'], css['wideOnly'], on && css['on'])}>
      <Popover position="bottom-start" trapFocus returnFocus>
        <Popover.Target>
          <UnstyledButton className={css['chipButton']}>
            {on ? chosenWords(facet) : facet.name}
            {!on && <Glyph icon={IconChevronDown} size={14} />}
          </UnstyledButton>
        </Popover.Target>
        <Popover.Dropdown aria-label={facet.name}>
          <Choices facet={facet} />
        </Popover.Dropdown>
      </Popover>
      {on && (
        <UnstyledButton
          className={css['chipButton']}
          aria-label={`Clear the filter ${facet.name}`}
          onClick={() => facet.choose([])}
        >
          <Glyph icon={IconX} size={14} />
        </UnstyledButton>
      )}
    </span>
  );
};

type Props = { page: InstancePage; filters: Filters; onChange: (filters: Filters) => void; onClear: () => void };

export const FilterBar = ({ page, filters, onChange, onClear }: Props) => {
  const { main, further } = facetsOf(page, filters, onChange);
  const on = filtersOn(filters);
  const furtherOn = further.filter((facet) => facet.chosen.length > 0);
  const onlineOnly = (
    <Checkbox
      label="Online only"
      checked={filters.onlineOnly}
      onChange={(event) => onChange({ ...filters, onlineOnly: event.currentTarget.checked })}
    />
  );
  return (
    <>
      {main.map((facet) => (
        <FacetChip key={facet.name} facet={facet} />
      ))}
      {furtherOn.map((facet) => (
        <FacetChip key={facet.name} facet={facet} />
      ))}
      <UnstyledButton
        className={cx(css['chip'], css['chipButton'], css['wideOnly'], filters.onlineOnly && css['on'])}
        aria-pressed={filters.onlineOnly}
        onClick={() => onChange({ ...filters, onlineOnly: !filters.onlineOnly })}
      >
        Online only
      </UnstyledButton>
      <Popover position="bottom-start" trapFocus returnFocus>
        <Popover.Target>
          <UnstyledButton className={cx(css['chip'], css['chipButton'], further.length === 0 && css['narrowOnly'])}>
            <Glyph icon={IconFilter} size={14} />
            Filters
            {on > 0 && <span className={css['narrowCount']}>{on}</span>}
          </UnstyledButton>
        </Popover.Target>
        <Popover.Dropdown aria-label="Filters" className={css['allFilters']}>
          {[...main, ...further].map((facet) => (
            <section key={facet.name}>
              <h3>{facet.name}</h3>
              <Choices facet={facet} />
            </section>
          ))}
          {onlineOnly}
          {on > 0 && (
            <Button size="xs" variant="default" onClick={onClear}>
              Clear filters
            </Button>
          )}
        </Popover.Dropdown>
      </Popover>
      {on > 0 && (
        <span className={cx(css['clear'], css['wideOnly'])}>
          <LinkButton onClick={onClear}>Clear filters</LinkButton>
        </span>
      )}
    </>
  );
};
