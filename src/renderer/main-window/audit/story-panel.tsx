/** One request from asking to receipt, beside the audit table. */
import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { IconArrowLeft, IconDownload, IconX } from '@tabler/icons-react';
import { useState } from 'react';
import type { Grant } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import { grantCan } from '../../../shared/lifecycle.ts';
import type { AuditRow, Story } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, useTimeOf } from '../../look/countdown.tsx';
import { FailureNote, Glyph, RowShapes } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { count, namesOf, seen } from '../../look/words.ts';
import { EndDialog } from '../access/end-dialog.tsx';
import { LockList } from '../access/locks.tsx';
import { useIntent, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './audit.module.css';
import { hashWords, kindWords, receiptLines, toneOf, withReceipt } from './story-lines.ts';

const Line = ({ row }: { row: AuditRow }) => {
  const now = Date.now();
  return (
    <li>
      <time dateTime={row.at}>{timeOfDay(row.at, now, true)}</time>
      <span className={cx(css['dot'], css[`dot-${toneOf(row.kind)}`])} />
      <div>
        <span>{seen(row.sentence)}</span>
        <p>
          {kindWords(row.kind)}, row {row.sequence.toLocaleString('en-GB')},{' '}
          <span className={page['mono']}>{hashWords(row.hash)}</span>
        </p>
      </div>
    </li>
  );
};

const ReceiptPaper = ({ grant }: { grant: Extract<Grant, { state: 'ended' }> }) => (
  <section className={css['receipt']} aria-label={`Receipt of ${namesOf(grant.instances)}`}>
    <div className={css['receiptHead']}>
      <b>RECEIPT {grant.id.slice(4, 12).toUpperCase()}</b>
      <span className={page['s3']}>after the end {timeOfDay(grant.endsAt, Date.now(), true)}</span>
    </div>
    {receiptLines(grant.receipt).map((line) => (
      <div key={line.what} className={css['receiptLine']}>
        <span>{line.what}</span>
        {line.value !== null && (
          <>
            <i />
            <b className={line.strong ? page['okText'] : undefined}>{line.value}</b>
          </>
        )}
      </div>
    ))}
    {grant.receipt.sessionsTerminated.map((session) => (
      <div key={session} className={cx(css['receiptLine'], page['s3'])}>
        <span className={page['cut']}>{session}</span>
        <i />
        <span>terminated</span>
      </div>
    ))}
  </section>
);

/** What still lives, with the way to end it at once: for its owner, for who may decide it, for an admin. Others are refused in the dialog. */
const LiveLine = ({ grant }: { grant: Grant }) => {
  const { state, canAct, meId } = useMain();
  const [asking, setAsking] = useState(false);
  const me = state.overview?.me;
  const mayTry = grant.person.id === meId || me?.isAdmin === true || me?.mayApproveSomething === true;
  const view = useTimeOf(grant, state.clock, null);
  const names = namesOf(grant.instances);
  return (
    <div className={css['liveLine']}>
      <span className={page['grow']}>
        {names}
        {grant.locks !== undefined && <LockList locks={grant.locks} />}
      </span>
      <span className={cx(page['small'], page['s3'])}>{view.endWords}</span>
      <Countdown view={view} name={names} />
      {canAct && mayTry && grantCan('end', grant.state) && (
        <Button size="xs" variant="stop" aria-label={`End access to ${names}`} onClick={() => setAsking(true)}>
          End
        </Button>
      )}
      {asking && <EndDialog grant={grant} onClose={() => setAsking(false)} />}
    </div>
  );
};

const Told = ({ story }: { story: Story }) => (
  <>
    <blockquote className={css['reason']}>“{seen(story.request.reason)}”</blockquote>
    <ol className={css['story']}>
      {[...story.rows]
        .sort((left, right) => left.sequence - right.sequence)
        .map((row) => (
          <Line key={row.sequence} row={row} />
        ))}
    </ol>
    {story.grants
      .filter((grant) => grant.state !== 'ended')
      .map((grant) => (
        <LiveLine key={grant.id} grant={grant} />
      ))}
    {withReceipt(story.grants).map((grant) => (
      <ReceiptPaper key={grant.id} grant={grant} />
    ))}
  </>
);

export const StoryPanel = ({ requestId, onClose }: { requestId: string; onClose: () => void }) => {
  const { send, state } = useMain();
  const exporting = useIntent();
  // Also other people's grants move on while one looks: every newer overview is a reason to read the story again.
  const story = useLoaded(`${requestId} ${state.overview?.serverTime ?? ''}`, () => send.openStory({ requestId }));
  const { value } = story;
  return (
    <aside className={cx(page['panel'], css['panel'])} aria-labelledby="story-title">
      <header className={cx(page['head'], css['panelHead'])}>
        <ActionIcon className={page['back']} variant="subtle" aria-label="Back to the list" onClick={onClose}>
          <Glyph icon={IconArrowLeft} />
        </ActionIcon>
        <div className={page['grow']}>
          <h1 id="story-title" className={cx(page['cut'], css['storyTitle'])}>
            {value === null
              ? 'One request'
              : `${seen(value.request.requester.displayName)}, ${namesOf(value.request.instances)}`}
          </h1>
          {value !== null && (
            <p className={cx(page['small'], page['s3'], page['cut'])}>
              {value.request.ticket === null ? '' : `${seen(value.request.ticket)}, `}
              {value.request.capability}, {durationWords(value.request.durationSeconds)}, {value.request.state}
            </p>
          )}
        </div>
        <Tooltip label="Close the story">
          <ActionIcon variant="subtle" aria-label="Close the story" onClick={onClose}>
            <Glyph icon={IconX} />
          </ActionIcon>
        </Tooltip>
      </header>
      <section
        className={css['told']}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls and may hold nothing else that takes the focus
        tabIndex={0}
        aria-label="The story"
      >
        {value === null && story.failure === null && <RowShapes rows={6} label="Reading the story" />}
        {story.failure !== null && <FailureNote failure={story.failure} onRetry={story.reload} />}
        {value !== null && <Told story={value} />}
      </section>
      <footer className={page['foot']}>
        {value !== null && <span className={cx(page['small'], page['s3'])}>{count(value.rows.length, 'row')}</span>}
        {exporting.failure !== null && <FailureNote failure={exporting.failure} />}
        <Button
          className={page['end']}
          variant="default"
          loading={exporting.busy}
          leftSection={<Glyph icon={IconDownload} />}
          onClick={() => exporting.run(() => send.exportAudit({ format: 'jsonl', requestId }))}
        >
          Export this story
        </Button>
      </footer>
    </aside>
  );
};
