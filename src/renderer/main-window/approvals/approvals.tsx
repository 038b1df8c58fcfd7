/** Page "Approvals": the inbox on the left, one request's card on the right. */
import { UnstyledButton } from '@mantine/core';
import { IconCheck, IconInbox, IconX } from '@tabler/icons-react';
import { useEffect, useMemo, useState } from 'react';
import type { AccessRequest } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import type { KillSwitch } from '../../../shared/kill-switch.ts';
import { cx } from '../../look/class-names.ts';
import { Avatar, Empty, Glyph, LinkButton, RowShapes } from '../../look/pieces.tsx';
import { useSecond } from '../../look/ticking.ts';
import { agoWords, backendNow, timeOfDay } from '../../look/time.ts';
import { namesOf, seen } from '../../look/words.ts';
import { LiveAccess } from '../admin/live-access.tsx';
import { Switches } from '../admin/switches.tsx';
import { claimedByOther, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './approvals.module.css';
import { CardView } from './card-view.tsx';
import { outcomeAt, outcomeWords } from './deciding.ts';

/** From this width on the card stands beside the list, rem (approvals.module.css has the same number). */
const besideRem = 56.25;

type ItemProps = { request: AccessRequest; current: boolean; onOpen: () => void };

const Third = ({ request }: { request: AccessRequest }) => {
  const { state, meId } = useMain();
  const now = Date.now();
  const at = outcomeAt(request);
  if (at !== null) {
    const yes = request.state === 'approved';
    return (
      <>
        <Glyph icon={yes ? IconCheck : IconX} size={14} /> {outcomeWords(request, meId)}, {timeOfDay(at, now)}
      </>
    );
  }
  const other = claimedByOther(request, state);
  if (other !== null) return `${seen(other.name)} is deciding`;
  if (request.state === 'waiting' && request.yeses.length > 0)
    return `${request.yeses.length} yes of ${request.approvalsNeeded}`;
  return seen(request.reason);
};

const Item = ({ request, current, onOpen }: ItemProps) => {
  const { state } = useMain();
  const now = backendNow(state.clock, useSecond());
  const dim = request.state !== 'waiting' || claimedByOther(request, state) !== null;
  return (
    <UnstyledButton
      className={cx(css['item'], dim && css['dim'])}
      aria-current={current ? 'true' : undefined}
      onClick={onOpen}
    >
      <Avatar person={request.requester} />
      <span className={page['grow']}>
        <span className={page['row']}>
          <b className={page['cut']}>{seen(request.requester.displayName)}</b>
          {request.state === 'waiting' && (
            <span className={cx(page['end'], page['small'], page['s3'], page['nowrap'])}>
              {agoWords(request.submittedAt, now)}
            </span>
          )}
        </span>
        <span className={cx(css['block'], page['cut'])}>
          {namesOf(request.instances, 1)}
          {', '}
          <span className={page['time']}>{durationWords(request.durationSeconds)}</span>
        </span>
        <span className={cx(css['block'], page['cut'], page['small'], page['s3'])}>
          <Third request={request} />
        </span>
      </span>
    </UnstyledButton>
  );
};

/** No request's id: live access is shown in place of a card. */
const liveId = 'live';

type Group = { title: string; requests: AccessRequest[] };

const useGroups = (): Group[] => {
  const { state } = useMain();
  return useMemo(() => {
    const waiting = state.overview?.toDecide ?? [];
    return [
      { title: 'For you to decide', requests: waiting.filter((request) => claimedByOther(request, state) === null) },
      { title: 'Somebody has it', requests: waiting.filter((request) => claimedByOther(request, state) !== null) },
      { title: 'Decided', requests: state.overview?.decided ?? [] },
    ].filter((group) => group.requests.length > 0);
  }, [state]);
};

const isWide = (): boolean =>
  document.body.clientWidth >= besideRem * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Whether the card has room beside the list: as the style sheet sees it, so larger letters count as well. */
const useWide = (): boolean => {
  const [wide, setWide] = useState(isWide);
  useEffect(() => {
    const watcher = new ResizeObserver(() => setWide(isWide()));
    watcher.observe(document.body);
    return () => watcher.disconnect();
  }, []);
  return wide;
};

/** What stands beside the list: a card, live access, or that nothing is open. */
const Beside = ({
  shown,
  waiting,
  onBack,
  onLive,
}: {
  shown: string | null;
  waiting: number;
  onBack: () => void;
  onLive: () => void;
}) => {
  const { state } = useMain();
  const [pulled, setPulled] = useState<KillSwitch | null>(null);
  const onPulled = (now: KillSwitch): void => {
    setPulled(now);
    onLive();
  };
  if (shown === liveId) {
    return (
      <main className={css['live']} aria-label="Live access that you may end">
        <p className={css['back']}>
          <LinkButton onClick={onBack}>Back to requests</LinkButton>
        </p>
        <Switches openId={pulled?.id ?? null} />
        <LiveAccess ofWhom="that you may decide about" onPulled={onPulled} />
      </main>
    );
  }
  if (shown !== null) return <CardView key={shown} requestId={shown} onBack={onBack} onPulled={onPulled} />;
  return (
    <main className={css['nothing']}>
      <Empty icon={IconInbox} title={waiting === 0 ? 'Nothing waits for you' : 'Pick a request'}>
        {state.overview?.me.mayApproveSomething === false
          ? 'No rule names you as an approver. Requests for you would stand here.'
          : 'You are asked when a rule wants your yes. A notification opens the very request.'}
      </Empty>
    </main>
  );
};

export const Approvals = () => {
  const { state, placeId } = useMain();
  const groups = useGroups();
  const [openId, setOpenId] = useState<string | null>(placeId);
  useEffect(() => {
    if (placeId !== null) setOpenId(placeId);
  }, [placeId]);
  const first = groups[0]?.title === 'For you to decide' ? (groups[0].requests[0]?.id ?? null) : null;
  const waiting = state.overview?.toDecide.length ?? 0;
  const wide = useWide();
  // Beside the list the first one opens by itself; where the card covers the list, a person picks.
  const shown = openId ?? (wide ? first : null);
  return (
    <div className={cx(css['approvals'], shown !== null && css['opened'])}>
      <section className={css['inbox']} aria-label="Requests to decide">
        <header className={cx(page['head'], css['inboxHead'])}>
          <h1>Approvals</h1>
          <span className={page['meta']}>
            {waiting === 0 ? 'nothing waits' : `${waiting} ${waiting === 1 ? 'waits' : 'wait'}`}
          </span>
        </header>
        {state.overview === null && <RowShapes rows={4} label="Reading requests" />}
        {groups.map((group) => (
          <div key={group.title}>
            <h2 className={cx(page['label'], css['groupTitle'])}>{group.title}</h2>
            {group.requests.map((request) => (
              <Item
                key={request.id}
                request={request}
                current={request.id === shown}
                onOpen={() => setOpenId(request.id)}
              />
            ))}
          </div>
        ))}
        {state.overview?.me.mayApproveSomething === true && (
          <div className={css['liveLink']}>
            <LinkButton onClick={() => setOpenId(liveId)}>Live access that you may end</LinkButton>
          </div>
        )}
      </section>
      <Beside shown={shown} waiting={waiting} onBack={() => setOpenId(null)} onLive={() => setOpenId(liveId)} />
    </div>
  );
};
