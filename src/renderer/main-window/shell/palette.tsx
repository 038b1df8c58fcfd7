/** The command palette: every command with its keys, every instance, every request. */
import { createSpotlight, Spotlight } from '@mantine/spotlight';
import '@mantine/spotlight/styles.layer.css';
import { type Icon, IconArrowRight, IconInbox, IconSearch, IconServer } from '@tabler/icons-react';
import { useState } from 'react';
import { refKey } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import { Glyph, Keys } from '../../look/pieces.tsx';
import { nameOf, namesOf, seen } from '../../look/words.ts';
import { type Main, useLoaded, useMain } from '../app-context.ts';
import { refOf } from '../instances/selection.ts';
import css from './palette.module.css';
import { findEntries, type PaletteEntry } from './palette-search.ts';

const [store, palette] = createSpotlight();

/** Opens the palette from anywhere in the window. */
export const openPalette = (): void => palette.open();

const commands = (main: Main, onAsk: () => void): PaletteEntry[] => {
  const { go, send, state } = main;
  const scheme = state.settings.scheme === 'dark' ? 'light' : 'dark';
  type Command = [string, string, string | null, () => void];
  const admin: Command[] =
    state.overview?.me.isAdmin === true
      ? [['Go to End access', 'kill switches, live access, findings', 'Ctrl 5', () => go('admin')]]
      : [];
  const list: Command[] = [
    ['Request access', 'opens the form, with the draft', 'Ctrl N', onAsk],
    ['Go to Instances', 'search and select', 'Ctrl 1', () => go('instances')],
    ['Go to My access', 'connect, extend, end', 'Ctrl 2', () => go('access')],
    ['Go to Approvals', 'decide requests of others', 'Ctrl 3', () => go('approvals')],
    ['Go to Audit', 'what happened, and the receipts', 'Ctrl 4', () => go('audit')],
    ...admin,
    ['Go to Settings', 'scheme, terminal, organisation', 'Ctrl ,', () => go('settings')],
    ['Go to Inbox', 'everything Curfew told you', null, () => go('inbox')],
    ['Look for instances again', 'reads AWS anew', null, () => void send.refreshInventory({})],
    [`Use the ${scheme} scheme`, 'settings', null, () => void send.saveSettings({ scheme })],
    ['Sign out', 'settings, asks about live access', null, () => go('settings', 'sign-out')],
  ];
  return list.map(([label, detail, keys, run]) => ({ id: `do ${label}`, group: 'Do', label, detail, keys, run }));
};

const requestEntries = (main: Main): PaletteEntry[] => {
  const { overview } = main.state;
  if (overview === null) return [];
  const mine = overview.requests.map((request) => ({ request, place: 'access' as const, id: request.id }));
  const others = [...overview.toDecide, ...overview.decided].map((request) => ({
    request,
    place: 'approvals' as const,
    id: request.id,
  }));
  return [...others, ...mine].map(({ request, place, id }) => ({
    id: `${place} ${id}`,
    group: 'Requests',
    label: `${seen(request.requester.displayName)}: ${namesOf(request.instances)}`,
    detail: `${request.state}, ${durationWords(request.durationSeconds)}, ${seen(request.reason)}${request.ticket === null ? '' : `, ${request.ticket}`}`,
    keys: null,
    run: () => main.go(place, id),
  }));
};

const icons: Record<PaletteEntry['group'], Icon> = { Do: IconArrowRight, Instances: IconServer, Requests: IconInbox };
// Instances come last: they arrive a moment later, and nothing above the chosen row may move.
const groups = ['Do', 'Requests', 'Instances'] as const;
/** Instances are asked for from this many letters on; rows shown of each group. */
const lettersToSearch = 2;
const rowsPerGroup = 8;

export const Palette = ({ onAsk }: { onAsk: () => void }) => {
  const main = useMain();
  const [query, setQuery] = useState('');
  const search = query.trim();
  const found = useLoaded(
    search.length >= lettersToSearch ? search : null,
    () => main.send.searchInstances({ search, limit: rowsPerGroup }),
    150,
  );
  const instances: PaletteEntry[] = (search.length >= lettersToSearch ? (found.value?.items ?? []) : []).map(
    (instance) => ({
      id: `instance ${refKey(instance)}`,
      group: 'Instances',
      label: nameOf(instance),
      detail: `${instance.instanceId}, ${seen(instance.accountName)}, ${instance.region}`,
      keys: null,
      run: () => {
        main.learn([instance]);
        const { instances: chosen } = main.draft;
        if (!chosen.some((ref) => refKey(ref) === refKey(instance))) {
          main.setDraft({ ...main.draft, instances: [...chosen, refOf(instance)] });
        }
        main.setFormOpen(true);
        main.go('instances');
      },
    }),
  );
  const entries = [...findEntries([...commands(main, onAsk), ...requestEntries(main)], query), ...instances];
  return (
    <Spotlight.Root
      store={store}
      query={query}
      onQueryChange={setQuery}
      shortcut={null}
      title="Search or do"
      classNames={{ header: css['spoken'] }}
      overlayProps={{ backgroundOpacity: 0.35, blur: 0 }}
      clearQueryOnClose
      // Opened again while it still closes, it would keep what was typed before.
      onSpotlightOpen={() => setQuery('')}
    >
      <Spotlight.Search
        placeholder="Search or do"
        aria-label="Search or do"
        leftSection={<Glyph icon={IconSearch} />}
      />
      <Spotlight.ActionsList className={css['list']}>
        {groups.map((group) => {
          const rows = entries.filter((entry) => entry.group === group).slice(0, group === 'Do' ? 12 : rowsPerGroup);
          if (rows.length === 0) return null;
          return (
            <Spotlight.ActionsGroup key={group} label={group}>
              {rows.map((entry) => (
                <Spotlight.Action key={entry.id} onClick={entry.run} className={css['entry']}>
                  <Glyph icon={icons[entry.group]} />
                  <span className={css['label']}>{entry.label}</span>
                  <span className={css['detail']}>{entry.detail}</span>
                  {entry.keys !== null && <Keys>{entry.keys}</Keys>}
                </Spotlight.Action>
              ))}
            </Spotlight.ActionsGroup>
          );
        })}
        {entries.length === 0 && <Spotlight.Empty>Nothing is called “{query}”.</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
};
