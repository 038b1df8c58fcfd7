/** Signing in: the browser does it, this window says where it stands and what goes on meanwhile. */
import { Button, Loader } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconCircle, IconCircleCheck, IconCopy, IconExternalLink, IconTerminal2 } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import type { Grant, Person } from '../../../shared/access.ts';
import type { Organisation } from '../../../shared/desktop.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, useTimeOf } from '../../look/countdown.tsx';
import { Avatar, FailureNote, Glyph, Keys } from '../../look/pieces.tsx';
import { useSecond } from '../../look/ticking.ts';
import { agoWords, byEnd, timeOfDay } from '../../look/time.ts';
import { count, namesOf, seen } from '../../look/words.ts';
import { openTerminals } from '../access/access-lists.ts';
import { liveGrants, useIntent, useMain } from '../app-context.ts';
import { copyText } from '../copy-text.ts';
import page from '../page.module.css';
import { Frame } from './frame.tsx';
import { OrganisationForm } from './organisation-form.tsx';
import { OtherOrganisation } from './other-organisation.tsx';
import { BeginWithProfile, signsInByProfile } from './profile.tsx';
import css from './sign-in.module.css';

const hostOf = (address: string): string => (URL.canParse(address) ? new URL(address).host : address);

type Ways = { label: string; onOther: () => void; others?: ReactNode };

/** Buttons that begin a sign-in: by an AWS profile where the organisation has no Identity Center, else by the browser. */
const Begin = ({ label, onOther, others }: Ways) => {
  const { state } = useMain();
  return signsInByProfile(state) ? (
    <BeginWithProfile onOther={onOther} others={others} />
  ) : (
    <BeginInBrowser label={label} onOther={onOther} others={others} />
  );
};

/** By the browser or (where an admin allows it) by a code. */
const BeginInBrowser = ({ label, onOther, others }: Ways) => {
  const { state, send } = useMain();
  const starting = useIntent();
  const begin = (how: 'browser' | 'device-code'): void => {
    void starting.run(() => send.signIn({ how }));
  };
  return (
    <>
      {starting.failure !== null && <FailureNote failure={starting.failure} />}
      <Button
        size="lg"
        fullWidth
        loading={starting.busy}
        leftSection={<Glyph icon={IconExternalLink} />}
        onClick={() => begin('browser')}
      >
        {label}
      </Button>
      <div className={css['others']}>
        {state.deviceCodeAllowed && (
          <Button variant="subtle" onClick={() => begin('device-code')}>
            Use a code on another device
          </Button>
        )}
        <OtherOrganisation onOther={onOther} />
        {others}
      </div>
    </>
  );
};

type Step = { done: boolean; now: boolean; title: string; detail?: string };

const Steps = ({ steps }: { steps: Step[] }) => (
  <ol className={css['steps']} aria-label="Progress">
    {steps.map((step) => (
      <li
        key={step.title}
        className={step.now ? css['now'] : css[step.done ? 'done' : 'todo']}
        aria-current={step.now ? 'step' : undefined}
      >
        {step.done ? (
          <Glyph icon={IconCircleCheck} size={18} />
        ) : step.now ? (
          <Loader size={16} color="var(--ink)" />
        ) : (
          <Glyph icon={IconCircle} size={18} />
        )}
        <span>
          {step.title}
          {step.detail !== undefined && <span className={css['detail']}>{step.detail}</span>}
        </span>
      </li>
    ))}
  </ol>
);

const Cancel = () => {
  const { send } = useMain();
  const cancelling = useIntent();
  const cancel = (): void => {
    void cancelling.run(() => send.cancelSignIn({}));
  };
  useHotkeys([['Escape', cancel]], []);
  return (
    <Button variant="subtle" rightSection={<Keys>Esc</Keys>} onClick={cancel} loading={cancelling.busy}>
      Cancel
    </Button>
  );
};

