/** The frame around every page: place list, next to end, bars about the whole app, the command palette, keys. */
import { UnstyledButton, VisuallyHidden } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import {
  type Icon,
  IconBell,
  IconInbox,
  IconKey,
  IconListDetails,
  IconSearch,
  IconServer,
  IconSettings,
  IconShieldBolt,
} from '@tabler/icons-react';
import type { Grant } from '../../../shared/access.ts';
import type { Place } from '../../../shared/desktop.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, Fuse, TimeSpeaker, useTimeOf } from '../../look/countdown.tsx';
import { Avatar, Glyph, Keys, Mark } from '../../look/pieces.tsx';
import { byEnd, timeOfDay } from '../../look/time.ts';
import { count, namesOf, seen } from '../../look/words.ts';
import { MyAccess } from '../access/my-access.tsx';
import { Admin } from '../admin/admin.tsx';
import { forMe, liveGrants, useMain } from '../app-context.ts';
import { Approvals } from '../approvals/approvals.tsx';
import { Audit } from '../audit/audit.tsx';
import { Instances } from '../instances/instances.tsx';
import { Inbox } from '../settings/inbox.tsx';
import { SettingsPage } from '../settings/settings.tsx';
import { Bars } from './bars.tsx';
import { openPalette, Palette } from './palette.tsx';
import css from './shell.module.css';

type Entry = { place: Place; name: string; icon: Icon; badge: number; ask?: boolean };

const PlaceButton = ({ entry }: { entry: Entry }) => {
  const { place, go } = useMain();
  const { badge, name } = entry;
  return (
    <UnstyledButton
      className={css['place']}
      title={name}
      aria-current={place === entry.place ? 'page' : undefined}
      onClick={() => go(entry.place)}
    >
      <Glyph icon={entry.icon} />
      <span className={css['placeName']}>{name}</span>
      {badge > 0 && (
        <span className={cx(css['count'], entry.ask === true && css['ask'])}>
          {badge}
          {entry.ask === true && <VisuallyHidden> wait for you</VisuallyHidden>}
        </span>
      )}
    </UnstyledButton>
  );
};

const NextToEnd = ({ grant }: { grant: Grant }) => {
  const { state, meId, go } = useMain();
  const view = useTimeOf(grant, state.clock, meId);
  const names = namesOf(grant.instances);
  return (
    <section aria-label="Next to end">
      <UnstyledButton
        className={css['next']}
        w="100%"
        onClick={() => go('access', grant.id)}
        title={`${view.words}, ${names}`}
      >
        <span className={cx(css['row'], css['wide'])}>
          <span className={css['label']}>Next to end</span>
          <span className={cx(css['small'], css['count'])}>{view.endWords.replace('ends ', '')}</span>
        </span>
        <span className={css['row']}>
          <Countdown view={view} name={names} />
          <span className={cx(css['small'], css['cut'], css['wide'])}>{names}</span>
        </span>
        <Fuse view={view} />
      </UnstyledButton>
    </section>
  );
};

const Bell = () => {
  const { state, place, go } = useMain();
  const unread = state.notices.filter((notice) => notice.readAt === null).length;
  return (
    <UnstyledButton
      className={css['bell']}
      aria-label={unread > 0 ? `Inbox, ${count(unread, 'unread notice')}` : 'Inbox'}
      title="Inbox"
      aria-current={place === 'inbox' ? 'page' : undefined}
      onClick={() => go('inbox')}
    >
      <Glyph icon={IconBell} />
      {unread > 0 && <span className={css['unread']}>{unread}</span>}
    </UnstyledButton>
  );
};

