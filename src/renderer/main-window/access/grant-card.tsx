/** One grant: its countdown and fuse, connect, extend, end. E, C and X work on the card with the focus. */
import { Button, Menu } from '@mantine/core';
import { IconCheck, IconChevronDown, IconCopy, IconTerminal2 } from '@tabler/icons-react';
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import type { Grant, Instance } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import { grantCan } from '../../../shared/lifecycle.ts';
import type { ExtendOutcome } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, Fuse, useTimeOf } from '../../look/countdown.tsx';
import { FailureNote, Glyph, Keys, LinkButton, Tag } from '../../look/pieces.tsx';
import { measuredWords, policyGoneWords, type TimeView, timeOfDay } from '../../look/time.ts';
import { count, nameOf, namesOf, seen } from '../../look/words.ts';
import { type Running, useIntent, useLoaded, useMain } from '../app-context.ts';
import { copyText } from '../copy-text.ts';
import page from '../page.module.css';
import css from './access.module.css';
import { openTerminals, refsOf } from './access-lists.ts';
import { LockList, locksWords } from './locks.tsx';

/** One press of "Extend" adds this much, seconds. */
const extendSeconds = 30 * 60;

/** The line beside the name: what runs, where, and what differs from what was asked. */
const asideWords = (grant: Grant, terminals: number): string => {
  const parts: string[] = terminals > 0 ? [] : [grant.capability];
  parts.push(seen(grant.accountName));
  if (grant.askedFor !== null) {
    const { instances, durationSeconds } = grant.askedFor;
    const asked = instances > grant.instances.length ? `${count(instances, 'instance')}, ` : '';
    parts.push(`approved for less, you asked for ${asked}${durationWords(durationSeconds)}`);
  }
  return parts.join(', ');
};

/** While the access policy is being written and IAM spreads it: said as it happens. */
const Spreading = ({ grant }: { grant: Grant }) => {
  const { state } = useMain();
  if (grant.state !== 'granting') return null;
  const spreading = state.overview?.spreading.find(({ accountId }) => accountId === grant.accountId);
  const usual = spreading === undefined ? '' : `, usually ${measuredWords(spreading.medianMs)} here`;
  return <span role="status">IAM is spreading the access policy{usual}</span>;
};

const Ends = ({ grant, view }: { grant: Grant; view: TimeView }) => {
  const gone = policyGoneWords(grant);
  const approver = grant.approvedBy.find((by) => by.kind === 'person');
  return (
    <div className={css['ends']}>
      <span className={page['cut']}>
        {view.look === 'ready' && approver?.kind === 'person'
          ? `no clock runs, approved by ${seen(approver.person.displayName)}`
          : view.startWords}
      </span>
      <Spreading grant={grant} />
      <span>
        {gone !== null && (
          <>
            <span className={page['okText']}>
              <Glyph icon={IconCheck} size={14} /> {gone}
            </span>
            {', '}
          </>
        )}
        {view.endWords}
      </span>
    </div>
  );
};