/** The button for a tab that was closed or never opened. */
const Reopen = ({ label }: { label: string }) => {
  const { send } = useMain();
  const reopening = useIntent();
  return (
    <>
      <Button
        size="lg"
        variant="default"
        fullWidth
        loading={reopening.busy}
        leftSection={<Glyph icon={IconExternalLink} />}
        onClick={() => reopening.run(() => send.reopenBrowser({}))}
      >
        {label}
      </Button>
      {reopening.failure !== null && <FailureNote failure={reopening.failure} />}
    </>
  );
};

const Waiting = ({ host, since, proving }: { host: string; since: string | null; proving: boolean }) => {
  const { state } = useMain();
  const now = useSecond();
  const byProfile = signsInByProfile(state);
  const name = seen(state.organisationName ?? hostOf(state.organisation?.startUrl ?? host));
  return (
    <Frame
      title={proving ? 'Curfew checks who you are' : 'Waiting for your browser'}
      down={
        <>
          {!proving && <Reopen label="Open the browser again" />}
          <div className={css['others']}>
            <Cancel />
          </div>
        </>
      }
    >
      <p className={page['s2']}>
        {proving ? (
          `${byProfile ? '' : 'The browser has finished. '}AWS is asked to confirm you to the Curfew backend.`
        ) : (
          <>
            Finish signing in to <b>{name}</b> in the tab that just opened. Curfew continues by itself.
          </>
        )}
      </p>
      <Steps
        steps={[
          ...(byProfile
            ? [{ done: true, now: false, title: 'Profile chosen' }]
            : [
                { done: since !== null || proving, now: since === null && !proving, title: 'Browser opened' },
                { done: proving, now: since !== null && !proving, title: 'You sign in', detail: host },
              ]),
          { done: false, now: proving, title: 'Curfew checks who you are' },
        ]}
      />
      {since !== null && (
        <p className={cx(page['small'], page['s3'])}>
          Waiting since {agoWords(since, now)}. A closed tab is no dead end.
        </p>
      )}
    </Frame>
  );
};

const DeviceCode = ({ code, host, expiresAt }: { code: string; host: string; expiresAt: string }) => {
  const [copied, setCopied] = useState(false);
  return (
    <Frame
      title="Type this code in a browser"
      down={
        <>
          <Reopen label="Open the page here" />
          <div className={css['others']}>
            <Button variant="subtle" leftSection={<Glyph icon={IconCopy} />} onClick={() => setCopied(copyText(code))}>
              {copied ? 'Copied' : 'Copy the code'}
            </Button>
            <Cancel />
          </div>
        </>
      }
    >
      <p className={page['s2']}>
        On any device, at <b>{host}</b>. Check that the page shows the very same code.
      </p>
      <p className={css['code']} role="status">
        {code}
      </p>
      <p className={cx(page['small'], page['s3'])}>
        The code works until {timeOfDay(expiresAt, Date.now())}. Never type or confirm a code that somebody sent you.
      </p>
    </Frame>
  );
};

const GoesOnRow = ({ grant, open }: { grant: Grant; open: number }) => {
  const { state, meId } = useMain();
  const view = useTimeOf(grant, state.clock, meId);
  const names = namesOf(grant.instances);
  return (
    <li className={css['goesOn']}>
      <Glyph icon={IconTerminal2} size={14} />
      <span className={page['grow']}>
        {names}
        {open > 0 && `, ${open === 1 ? 'terminal' : `${open} terminals`} open`}
      </span>
      <Countdown view={view} name={names} />
    </li>
  );
};

