/** Lasting bars above every page: what is not AWS, what cannot be reached, whether a sign-in is needed. */
import { Button } from '@mantine/core';
import { IconCloudOff, IconKeyOff, IconLogin2, IconPower } from '@tabler/icons-react';
import { Note } from '../../look/pieces.tsx';
import { useSecond } from '../../look/ticking.ts';
import { agoWords, timeOfDay } from '../../look/time.ts';
import { seen } from '../../look/words.ts';
import { useIntent, useMain } from '../app-context.ts';
import css from './shell.module.css';

const Unreachable = () => {
  const { state, send } = useMain();
  const trying = useIntent();
  const now = useSecond();
  if (state.backend.state !== 'unreachable') return null;
  const { lastOkAt, what } = state.backend;
  const since = lastOkAt === null ? '' : ` since ${timeOfDay(lastOkAt, now)}, ${agoWords(lastOkAt, now)} ago`;
  return (
    <Note
      icon={IconCloudOff}
      title={`The Curfew backend does not answer${since}`}
      role="status"
      action={
        <Button
          size="xs"
          variant="default"
          loading={trying.busy}
          onClick={() => trying.run(() => send.retryBackend({}))}
        >
          Try now
        </Button>
      }
    >
      {what.charAt(0).toUpperCase() + what.slice(1)}. What you see is as it was then. Live access ends on time all the
      same: the end is written in the access policy.
    </Note>
  );
};

const SignInNeeded = ({ onSignIn }: { onSignIn: () => void }) => {
  const { state } = useMain();
  if (state.signIn.state === 'signed-in') return null;
  return (
    <Note
      tone="ask"
      icon={IconLogin2}
      title={`Sign in${state.organisationName === null ? '' : ` to ${state.organisationName}`} to go on`}
      action={
        <Button size="xs" onClick={onSignIn}>
          Sign in
        </Button>
      }
    >
      Until then you cannot request, extend or approve. Running terminals are not touched.
    </Note>
  );
};

/** What somebody stopped, where it concerns this person: admins read all of it on their page. */
const Stopped = () => {
  const { state, go, meId } = useMain();
  const switches = state.overview?.switches ?? [];
  const isAdmin = state.overview?.me.isAdmin === true;
  const [first] = switches.filter(
    ({ scope, by }) => by.id !== meId && (scope.kind === 'everything' || isAdmin || scope.kind === 'person'),
  );
  if (first === undefined) return null;
  const mine = first.scope.kind === 'person' && first.scope.personId === meId;
  const what =
    first.scope.kind === 'everything' ? 'everything' : mine ? 'your access' : `all access: ${seen(first.name)}`;
  const more = switches.length > 1 ? `, and ${switches.length - 1} more` : '';
  return (
    <Note
      tone="no"
      icon={IconPower}
      title={`${seen(first.by.displayName)} stopped ${what}${isAdmin ? more : ''}`}
      role="status"
      {...(isAdmin
        ? {
            action: (
              <Button size="xs" variant="default" onClick={() => go('admin', first.id)}>
                See it
              </Button>
            ),
          }
        : {})}
    >
      “{seen(first.reason)}” Since {timeOfDay(first.at, Date.now())}, until somebody lifts it.
    </Note>
  );
};

/** All that apply, the most lasting first. */
export const Bars = ({ onSignIn }: { onSignIn: () => void }) => {
  const { state } = useMain();
  return (
    <div className={css['bars']}>
      {state.notAws.length > 0 && (
        <div className={css['notAws']}>
          <b>Not AWS.</b> This app talks to {state.notAws.join(', ')}.
        </div>
      )}
      {!state.secretsPersist && (
        <Note icon={IconKeyOff} title="Your sign-in is kept in memory only">
          This computer offers no key store to Curfew. Nothing secret is written to disk; after a restart you sign in
          again.
        </Note>
      )}
      <Stopped />
      <SignInNeeded onSignIn={onSignIn} />
      <Unreachable />
    </div>
  );
};
