/** One request as an approver sees it: who, what, why, how long, the exact access policy change, and the three answers. */
import { Button } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconArrowLeft, IconEye } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import { durationWords } from '../../../shared/countdown.ts';
import type { KillSwitch } from '../../../shared/kill-switch.ts';
import type { DecideInput, RequestCard } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { FailureNote, Glyph, Keys, LinkButton, Note, RowShapes } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { firstName, seen } from '../../look/words.ts';
import { StopDialog } from '../admin/stop-dialog.tsx';
import { claimedByOther, type Loaded, type Running, useIntent, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import { WiderNote } from '../wider-note.tsx';
import css from './approvals.module.css';
import { AskedHead, CardFacts, HasNow, Outcome, PolicyChanges, Reason } from './card-parts.tsx';
import { approveWords, yesAfterMs } from './deciding.ts';
import { ApproveLess, Deny } from './decision-forms.tsx';
import { TagChanges } from './tag-changes.tsx';

const useCard = (requestId: string): Loaded<RequestCard> => {
  const { send, state } = useMain();
  // Whatever happens to the request (a claim, another yes, a decision) is a reason to read the card again, and so is an inventory that
  // changed: a yes may mean something else by now (threats RQ-10).
  const known = [...(state.overview?.toDecide ?? []), ...(state.overview?.decided ?? [])].find(
    ({ id }) => id === requestId,
  );
  const inventoryAt = state.overview?.inventory.refreshedAt ?? '';
  return useLoaded(`${requestId} ${inventoryAt} ${known === undefined ? '' : JSON.stringify(known)}`, () =>
    send.openCard({ requestId }),
  );
};

/** True once this very content has been on the screen for a second. */
const useLookedAt = (seenHash: string | null): boolean => {
  const [looked, setLooked] = useState<string | null>(null);
  useEffect(() => {
    if (seenHash === null) return undefined;
    const timer = setTimeout(() => setLooked(seenHash), yesAfterMs);
    return () => clearTimeout(timer);
  }, [seenHash]);
  return seenHash !== null && looked === seenHash;
};

/** Says to the others that somebody has it open: once, when the card may be decided and nobody else has it. */
const useClaim = (card: RequestCard | null, takenByOther: boolean): void => {
  const { send, canAct } = useMain();
  const claimed = useRef<string | null>(null);
  const id = card?.mayDecide.yes === true && !takenByOther && canAct ? card.request.id : null;
  useEffect(() => {
    if (id === null || claimed.current === id) return;
    claimed.current = id;
    // A hint to others, not a lock: when it fails, the decision itself still says who was faster.
    void send.claimRequest({ requestId: id });
  }, [id, send]);
};

/** The content changed under an open card: said once, until the next answer is looked at. */
const useChanged = (seenHash: string | null): boolean => {
  const first = useRef<string | null>(null);
  const [changed, setChanged] = useState(false);
  useEffect(() => {
    if (seenHash === null) return;
    if (first.current !== null && first.current !== seenHash) setChanged(true);
    first.current = seenHash;
  }, [seenHash]);
  return changed;
};

type FootProps = {
  card: RequestCard;
  deciding: Running;
  looked: boolean;
  takenBy: { name: string; until: string } | null;
  open: (form: 'less' | 'no') => void;
  approve: () => void;
};

const Foot = ({ card, deciding, looked, takenBy, open, approve }: FootProps) => {
  const { send, canAct, whyNot } = useMain();
  const taking = useIntent();
  if (!card.mayDecide.yes) {
    if (card.request.state !== 'waiting') return null;
    return (
      <footer className={page['foot']}>
        <span className={page['s2']}>{card.mayDecide.why}</span>
      </footer>
    );
  }
  if (!canAct) {
    return (
      <footer className={page['foot']}>
        <span className={page['s2']}>Deciding {whyNot}.</span>
      </footer>
    );
  }
  const { request } = card;
  if (takenBy !== null) {
    return (
      <footer className={page['foot']}>
        <span className={cx(page['small'], page['s3'], page['grow'])}>
          {seen(takenBy.name)} has it open; taking over is seen by both.
        </span>
        <Button
          variant="default"
          size="lg"
          loading={taking.busy}
          onClick={() => taking.run(() => send.claimRequest({ requestId: request.id }))}
        >
          Take it over
        </Button>
      </footer>
    );
  }
  const claim = request.state === 'waiting' ? request.claim : null;
  return (
    <footer className={page['foot']}>
      <Button variant="stop" size="lg" rightSection={<Keys>D</Keys>} onClick={() => open('no')}>
        Deny
      </Button>
      <span className={cx(page['end'], page['small'], page['s3'], css['claim'])}>
        <Glyph icon={IconEye} size={14} />{' '}
        {claim === null
          ? 'Others see that you have it open'
          : `Others see that you have it, until ${timeOfDay(claim.until, Date.now())}`}
      </span>
      <Button variant="default" size="lg" rightSection={<Keys>L</Keys>} onClick={() => open('less')}>
        Approve less
      </Button>
      <Button size="lg" disabled={!looked} loading={deciding.busy} rightSection={<Keys>A</Keys>} onClick={approve}>
        {approveWords(request, null)}
      </Button>
    </footer>
  );
};

/** For who may decide about it, whatever they answer to this request. */
const Stop = ({ card, onPulled }: { card: RequestCard; onPulled: (pulled: KillSwitch) => void }) => {
  const { canAct, meId } = useMain();
  const [stopping, setStopping] = useState(false);
  const { requester, instances } = card.request;
  if (!card.mayDecide.yes || !canAct || requester.id === meId) return null;
  return (
    <p className={page['small']}>
      <LinkButton onClick={() => setStopping(true)}>
        Stop all access of {seen(requester.displayName)}, or to{' '}
        {instances.length === 1 ? 'this instance' : 'an instance'}
      </LinkButton>
      {stopping && (
        <StopDialog person={requester} instances={instances} onPulled={onPulled} onClose={() => setStopping(false)} />
      )}
    </p>
  );
};

const Body = ({ card, changed }: { card: RequestCard; changed: boolean }) => (
  <>
    {changed && card.request.state === 'waiting' && (
      <Note tone="ask" title="This has changed since you opened it" role="alert">
        What you see now is how it stands. Read it again, then decide.
      </Note>
    )}
    {!changed && card.changedSinceYes !== undefined && (
      <Note tone="ask" title="What you approved has changed since" role="status">
        Your yes of {timeOfDay(card.changedSinceYes, Date.now())} no longer counts. Read it again, then decide.
      </Note>
    )}
    <Outcome request={card.request} />
    <AskedHead request={card.request} />
    <WiderNote wider={card.wider} />
    <TagChanges card={card} />
    <Reason text={card.request.reason} />
    <PolicyChanges changes={card.change} person={card.request.requester} />
    <CardFacts card={card} />
    <HasNow card={card} />
  </>
);

type Decide = (input: DecideInput) => Promise<boolean>;

const useDecide = (card: Loaded<RequestCard>): { deciding: Running; decide: Decide } => {
  const { send } = useMain();
  const deciding = useIntent();
  const decide: Decide = async (input) => {
    const done = await deciding.run(() => send.decide(input));
    // Decided, changed or too late: in each case the card is read anew, so that what stands is what is shown.
    card.reload();
    return done;
  };
  return { deciding, decide };
};

type Props = {
  requestId: string;
  onBack: () => void;
  /** A kill switch was pulled from here. */
  onPulled: (pulled: KillSwitch) => void;
};

export const CardView = ({ requestId, onBack, onPulled }: Props) => {
  const { state, canAct } = useMain();
  const loaded = useCard(requestId);
  const [form, setForm] = useState<'less' | 'no' | null>(null);
  const { deciding, decide } = useDecide(loaded);
  const card = loaded.value;
  const takenBy = card === null ? null : claimedByOther(card.request, state);
  const looked = useLookedAt(card?.seenHash ?? null);
  const changed = useChanged(card?.seenHash ?? null);
  useClaim(card, takenBy !== null);
  const mayAct = card?.mayDecide.yes === true && takenBy === null && canAct && !deciding.busy;
  const approve = (): void => {
    if (card === null || !mayAct || !looked) return;
    void decide({ requestId, seenHash: card.seenHash, verdict: 'yes', less: null, comment: null });
  };
  const open = (wanted: 'less' | 'no'): void => {
    if (!mayAct) return;
    deciding.clear();
    setForm(wanted);
  };
  useHotkeys(
    form === null
      ? [
          ['A', approve],
          ['L', () => open('less')],
          ['D', () => open('no')],
        ]
      : [],
  );
  if (card === null) {
    return (
      <main className={css['card']}>
        <Back onBack={onBack} />
        {loaded.failure === null ? (
          <RowShapes rows={6} label="Reading the request" />
        ) : (
          <div className={css['inCard']}>
            <FailureNote failure={loaded.failure} onRetry={loaded.reload} />
          </div>
        )}
      </main>
    );
  }
  const close = (): void => setForm(null);
  const decideAndClose: Decide = async (input) => {
    const done = await decide(input);
    if (done) close();
    return done;
  };
  if (form !== null && card.request.state === 'waiting') {
    const props = { card, deciding, decide: decideAndClose, onBack: close };
    return <main className={css['card']}>{form === 'less' ? <ApproveLess {...props} /> : <Deny {...props} />}</main>;
  }
  return (
    <main
      className={css['card']}
      aria-label={`Request of ${firstName(card.request.requester)}, ${durationWords(card.request.durationSeconds)}`}
    >
      <Back onBack={onBack} />
      <div className={css['inCard']}>
        {takenBy !== null && (
          <Note tone="ask" title={`${seen(takenBy.name)} has this open`} role="status">
            It comes back to everyone at {timeOfDay(takenBy.until, Date.now())} unless {seen(takenBy.name)} decides.
          </Note>
        )}
        {deciding.failure !== null && <TooLate deciding={deciding} />}
        <Body card={card} changed={changed} />
        <Stop card={card} onPulled={onPulled} />
      </div>
      <Foot card={card} deciding={deciding} looked={looked} takenBy={takenBy} open={open} approve={approve} />
    </main>
  );
};

/** The second of two hears who was faster, and that nothing of theirs was recorded. */
const TooLate = ({ deciding }: { deciding: Running }) => {
  const { failure } = deciding;
  if (failure === null) return null;
  if (failure.kind !== 'refusal' || (failure.code !== 'wrong_state' && failure.code !== 'changed')) {
    return <FailureNote failure={failure} />;
  }
  const who = failure.by === undefined ? 'Somebody' : seen(failure.by);
  const when = failure.at === undefined ? '' : ` at ${timeOfDay(failure.at, Date.now(), true)}`;
  const title = failure.code === 'changed' ? 'It changed while you were deciding' : `${who} was faster${when}`;
  return (
    <Note title={title} role="alert">
      {failure.message ?? failure.advice} Nothing of yours was recorded.
    </Note>
  );
};

const Back = ({ onBack }: { onBack: () => void }) => (
  <div className={css['back']}>
    <Button variant="subtle" leftSection={<Glyph icon={IconArrowLeft} />} onClick={onBack}>
      Back to the list
    </Button>
  </div>
);
