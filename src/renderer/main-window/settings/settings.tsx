/** Page "Settings": how it looks, how terminals run, the organisation, signing out. */
import { Button, Checkbox, Modal, NumberInput, SegmentedControl, Switch, TextInput } from '@mantine/core';
import { type ReactNode, useEffect, useState } from 'react';
import type { Settings } from '../../../shared/desktop.ts';
import type { StandingSignIn } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { FailureNote } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { count, seen } from '../../look/words.ts';
import { liveGrants, useIntent, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './settings.module.css';

const Line = ({ title, detail, children }: { title: string; detail?: string; children: ReactNode }) => (
  <div className={css['line']}>
    <div className={page['grow']}>
      <h3>{title}</h3>
      {detail !== undefined && <p className={cx(page['small'], page['s3'])}>{detail}</p>}
    </div>
    {children}
  </div>
);

const Look = ({ settings, save }: { settings: Settings; save: (part: Partial<Settings>) => void }) => (
  <section>
    <h2>Look and notices</h2>
    <Line title="Scheme" detail="System follows light and dark as your desktop changes.">
      <SegmentedControl
        aria-label="Scheme"
        value={settings.scheme}
        onChange={(scheme) => save({ scheme })}
        data={[
          { value: 'system', label: 'System' },
          { value: 'light', label: 'Light' },
          { value: 'dark', label: 'Dark' },
        ]}
      />
    </Line>
    <Line
      title="Native notifications"
      detail="Requests for you, decisions, 10, 5 and 1 minute before an end. The inbox holds them all either way."
    >
      <Switch
        aria-label="Native notifications"
        checked={settings.notifications}
        onChange={(event) => save({ notifications: event.currentTarget.checked })}
      />
    </Line>
    <Line title="Open at login" detail="Starts in the tray, without a window.">
      <Switch
        aria-label="Open at login"
        checked={settings.openAtLogin}
        onChange={(event) => save({ openAtLogin: event.currentTarget.checked })}
      />
    </Line>
  </section>
);

const Terminals = ({ settings, save }: { settings: Settings; save: (part: Partial<Settings>) => void }) => {
  const [path, setPath] = useState(settings.officialPluginPath ?? '');
  return (
    <section>
      <h2>Terminals</h2>
      <Line
        title="Session client"
        detail="Curfew's own needs nothing installed and resumes after a cut. The official plugin is AWS's session-manager-plugin."
      >
        <SegmentedControl
          aria-label="Session client"
          value={settings.sessionClient}
          onChange={(sessionClient) => save({ sessionClient })}
          data={[
            { value: 'built-in', label: 'Built in' },
            { value: 'official', label: 'Official plugin' },
          ]}
        />
      </Line>
      {settings.sessionClient === 'official' && (
        <Line title="Path of the plugin" detail="Empty: found by its name on the path of this computer.">
          <TextInput
            aria-label="Path of the plugin"
            className={css['path']}
            placeholder="session-manager-plugin"
            value={path}
            maxLength={1000}
            onChange={(event) => setPath(event.currentTarget.value)}
            onBlur={() => save({ officialPluginPath: path.trim() === '' ? null : path.trim() })}
          />
        </Line>
      )}
      <Line title="Letter size" detail="8 to 32, in pixels.">
        <NumberInput
          aria-label="Letter size of terminals"
          className={css['number']}
          min={8}
          max={32}
          clampBehavior="strict"
          allowDecimal={false}
          value={settings.terminalFontSize}
          onChange={(value) => {
            if (typeof value === 'number' && value >= 8) save({ terminalFontSize: value });
          }}
        />
      </Line>
    </section>
  );
};

const SignOutDialog = ({ onClose }: { onClose: () => void }) => {
  const { state, send } = useMain();
  const leaving = useIntent();
  const live = liveGrants(state);
  const sessions = live.flatMap((grant) => grant.sessions).filter((session) => session.endedAt === null).length;
  const others = state.overview?.otherSignIns ?? [];
  const [endGrants, setEndGrants] = useState(true);
  const [everywhere, setEverywhere] = useState(false);
  const will = endGrants && live.length > 0;
  const words = will
    ? `End ${count(live.length, 'grant')}${sessions > 0 ? ` and ${count(sessions, 'session')}` : ''}, sign out`
    : 'Sign out';
  const leave = async (): Promise<void> => {
    if (await leaving.run(() => send.signOut({ endGrants: will, everywhere }))) onClose();
  };
  return (
    <Modal opened onClose={onClose} title="Sign out?" closeButtonProps={{ 'aria-label': 'Close' }}>
      <div className={page['dialog']}>
        <p className={page['s2']}>
          Your sign-in is revoked here and at the backend. The next one goes through the browser.
        </p>
        {live.length > 0 && (
          <Checkbox
            checked={endGrants}
            onChange={(event) => setEndGrants(event.currentTarget.checked)}
            label={`End ${count(live.length, 'grant')} that still ${live.length === 1 ? 'gives' : 'give'} you access`}
            description={
              endGrants
                ? 'Terminals are closed. Their text stays, what runs in them may not.'
                : 'They go on without you and end on time; you cannot extend them before signing in again.'
            }
          />
        )}
        {others.length > 0 && (
          <Checkbox
            checked={everywhere}
            onChange={(event) => setEverywhere(event.currentTarget.checked)}
            label={`Sign out everywhere: end ${count(others.length, 'other sign-in')} of yours`}
            description="A computer that is still signed in to your organisation gets a new one by itself; a copied one is worth nothing."
          />
        )}
        {leaving.failure !== null && <FailureNote failure={leaving.failure} />}
        <div className={page['dialogFoot']}>
          <Button variant="subtle" onClick={onClose}>
            Stay signed in
          </Button>
          <Button variant={will ? 'sure' : 'filled'} loading={leaving.busy} onClick={() => void leave()} data-autofocus>
            {words}
          </Button>
        </div>
      </div>
    </Modal>
  );
};

const Account = ({ onSignOut }: { onSignOut: () => void }) => {
  const { state } = useMain();
  const { organisation, overview, signIn } = state;
  return (
    <section>
      <h2>Organisation and sign-in</h2>
      <dl className={css['facts']}>
        <Fact name="Organisation">
          {seen(state.organisationName ?? 'none')}
          {state.organisationManaged && ', set by your admin'}
        </Fact>
        {organisation !== null && (
          <>
            <Fact name="Backend">{organisation.backendUrl}</Fact>
            {organisation.startUrl !== '' && (
              <>
                <Fact name="Start URL">{organisation.startUrl}</Fact>
                <Fact name="Region">{organisation.ssoRegion}</Fact>
              </>
            )}
          </>
        )}
        {overview !== null && (
          <>
            <Fact name="You">
              {seen(overview.me.person.displayName)}, {seen(overview.me.person.userName)}
              {overview.me.isAdmin && ', admin'}
            </Fact>
            <Fact name="Groups">
              {overview.me.groups.length === 0 ? 'none that the rules know' : overview.me.groups.map(seen).join(', ')}
            </Fact>
            <Fact name="Personal roles">
              {overview.me.roles.length === 0
                ? 'none'
                : overview.me.roles.map((role) => (
                    <span key={role.accountId} className={css['role']}>
                      {seen(role.accountName)}:{' '}
                      {role.state === 'ready'
                        ? 'ready'
                        : role.state === 'missing'
                          ? `missing. ${role.advice}`
                          : `not ours. ${role.advice}`}
                    </span>
                  ))}
            </Fact>
          </>
        )}
        {signIn.state === 'signed-in' && <Fact name="Signed in until">{timeOfDay(signIn.until, Date.now())}</Fact>}
        {signIn.state === 'signed-in' && <OtherSignIns signIns={overview?.otherSignIns ?? []} />}
        <Fact name="Secrets">
          {state.secretsPersist ? 'kept by this computer’s key store' : 'in memory only: there is no key store here'}
        </Fact>
      </dl>
      {signIn.state === 'signed-in' && (
        <Button variant="stop" onClick={onSignOut}>
          Sign out
        </Button>
      )}
      {!state.organisationManaged && signIn.state === 'signed-in' && (
        <p className={cx(page['small'], page['s3'], css['below'])}>To use another organisation, sign out first.</p>
      )}
    </section>
  );
};

/** Where a person finds out that somebody else has a sign-in of theirs. */
const OtherSignIns = ({ signIns }: { signIns: readonly StandingSignIn[] }) => (
  <Fact name="Other sign-ins">
    {signIns.length === 0
      ? 'none'
      : signIns.map(({ since, until }) => (
          <span key={`${since} ${until}`} className={css['role']}>
            since {timeOfDay(since, Date.now())}, until {timeOfDay(until, Date.now())} at the latest
          </span>
        ))}
  </Fact>
);

const Fact = ({ name, children }: { name: string; children: ReactNode }) => (
  <>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </>
);

const About = () => {
  const { state } = useMain();
  return (
    <section>
      <h2>About</h2>
      <dl className={css['facts']}>
        <Fact name="Curfew">{state.appVersion}</Fact>
        <Fact name="Runs on">{state.runtime === 'electron' ? 'Electron' : state.runtime}</Fact>
        {state.notAws.length > 0 && <Fact name="Not AWS">{state.notAws.join(', ')}</Fact>}
      </dl>
    </section>
  );
};

export const SettingsPage = () => {
  const { state, send, placeId } = useMain();
  const saving = useIntent();
  const [leaving, setLeaving] = useState(false);
  useEffect(() => {
    if (placeId === 'sign-out') setLeaving(true);
  }, [placeId]);
  const save = (part: Partial<Settings>): void => {
    void saving.run(() => send.saveSettings(part));
  };
  return (
    <main className={page['page']}>
      <header className={page['head']}>
        <h1>Settings</h1>
        <span className={page['meta']}>kept on this computer, at once</span>
      </header>
      <div className={cx(page['body'], css['settings'])}>
        {saving.failure !== null && <FailureNote failure={saving.failure} />}
        <Look settings={state.settings} save={save} />
        <Terminals settings={state.settings} save={save} />
        <Account onSignOut={() => setLeaving(true)} />
        <About />
      </div>
      {leaving && <SignOutDialog onClose={() => setLeaving(false)} />}
    </main>
  );
};