const Who = () => {
  const { state, place, go } = useMain();
  const person = state.overview?.me.person;
  const until = state.signIn.state === 'signed-in' ? timeOfDay(state.signIn.until, Date.now()) : null;
  const organisation = seen(state.organisationName ?? 'Not signed in');
  return (
    <div className={css['who']}>
      {person !== undefined && (
        <>
          <span className={css['avatar']}>
            <Avatar person={person} />
          </span>
          <span className={css['grow']}>
            <span className={cx(css['cut'], css['name'])}>{seen(person.displayName)}</span>
            <span className={cx(css['cut'], css['small'])}>
              {organisation}
              {until !== null && `, until ${until}`}
            </span>
          </span>
        </>
      )}
      <UnstyledButton
        className={css['bell']}
        aria-label="Settings"
        title="Settings"
        aria-current={place === 'settings' ? 'page' : undefined}
        onClick={() => go('settings')}
      >
        <Glyph icon={IconSettings} />
      </UnstyledButton>
    </div>
  );
};

const PlaceList = () => {
  const { state } = useMain();
  const live = liveGrants(state);
  const nearest = live.filter(({ state: name }) => name === 'granting' || name === 'active').sort(byEnd)[0];
  const entries: Entry[] = [
    { place: 'instances', name: 'Instances', icon: IconServer, badge: 0 },
    { place: 'access', name: 'My access', icon: IconKey, badge: live.length },
    { place: 'approvals', name: 'Approvals', icon: IconInbox, badge: forMe(state).length, ask: true },
    { place: 'audit', name: 'Audit', icon: IconListDetails, badge: 0 },
  ];
  return (
    <nav className={css['side']} aria-label="Places">
      <div className={css['top']}>
        <div className={css['brand']}>
          <Mark />
          <span className={css['wide']}>Curfew</span>
        </div>
        <Bell />
      </div>
      <UnstyledButton className={css['command']} title="Search or do" onClick={openPalette}>
        <Glyph icon={IconSearch} size={14} />
        <span className={cx(css['grow'], css['placeName'])}>Search or do</span>
        <span className={css['wide']}>
          <Keys>Ctrl K</Keys>
        </span>
      </UnstyledButton>
      {entries.map((entry) => (
        <PlaceButton key={entry.place} entry={entry} />
      ))}
      {state.overview?.me.isAdmin === true && (
        <>
          <span className={cx(css['label'], css['groupLabel'])}>Admin</span>
          <PlaceButton entry={{ place: 'admin', name: 'End access', icon: IconShieldBolt, badge: 0 }} />
        </>
      )}
      <span className={css['spacer']} />
      {nearest !== undefined && <NextToEnd grant={nearest} />}
      <Who />
    </nav>
  );
};

const Page = () => {
  const { place } = useMain();
  switch (place) {
    case 'instances':
      return <Instances />;
    case 'access':
      return <MyAccess />;
    case 'approvals':
      return <Approvals />;
    case 'audit':
      return <Audit />;
    case 'admin':
      return <Admin />;
    case 'settings':
      return <SettingsPage />;
    case 'inbox':
      return <Inbox />;
  }
};

/** The window when somebody is signed in (or looks at what was last known). */
export const Shell = ({ onSignIn }: { onSignIn: () => void }) => {
  const main = useMain();
  const { go, setFormOpen, state, meId } = main;
  const ask = () => {
    go('instances');
    setFormOpen(true);
  };
  useHotkeys(
    [
      ['mod+1', () => go('instances')],
      ['mod+2', () => go('access')],
      ['mod+3', () => go('approvals')],
      ['mod+4', () => go('audit')],
      ['mod+5', () => state.overview?.me.isAdmin === true && go('admin')],
      ['mod+,', () => go('settings')],
      ['mod+N', ask],
      ['mod+K', openPalette],
    ],
    [],
  );
  return (
    <div className={css['win']}>
      <PlaceList />
      <div className={css['right']}>
        <Bars onSignIn={onSignIn} />
        <div className={css['stage']}>
          <Page />
        </div>
      </div>
      <TimeSpeaker grants={state.overview?.grants ?? []} clock={state.clock} meId={meId} />
      <Palette onAsk={ask} />
    </div>
  );
};
