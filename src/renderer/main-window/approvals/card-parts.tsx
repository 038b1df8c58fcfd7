/** The parts of an approver's card. */
import { SegmentedControl, VisuallyHidden } from '@mantine/core';
import { IconBan, IconCheck, IconCircleCheck, IconCircleX } from '@tabler/icons-react';
import { useState } from 'react';
import type { AccessRequest, Grant, Person } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import type { DocumentLine, PolicyChange, RequestCard } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, Fuse, useTimeOf } from '../../look/countdown.tsx';
import { Avatar, Glyph, InstanceName, Note, Tag } from '../../look/pieces.tsx';
import { useSecond } from '../../look/ticking.ts';
import { agoWords, backendNow, durationParts, timeOfDay } from '../../look/time.ts';
import { count, firstName, namesOf, seen } from '../../look/words.ts';
import { useMain } from '../app-context.ts';
import { isNewHybrid } from '../instances/selection.ts';
import page from '../page.module.css';
import css from './approvals.module.css';
import { hasNothingWords, historyWords, outcomeAt, outcomeWords, whyWords } from './deciding.ts';

/** The duration as the big number, in the colour of time: it is what is asked for. */
const BigDuration = ({ seconds }: { seconds: number }) => (
  <div className={css['big']} role="img" aria-label={durationWords(seconds)}>
    {durationParts(seconds).map(({ digits, unit }) => (
      <span key={unit}>
        {digits} <small>{unit}</small>
      </span>
    ))}
  </div>
);

/** Name, id, account and place of every instance: never the name alone (threats RQ-16). */
const InstanceLines = ({ request }: { request: AccessRequest }) => (
  <ul className={css['instances']}>
    {request.instances.map((instance) => (
      <li key={instance.instanceId}>
        <b>
          <InstanceName instance={instance} />
        </b>
        <span className={page['mono']}>{instance.instanceId}</span>
        <span className={cx(page['s3'], page['small'])}>
          {seen(instance.accountName)} ({instance.accountId}), {instance.region}
          {instance.online ? '' : ', offline'}
        </span>
        {isNewHybrid(instance, Date.now()) && <Tag tone="ask">new hybrid node</Tag>}
      </li>
    ))}
  </ul>
);

export const AskedHead = ({ request }: { request: AccessRequest }) => {
  const { state } = useMain();
  const now = backendNow(state.clock, useSecond());
  const { requester } = request;
  const what = request.purpose.kind === 'extend' ? 'more time' : 'a shell';
  return (
    <>
      <header className={css['asked']}>
        <Avatar person={requester} large />
        <div>
          <h1>
            {seen(requester.displayName)} asks for {what} on {namesOf(request.instances)}
          </h1>
          <p className={page['s3']}>
            {seen(requester.userName)}. Asked {timeOfDay(request.submittedAt, now)},{' '}
            {agoWords(request.submittedAt, now)} ago.
            {request.ticket !== null && ` Ticket ${seen(request.ticket)}`}
          </p>
        </div>
        <div className={css['length']}>
          <BigDuration seconds={request.durationSeconds} />
          <div className={cx(page['small'], page['s3'])}>
            {request.purpose.kind === 'extend'
              ? 'on top of what is left'
              : `from when ${firstName(requester)} connects`}
          </div>
        </div>
      </header>
      <InstanceLines request={request} />
    </>
  );
};

export const Reason = ({ text }: { text: string }) => <blockquote className={css['reason']}>{seen(text)}</blockquote>;

/** How a request that no longer waits came out. */
export const Outcome = ({ request }: { request: AccessRequest }) => {
  const { meId } = useMain();
  const at = outcomeAt(request);
  if (at === null) return null;
  const comment =
    request.state === 'approved' || request.state === 'denied' ? request.decisions.at(-1)?.comment : undefined;
  const yes = request.state === 'approved';
  return (
    <Note
      tone={yes ? 'ok' : 'plain'}
      icon={yes ? IconCircleCheck : IconCircleX}
      title={`${outcomeWords(request, meId)}, ${timeOfDay(at, Date.now())}`}
    >
      {comment ? `“${seen(comment)}”` : undefined}
    </Note>
  );
};

const marks: Record<DocumentLine['change'], string> = { same: ' ', added: '+', removed: '\u2212' };
const markNames: Record<DocumentLine['change'], string> = { same: '', added: 'added: ', removed: 'removed: ' };