const Again = ({
  person,
  why,
  onOther,
  onLookAround,
}: {
  person: Person;
  why: string;
  onOther: () => void;
  onLookAround: (() => void) | undefined;
}) => {
  const { state } = useMain();
  const live = liveGrants(state)
    .filter((grant) => grant.state !== 'ready')
    .sort(byEnd);
  const name = seen(state.organisationName ?? 'your organisation');
  return (
    <Frame
      title={`Sign in again to ${name}`}
      down={
        <Begin
          label="Sign in again"
          onOther={onOther}
          others={
            onLookAround !== undefined && (
              <Button variant="subtle" onClick={onLookAround}>
                Look at what is known
              </Button>
            )
          }
        />
      }
    >
      <div className={css['person']}>
        <Avatar person={person} large />
        <span>
          <b>{seen(person.displayName)}</b>
          <span className={css['detail']}>{hostOf(state.organisation?.startUrl ?? '')}</span>
        </span>
      </div>
      <p className={page['s2']}>{seen(why)} Until you sign in again you cannot request, extend or approve.</p>
      {live.length > 0 && (
        <section className={css['keep']}>
          <h2>What goes on without it</h2>
          <ul>
            {live.map((grant) => (
              <GoesOnRow key={grant.id} grant={grant} open={openTerminals(grant, state.terminals).length} />
            ))}
          </ul>
          <p className={cx(page['small'], page['s3'])}>
            {live.length === 1
              ? 'It stays connected and ends on time.'
              : `All ${count(live.length, 'grant')} stay connected and end on time.`}
          </p>
        </section>
      )}
    </Frame>
  );
};

const Facts = ({ organisation }: { organisation: Organisation }) => {
  const { state } = useMain();
  const browser = !signsInByProfile(state);
  return (
    <dl className={css['facts']}>
      {browser && (
        <>
          <dt>Start URL</dt>
          <dd>{organisation.startUrl}</dd>
        </>
      )}
      <dt>Backend</dt>
      <dd>{hostOf(organisation.backendUrl)}</dd>
      {browser && (
        <>
          <dt>Region</dt>
          <dd>{organisation.ssoRegion}</dd>
        </>
      )}
    </dl>
  );
};

const SignedOut = ({ onOther, failed }: { onOther: () => void; failed: ReactNode }) => {
  const { state } = useMain();
  const name = seen(state.organisationName ?? hostOf(state.organisation?.startUrl ?? ''));
  return (
    <Frame title={`Sign in to ${name}`} down={<Begin label="Continue in the browser" onOther={onOther} />}>
      <p className={page['s2']}>
        {signsInByProfile(state)
          ? 'You sign in as the IAM user of an AWS profile on this computer. Its keys stay here: Curfew’s backend sees a signature only.'
          : 'You sign in with your browser, as you do for the access portal. Curfew never sees a password.'}
      </p>
      {state.organisation !== null && <Facts organisation={state.organisation} />}
      {failed}
      {state.organisationManaged && <p className={css['hint']}>Your admin has set the organisation.</p>}
    </Frame>
  );
};

/** The whole window while nobody is signed in. `onLookAround`: see what was last known, read only. */
export const SignIn = ({ onLookAround }: { onLookAround?: () => void }) => {
  const { state } = useMain();
  const [other, setOther] = useState(false);
  const { signIn } = state;
  const idle = signIn.state === 'signed-out' || signIn.state === 'failed' || signIn.state === 'again';
  if (state.organisation === null || (other && idle)) {
    return (
      <OrganisationForm
        start={state.organisation}
        onDone={() => setOther(false)}
        {...(state.organisation === null ? {} : { onBack: () => setOther(false) })}
      />
    );
  }
  switch (signIn.state) {
    case 'signed-out':
    case 'signed-in':
      return <SignedOut onOther={() => setOther(true)} failed={null} />;
    case 'failed':
      return <SignedOut onOther={() => setOther(true)} failed={<FailureNote failure={signIn.failure} />} />;
    case 'opening-browser':
      return <Waiting host={hostOf(state.organisation.startUrl)} since={null} proving={false} />;
    case 'waiting-for-browser':
      return <Waiting host={signIn.host} since={signIn.since} proving={false} />;
    case 'proving':
      return <Waiting host={hostOf(state.organisation.startUrl)} since={null} proving />;
    case 'device-code':
      return <DeviceCode code={signIn.userCode} host={signIn.host} expiresAt={signIn.expiresAt} />;
    case 'again':
      return (
        <Again person={signIn.person} why={signIn.why} onOther={() => setOther(true)} onLookAround={onLookAround} />
      );
  }
};
