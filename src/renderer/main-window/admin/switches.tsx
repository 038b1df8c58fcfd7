/** Kill switches that are on or were: who pulled them and why, how far they are, their receipts, and how to lift them. */
import { Button, Modal } from '@mantine/core';
import { useState } from 'react';
import type { Grant } from '../../../shared/access.ts';
import type { KillSwitch } from '../../../shared/kill-switch.ts';
import type { Failure } from '../../../shared/refusal.ts';
import { cx } from '../../look/class-names.ts';
import { FailureNote, LinkButton, RowShapes, Status } from '../../look/pieces.tsx';
import { measuredWords, timeOfDay } from '../../look/time.ts';
import { count, namesOf, seen } from '../../look/words.ts';
import { useIntent, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './admin.module.css';
import { progressWords } from './switch-words.ts';

/** What a switch stops, in words: "everything", "Kofi Vance". */
export const stoppedName = ({ name, partly }: KillSwitch): string =>
  `${name === 'everything' ? 'Everything' : seen(name)}${partly ? ', in part' : ''}`;

const endWords = (grant: Grant): string => {
  if (grant.state === 'ended') {
    const { policyGoneMs, sessionsGoneMs } = grant.receipt;
    return `access policy gone ${measuredWords(policyGoneMs)}, sessions gone ${measuredWords(sessionsGoneMs)}, verified`;
  }
  return grant.state === 'ending' ? 'ending, not verified yet' : grant.state;
};

const Receipts = ({ killSwitch }: { killSwitch: KillSwitch }) => {
  const { send, state } = useMain();
  const story = useLoaded(`${killSwitch.id} ${state.overview?.serverTime ?? ''}`, () =>
    send.openSwitch({ switchId: killSwitch.id }),
  );
  if (story.failure !== null) return <FailureNote failure={story.failure} onRetry={story.reload} />;
  if (story.value === null) return <RowShapes rows={1} label="Reading receipts" />;
  const { grants } = story.value;
  const more = killSwitch.progress.grants - grants.length;
  return (
    <ul className={css['receipts']} aria-label="Receipts">
      {grants.map((grant) => (
        <li key={grant.id}>
          <b>{seen(grant.person.displayName)}</b>, {namesOf(grant.instances)}:{' '}
          <span className={grant.state === 'ended' ? page['okText'] : page['s2']}>{endWords(grant)}</span>
        </li>
      ))}
      {more > 0 && <li className={page['s3']}>and {count(more, 'grant')} more, in the audit</li>}
    </ul>
  );
};

const isStale = (failure: Failure | null): boolean =>
  failure !== null && failure.kind === 'refusal' && failure.code === 'fresh_sign_in_needed';

const LiftDialog = ({ killSwitch, onClose }: { killSwitch: KillSwitch; onClose: () => void }) => {
  const { send } = useMain();
  const lifting = useIntent();
  const lift = async (): Promise<void> => {
    if (await lifting.run(() => send.liftSwitch({ switchId: killSwitch.id }))) onClose();
  };
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Lift the stop: ${stoppedName(killSwitch)}?`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <div className={css['dialog']}>
        <p className={page['s2']}>
          What was ended stays ended. From now on it can be asked for, decided and connected to again, as the rules say.
        </p>
        {lifting.failure !== null && <FailureNote failure={lifting.failure} />}
        <div className={css['dialogFoot']}>
          <Button variant="subtle" onClick={onClose}>
            Leave it on
          </Button>
          {isStale(lifting.failure) ? (
            <Button onClick={() => void lifting.run(() => send.signIn({ how: 'browser' }))}>Sign in again</Button>
          ) : (
            <Button loading={lifting.busy} onClick={() => void lift()} data-autofocus>
              Lift it
            </Button>
          )}
        </div>
      </div>
    </Modal>
  );
};

const Item = ({ killSwitch, open }: { killSwitch: KillSwitch; open: boolean }) => {
  const { canAct } = useMain();
  const [chosen, setChosen] = useState<boolean | null>(null);
  // The list may have it before the answer to who pulled it: then it is opened late.
  const showReceipts = chosen ?? open;
  const [lifting, setLifting] = useState(false);
  const { by, at, reason, lifted, mayLift, progress, done } = killSwitch;
  const now = Date.now();
  return (
    <li className={css['switch']}>
      <div className={css['switchHead']}>
        <h3>{stoppedName(killSwitch)}</h3>
        {lifted === null ? (
          <Status tone={done === null ? 'ask' : 'no'} hollow={done === null}>
            {done === null ? 'Ending' : 'Stopped'}
          </Status>
        ) : (
          <Status tone="plain" hollow>
            Lifted {timeOfDay(lifted.at, now)} by {seen(lifted.by.displayName)}
          </Status>
        )}
        <span className={page['grow']} />
        {lifted === null && canAct && mayLift.yes && (
          <Button size="xs" variant="default" onClick={() => setLifting(true)}>
            Lift
          </Button>
        )}
        {lifted === null && !mayLift.yes && <span className={cx(page['small'], page['s3'])}>{mayLift.why}</span>}
      </div>
      <p className={page['s2']}>
        {seen(by.displayName)}, {timeOfDay(at, now)}: “{seen(reason)}”
      </p>
      <p className={cx(page['small'], done === null ? page['s2'] : page['okText'])} role="status">
        {progressWords(killSwitch)}
      </p>
      {progress.grants > 0 && (
        <p className={page['small']}>
          <LinkButton onClick={() => setChosen(!showReceipts)}>
            {showReceipts ? 'Hide receipts' : 'Show receipts'}
          </LinkButton>
        </p>
      )}
      {showReceipts && progress.grants > 0 && <Receipts killSwitch={killSwitch} />}
      {lifting && <LiftDialog killSwitch={killSwitch} onClose={() => setLifting(false)} />}
    </li>
  );
};

/** Those that are on first; nothing when there never was one. `openId`: this one shows its receipts. */
export const Switches = ({ openId }: { openId: string | null }) => {
  const { send, state } = useMain();
  const switches = useLoaded(`${openId} ${state.overview?.serverTime ?? ''}`, () => send.listSwitches({}));
  const { value, failure } = switches;
  if (failure !== null) return <FailureNote failure={failure} onRetry={switches.reload} />;
  if (value === null || value.length === 0) return null;
  const on = value.filter(({ lifted }) => lifted === null).length;
  return (
    <section aria-labelledby="switches-title">
      <div className={css['sectionHead']}>
        <h2 id="switches-title">Kill switches</h2>
        <span className={page['s3']}>{on === 0 ? 'none is on' : `${on} on`}</span>
      </div>
      <ul className={css['switches']}>
        {value.map((killSwitch) => (
          <Item key={killSwitch.id} killSwitch={killSwitch} open={killSwitch.id === openId} />
        ))}
      </ul>
    </section>
  );
};