const Diff = ({ lines }: { lines: DocumentLine[] }) => (
  <section
    className={css['diff']}
    aria-label="Access policy change"
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys must reach it
    tabIndex={0}
  >
    {lines.map((line, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: lines of one document never move
      <div key={index} className={css[line.change]}>
        <span className={css['sign']} aria-hidden="true">
          {marks[line.change]}
        </span>
        {line.change !== 'same' && <VisuallyHidden>{markNames[line.change]}</VisuallyHidden>}
        {line.text}
      </div>
    ))}
  </section>
);

const Change = ({ change, person }: { change: PolicyChange; person: Person }) => {
  const [whole, setWhole] = useState('change');
  return (
    <section aria-label={`What changes in ${change.accountName}`}>
      <div className={cx(page['row'], page['wrap'])}>
        <h3>What changes in AWS</h3>
        <span className={cx(page['small'], page['s3'])} title={change.principal}>
          access policy of {seen(person.displayName)} in {seen(change.accountName)}
        </span>
        <SegmentedControl
          className={page['end']}
          size="xs"
          value={whole}
          onChange={setWhole}
          aria-label="How much of the access policy"
          data={[
            { value: 'change', label: 'Change' },
            { value: 'whole', label: 'Whole document' },
          ]}
        />
      </div>
      <ul className={css['plain']}>
        {change.allows.map((text) => (
          <li key={text}>
            <span className={page['okText']}>
              <Glyph icon={IconCheck} size={14} />
            </span>
            <span>{seen(text)}</span>
          </li>
        ))}
        {change.stillNot.length > 0 && (
          <li>
            <Glyph icon={IconBan} size={14} />
            <span>Still may not: {change.stillNot.map(seen).join(', ')}.</span>
          </li>
        )}
      </ul>
      {whole === 'change' ? (
        <Diff lines={change.diff} />
      ) : (
        <section
          className={css['diff']}
          aria-label="The whole access policy"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys must reach it
          tabIndex={0}
        >
          <pre>{change.whole}</pre>
        </section>
      )}
    </section>
  );
};

export const PolicyChanges = ({ changes, person }: { changes: PolicyChange[]; person: Person }) => (
  <>
    {changes.map((change) => (
      <Change key={change.accountId} change={change} person={person} />
    ))}
  </>
);

const Room = ({ change, named }: { change: PolicyChange; named: boolean }) => {
  const { now, after, limit, moreInstances } = change.room;
  const share = (characters: number): string => `${Math.min(100, (100 * Math.max(0, characters)) / limit)}%`;
  return (
    <>
      <div className={css['meter']} aria-hidden="true">
        <i style={{ width: share(Math.min(now, after)) }} />
        <i style={{ width: share(after - now) }} />
      </div>
      <p>
        {named && `${seen(change.accountName)}: `}
        {now.toLocaleString('en-GB')} now, {after.toLocaleString('en-GB')} after, of {limit.toLocaleString('en-GB')}{' '}
        characters. Room for about {count(moreInstances, 'more instance')}, each with an end of its own.
      </p>
    </>
  );
};

export const CardFacts = ({ card }: { card: RequestCard }) => (
  <section className={css['facts']} aria-label="Facts for the decision">
    <div>
      <h3>Why you are asked</h3>
      <p>
        Rule {seen(card.why.ruleId)}. {whyWords(card.why)}
      </p>
    </div>
    <div>
      <h3>Room in the document</h3>
      {card.change.map((change) => (
        <Room key={change.accountId} change={change} named={card.change.length > 1} />
      ))}
    </div>
    <div>
      <h3>{firstName(card.request.requester)} and these instances</h3>
      <p>{historyWords(card, Date.now())}</p>
    </div>
  </section>
);

const HasRow = ({ grant }: { grant: Grant }) => {
  const { state } = useMain();
  const view = useTimeOf(grant, state.clock, null);
  const names = namesOf(grant.instances);
  return (
    <li className={css['has']}>
      <b className={page['cut']}>{names}</b>
      <Fuse view={view} />
      <span className={cx(page['small'], page['s3'], page['num'])}>{view.endWords}</span>
      <Countdown view={view} name={names} />
    </li>
  );
};

export const HasNow = ({ card }: { card: RequestCard }) => {
  const name = firstName(card.request.requester);
  const nothing = hasNothingWords(card);
  if (nothing === null) return null;
  return (
    <section>
      <h3>What {name} has now</h3>
      {card.hasNow.length === 0 ? (
        <p className={page['s3']}>{nothing}</p>
      ) : (
        <ul>
          {card.hasNow.map((grant) => (
            <HasRow key={grant.id} grant={grant} />
          ))}
        </ul>
      )}
    </section>
  );
};