const Connect = ({ grant, connect, busy }: { grant: Grant; connect: (instance: Instance) => void; busy: boolean }) => {
  const only = grant.instances[0];
  if (grant.instances.length === 1 && only !== undefined) {
    return (
      <Button
        variant="default"
        loading={busy}
        leftSection={<Glyph icon={IconTerminal2} />}
        onClick={() => connect(only)}
      >
        Connect
      </Button>
    );
  }
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          variant="default"
          loading={busy}
          leftSection={<Glyph icon={IconTerminal2} />}
          rightSection={<Glyph icon={IconChevronDown} size={14} />}
        >
          Connect
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {grant.instances.map((instance) => (
          <Menu.Item key={instance.instanceId} onClick={() => connect(instance)}>
            {nameOf(instance)}
            {!instance.online && ', offline'}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
};

/** Whether more time comes at once or a person must say yes: asked near the end only, when it matters. */
const useExtendLabel = (grant: Grant, near: boolean): string => {
  const { send, canAct } = useMain();
  const wish = {
    instances: refsOf(grant),
    capability: grant.capability,
    durationSeconds: extendSeconds,
    reason: grant.reason,
    ticket: grant.ticket,
  };
  const answer = useLoaded(near && canAct ? grant.id : null, () => send.previewRequest(wish));
  const more = durationWords(extendSeconds);
  return answer.value?.verdict.kind === 'person' ? `Ask for ${more} more` : `Extend by ${more}`;
};

const outcomeWords = (outcome: ExtendOutcome, now: number): string => {
  if (outcome.kind === 'asked') return 'Asked for more time. Until a yes it ends as it stands.';
  return 'endsAt' in outcome.grant ? `extended to ${timeOfDay(outcome.grant.endsAt, now)}` : 'extended';
};

/** "extended to 17:12" stands this long, ms. */
const extendedStandsMs = 6000;

type ActionsProps = {
  grant: Grant;
  view: TimeView;
  next: boolean;
  running: Running;
  onEnd: () => void;
  connect: (instance: Instance) => void;
  extend: () => void;
};

const Actions = ({ grant, view, next, running, onEnd, connect, extend }: ActionsProps) => {
  const { canAct, whyNot } = useMain();
  const near = view.look === 'soon' || view.look === 'near' || view.look === 'last';
  const label = useExtendLabel(grant, near);
  if (!grantCan('end', grant.state)) return null;
  if (!canAct) {
    return (
      <div className={css['actions']}>
        <span className={cx(page['small'], page['s3'])}>Extend, connect and end: {whyNot}</span>
      </div>
    );
  }
  return (
    <div className={css['actions']}>
      {grantCan('extend', grant.state) && (
        <Button
          variant={near ? (next ? 'filled' : 'default') : 'subtle'}
          loading={running.busy}
          rightSection={near ? <Keys>E</Keys> : undefined}
          onClick={extend}
        >
          {near ? label : 'Extend'}
        </Button>
      )}
      <Connect grant={grant} connect={connect} busy={running.busy} />
      <Button variant="stop" onClick={onEnd}>
        End
      </Button>
    </div>
  );
};

const useExtended = (): [string | null, (words: string) => void] => {
  const [words, say] = useState<string | null>(null);
  useEffect(() => {
    if (words === null) return undefined;
    const timer = setTimeout(() => say(null), extendedStandsMs);
    return () => clearTimeout(timer);
  }, [words]);
  return [words, say];
};

type CardProps = {
  grant: Grant;
  /** A notification or the tray pointed at it. */
  focus: boolean;
  /** The next to end: only its "Extend" may be the page's primary button. */
  next: boolean;
  /** Asks before it ends. The question is the page's: a card goes to another list when its grant moves on. */
  onEnd: () => void;
};

/** One grant that gives access now or soon. */
export const GrantCard = ({ grant, focus, next, onEnd }: CardProps) => {
  const { state, meId, send, canAct } = useMain();
  const view = useTimeOf(grant, state.clock, meId);
  const running = useIntent();
  const [showLocks, setShowLocks] = useState(false);
  const armed = locksWords(grant);
  const [extended, sayExtended] = useExtended();
  const card = useRef<HTMLElement>(null);
  useEffect(() => {
    if (focus) card.current?.focus();
  }, [focus]);
  const connect = (instance: Instance): void => {
    const { accountId, region, instanceId } = instance;
    void running.run(() => send.connect({ grantId: grant.id, instance: { accountId, region, instanceId } }));
  };
  const extend = (): void => {
    void running.run(
      () => send.extend({ grantId: grant.id, bySeconds: extendSeconds }),
      (outcome) => sayExtended(outcomeWords(outcome, Date.now())),
    );
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== card.current || event.ctrlKey || event.metaKey || event.altKey || !canAct) return;
    const first = grant.instances[0];
    if (event.key === 'e' && grantCan('extend', grant.state)) extend();
    if (event.key === 'c' && grantCan('connect', grant.state) && first !== undefined) connect(first);
    if (event.key === 'x' && grantCan('end', grant.state)) onEnd();
  };
  const names = namesOf(grant.instances);
  const terminals = openTerminals(grant, state.terminals);
  const newest = terminals.at(-1);
  return (
    <article
      className={css['grant']}
      ref={card}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the card takes the focus so that E, C and X have something to work on
      tabIndex={0}
      aria-label={`${names}: ${view.spoken}`}
      onKeyDown={onKeyDown}
    >
      <div className={css['clock']}>
        <Countdown view={view} name={names} big />
      </div>
      <div className={css['middle']}>
        <div className={css['title']}>
          <h2 className={page['cut']} title={names}>
            {names}
          </h2>
          <span className={cx(page['small'], page['s3'])}>
            {newest !== undefined && (
              <>
                <LinkButton onClick={() => void running.run(() => send.showTerminal({ tabId: newest.id }))}>
                  {count(terminals.length, 'terminal')} open
                </LinkButton>
                {', '}
              </>
            )}
            {asideWords(grant, terminals.length)}
          </span>
          {extended !== null && (
            <span className={cx(page['small'], page['time'])} role="status">
              {extended}
            </span>
          )}
        </div>
        <Fuse view={view} />
        <Ends grant={grant} view={view} />
        {armed !== null && (
          <p className={page['small']}>
            <LinkButton onClick={() => setShowLocks((before) => !before)}>
              {armed}
              {showLocks ? ', hide them' : ''}
            </LinkButton>
          </p>
        )}
        {showLocks && grant.locks !== undefined && <LockList locks={grant.locks} />}
        {view.look === 'late' && (
          <p className={cx(page['small'], page['noText'])}>
            {view.words} after the end: a session may still be open. Curfew looks again by itself.
          </p>
        )}
        {running.failure !== null && <FailureNote failure={running.failure} />}
      </div>
      <Actions
        grant={grant}
        next={next}
        view={view}
        running={running}
        connect={connect}
        extend={extend}
        onEnd={onEnd}
      />
    </article>
  );
};

/** A grant that could not be given: what happened, that nothing is left behind, what to hand to whom. */
export const FailedCard = ({
  grant,
  onAskAgain,
}: {
  grant: Extract<Grant, { state: 'failed' }>;
  onAskAgain: () => void;
}) => {
  const [copied, setCopied] = useState(false);
  const names = namesOf(grant.instances);
  const text = `Curfew could not give access to ${names} (${grant.accountId}): ${grant.code}. ${grant.advice} Grant ${grant.id}.`;
  return (
    <article className={css['failed']}>
      <Tag tone="no">Failed</Tag>
      <h2>Access to {names} could not be given</h2>
      <p className={page['s2']}>{seen(grant.advice)}</p>
      <div className={page['row']}>
        <Button variant="default" leftSection={<Glyph icon={IconCopy} />} onClick={() => setCopied(copyText(text))}>
          {copied ? 'Copied' : 'Copy for your AWS admin'}
        </Button>
        <Button variant="subtle" onClick={onAskAgain}>
          Ask again
        </Button>
      </div>
      <p className={cx(page['mono'], page['s3'])}>
        {grant.code}, {grant.id}
      </p>
    </article>
  );
};

/** A card around a list of grants. */
export const GrantGroup = ({ label, children }: { label: string; children: ReactNode }) => (
  <section aria-label={label}>
    <div className={cx(page['card'], css['group'])}>{children}</div>
  </section>
);
