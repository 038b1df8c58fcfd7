/** Page "My access": what lives, what is ready, what waits, what ended and with which receipt, what to ask again. */
import { Button } from '@mantine/core';
import { IconKey, IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import type { AccessRequest, Grant } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import { becauseWords } from '../../../shared/person-decides.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, useTimeOf } from '../../look/countdown.tsx';
import { Empty, FailureNote, Glyph, Keys, RowShapes, Status } from '../../look/pieces.tsx';
import { useSecond } from '../../look/ticking.ts';
import { agoWords, backendNow, timeOfDay } from '../../look/time.ts';
import { namesOf, seen, waitingWords } from '../../look/words.ts';
import { useIntent, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './access.module.css';
import { type AskAgain, askAgainOf, listsOf, refsOf, summaryOf } from './access-lists.ts';
import { EndDialog } from './end-dialog.tsx';
import { FailedCard, GrantCard, GrantGroup } from './grant-card.tsx';

type Waiting = Extract<AccessRequest, { state: 'waiting' }>;

const claimWords = (request: Waiting, now: number): string => {
  const asked = `asked ${agoWords(request.submittedAt, now)} ago`;
  const { claim } = request;
  if (claim !== null && Date.parse(claim.until) > now) return `${seen(claim.by.displayName)} has it open, ${asked}`;
  return `${asked}, lapses ${timeOfDay(request.lapsesAt, now)}`;
};

const WaitingRow = ({ request }: { request: Waiting }) => {
  const { state, send, canAct, whyNot } = useMain();
  const withdrawing = useIntent();
  const now = backendNow(state.clock, useSecond());
  const names = namesOf(request.instances);
  const why = seen(becauseWords(request.because ?? [], now));
  return (
    <li className={cx(css['waiting'], why !== '' && css['withWhy'])}>
      <span className={css['waitingState']}>
        <Status tone="ask" hollow>
          {waitingWords(request)}
        </Status>
      </span>
      <b>{names}</b>
      <span className={cx(page['s3'], page['grow'], page['cut'])} title={seen(request.reason)}>
        {request.purpose.kind === 'extend' ? 'more time, ' : ''}
        {durationWords(request.durationSeconds)}, “{seen(request.reason)}”
      </span>
      <span className={cx(page['s2'], page['small'])}>{claimWords(request, now)}</span>
      {canAct ? (
        <Button
          size="xs"
          variant="subtle"
          loading={withdrawing.busy}
          aria-label={`Withdraw the request for ${names}`}
          onClick={() => withdrawing.run(() => send.withdrawRequest({ requestId: request.id }))}
        >
          Withdraw
        </Button>
      ) : (
        <span className={cx(page['small'], page['s3'])}>{whyNot}</span>
      )}
      {withdrawing.failure !== null && <FailureNote failure={withdrawing.failure} />}
      {why !== '' && <p className={cx(page['s2'], page['small'])}>{why}</p>}
    </li>
  );
};

const refusedWords = (request: Extract<AccessRequest, { state: 'denied' | 'lapsed' }>): string => {
  if (request.state === 'lapsed') return 'Lapsed: nobody decided in time';
  const no = request.decisions.find((decision) => decision.verdict === 'no');
  if (no === undefined) return 'Not approved: each approver said yes to another part';
  const who = no.by.kind === 'person' ? ` by ${seen(no.by.person.displayName)}` : '';
  return `Not approved${who}${no.comment ? `: “${seen(no.comment)}”` : ''}`;
};

const useAskAgain = (): ((request: AccessRequest | Grant) => void) => {
  const { setDraft, setFormOpen, go, learn } = useMain();
  return (request) => {
    learn(request.instances);
    setDraft({
      instances: refsOf(request),
      durationSeconds: request.durationSeconds,
      reason: request.reason,
      ticket: request.ticket ?? '',
    });
    setFormOpen(true);
    go('instances');
  };
};

const RefusedRow = ({ request }: { request: Extract<AccessRequest, { state: 'denied' | 'lapsed' }> }) => {
  const askAgain = useAskAgain();
  return (
    <li className={css['waiting']}>
      <span className={css['waitingState']}>
        <Status tone={request.state === 'denied' ? 'no' : 'plain'} hollow={request.state === 'lapsed'}>
          {request.state === 'denied' ? 'Not approved' : 'Lapsed'}
        </Status>
      </span>
      <b>{namesOf(request.instances)}</b>
      <span className={cx(page['s2'], page['grow'])}>{refusedWords(request)}</span>
      <Button size="xs" variant="default" onClick={() => askAgain(request)}>
        Ask again
      </Button>
    </li>
  );
};

const EndedRow = ({ grant }: { grant: Grant }) => {
  const { state, meId, go } = useMain();
  const view = useTimeOf(grant, state.clock, meId);
  const names = namesOf(grant.instances);
  return (
    <li className={css['waiting']}>
      <span className={css['endedState']}>
        <Countdown view={view} name={names} />
      </span>
      <b>{names}</b>
      <span className={cx(page['s3'], page['grow'], page['cut'])}>{view.endWords}</span>
      <Button
        size="xs"
        variant="subtle"
        aria-label={`Receipt of ${names}`}
        onClick={() => go('audit', grant.requestId)}
      >
        {grant.state === 'ended' ? 'Receipt' : 'Story'}
      </Button>
    </li>
  );
};

const AgainRow = ({ again }: { again: AskAgain }) => {
  const { send, canAct } = useMain();
  const askAgain = useAskAgain();
  const { request, used } = again;
  const { durationSeconds, capability, reason, ticket } = request;
  const answer = useLoaded(canAct ? request.id : null, () =>
    send.previewRequest({ instances: refsOf(request), durationSeconds, capability, reason, ticket }),
  );
  const verdict = answer.value?.verdict;
  return (
    <tr>
      <td className={page['name']} title={namesOf(request.instances, 20)}>
        {namesOf(request.instances, 2)}
      </td>
      <td className={css['reason']} title={seen(reason)}>
        {seen(reason)}
      </td>
      <td className={cx(page['s3'], css['used'])}>{used}</td>
      <td className={css['verdict']}>
        {verdict?.kind === 'at-once' && <Status tone="ok">at once</Status>}
        {verdict?.kind === 'person' && (
          <Status tone="ask" hollow>
            {verdict.approvalsNeeded} of {verdict.approvers.length}
          </Status>
        )}
        {verdict?.kind === 'no' && (
          <Status tone="plain" hollow>
            not now
          </Status>
        )}
      </td>
      <td className={css['again']}>
        <Button size="xs" variant="default" onClick={() => askAgain(request)}>
          Ask for {durationWords(durationSeconds)}
        </Button>
      </td>
    </tr>
  );
};

const Again = ({ list }: { list: AskAgain[] }) => (
  <section className={css['againSection']}>
    <div className={cx(page['row'], page['wrap'])}>
      <h2 className={page['section']}>Ask again</h2>
      <span className={cx(page['end'], page['small'], page['s3'])}>
        Same instances, reason and length. The rules are asked anew.
      </span>
    </div>
    <table className={page['table']} aria-label="Ask again">
      <tbody>
        {list.map((again) => (
          <AgainRow key={again.request.id} again={again} />
        ))}
      </tbody>
    </table>
  </section>
);

const Lists = () => {
  const { state, placeId, go } = useMain();
  const askAgain = useAskAgain();
  const [ending, setEnding] = useState<Grant | null>(null);
  const now = backendNow(state.clock, Date.now());
  const grants = state.overview?.grants ?? [];
  const requests = state.overview?.requests ?? [];
  const lists = listsOf(grants, requests, now);
  const again = askAgainOf(grants, requests, now);
  const pointsAt = (grant: Grant): boolean => grant.id === placeId || grant.requestId === placeId;
  const next = lists.live.find(({ state: name }) => name !== 'ending');
  const nothing = lists.live.length + lists.ready.length + lists.waiting.length + lists.failed.length === 0;
  return (
    <div className={cx(page['body'], css['lists'])}>
      {ending !== null && (
        <EndDialog grant={grants.find(({ id }) => id === ending.id) ?? ending} onClose={() => setEnding(null)} />
      )}
      {lists.live.length > 0 && (
        <GrantGroup label="Live">
          {lists.live.map((grant) => (
            <GrantCard
              key={grant.id}
              grant={grant}
              focus={pointsAt(grant)}
              next={grant === next}
              onEnd={() => setEnding(grant)}
            />
          ))}
        </GrantGroup>
      )}
      {lists.ready.length > 0 && (
        <GrantGroup label="Ready">
          {lists.ready.map((grant) => (
            <GrantCard
              key={grant.id}
              grant={grant}
              focus={pointsAt(grant)}
              next={false}
              onEnd={() => setEnding(grant)}
            />
          ))}
        </GrantGroup>
      )}
      {lists.failed.length > 0 && (
        <GrantGroup label="Failed">
          {lists.failed.map(
            (grant) =>
              grant.state === 'failed' && (
                <FailedCard key={grant.id} grant={grant} onAskAgain={() => askAgain(grant)} />
              ),
          )}
        </GrantGroup>
      )}
      {nothing && (
        <Empty
          icon={IconKey}
          title="No access is live"
          action={
            <Button variant="default" onClick={() => go('instances')}>
              Select instances
            </Button>
          }
        >
          Select instances, say why and how long. The clock starts when you connect.
        </Empty>
      )}
      {lists.waiting.length > 0 && (
        <section>
          <h2 className={page['section']}>Waiting for a yes</h2>
          <ul className={page['card']}>
            {lists.waiting.map((request) => (
              <WaitingRow key={request.id} request={request} />
            ))}
          </ul>
        </section>
      )}
      {lists.refused.length > 0 && (
        <section>
          <h2 className={page['section']}>Without a yes</h2>
          <ul className={page['card']}>
            {lists.refused.map((request) => (
              <RefusedRow key={request.id} request={request} />
            ))}
          </ul>
        </section>
      )}
      {lists.ended.length > 0 && (
        <section>
          <h2 className={page['section']}>Ended in the last 24 h</h2>
          <ul className={page['card']}>
            {lists.ended.map((grant) => (
              <EndedRow key={grant.id} grant={grant} />
            ))}
          </ul>
        </section>
      )}
      {again.length > 0 && <Again list={again} />}
    </div>
  );
};

export const MyAccess = () => {
  const { state, go, setFormOpen } = useMain();
  const { overview } = state;
  const summary =
    overview === null
      ? null
      : summaryOf(listsOf(overview.grants, overview.requests, backendNow(state.clock, Date.now())));
  return (
    <main className={page['page']}>
      <header className={page['head']}>
        <h1>My access</h1>
        {summary !== null && <span className={page['meta']}>{summary}</span>}
        <Button
          className={page['end']}
          variant="default"
          leftSection={<Glyph icon={IconPlus} />}
          rightSection={<Keys>Ctrl N</Keys>}
          onClick={() => {
            go('instances');
            setFormOpen(true);
          }}
        >
          Request access
        </Button>
      </header>
      {overview === null ? <RowShapes rows={5} label="Reading your access" /> : <Lists />}
    </main>
  );
};
