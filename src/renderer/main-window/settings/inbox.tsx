/** The inbox: every notice that Curfew gave, since desktops lose notifications. */
import { Button, UnstyledButton } from '@mantine/core';
import { IconBell } from '@tabler/icons-react';
import type { Notice } from '../../../shared/access.ts';
import { cx } from '../../look/class-names.ts';
import { Empty, FailureNote } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { count, seen } from '../../look/words.ts';
import { type Main, useIntent, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './settings.module.css';

/** Opens the very thing that a notice is about. */
const follow = (notice: Notice, { go, state }: Main): void => {
  const { target } = notice;
  const mine = (state.overview?.requests ?? []).some(
    (request) => target.kind === 'request' && request.id === target.id,
  );
  if (target.kind === 'sign-in') go('settings');
  else if (target.kind === 'finding' || target.kind === 'switch') go('admin', target.id);
  else go(target.kind === 'grant' || mine ? 'access' : 'approvals', target.id);
};

export const Inbox = () => {
  const main = useMain();
  const { state, send } = main;
  const marking = useIntent();
  const unread = state.notices.filter((notice) => notice.readAt === null);
  // The contract takes 200 ids at once.
  const mark = (notices: Notice[]): void => {
    void marking.run(() => send.markRead({ noticeIds: notices.slice(0, 200).map((notice) => notice.id) }));
  };
  return (
    <main className={page['page']}>
      <header className={page['head']}>
        <h1>Inbox</h1>
        <span className={page['meta']}>{unread.length === 0 ? 'all read' : count(unread.length, 'unread notice')}</span>
        {unread.length > 0 && (
          <Button className={page['end']} variant="default" loading={marking.busy} onClick={() => mark(unread)}>
            Mark {unread.length} as read
          </Button>
        )}
      </header>
      <div className={page['body']}>
        {marking.failure !== null && <FailureNote failure={marking.failure} />}
        {state.notices.length === 0 ? (
          <Empty icon={IconBell} title="No notice yet">
            Decisions, endings and requests for you stand here as well as in notifications.
          </Empty>
        ) : (
          <ul className={cx(page['card'], css['notices'])}>
            {state.notices.map((notice) => (
              <li key={notice.id}>
                <UnstyledButton
                  className={css['notice']}
                  onClick={() => {
                    if (notice.readAt === null) mark([notice]);
                    follow(notice, main);
                  }}
                >
                  <span className={css['unread']} data-unread={notice.readAt === null} />
                  <span className={page['grow']}>
                    <b>{seen(notice.title)}</b>
                    {notice.readAt === null && <span className={page['s3']}>, unread</span>}
                    <span className={css['body']}>{seen(notice.body)}</span>
                  </span>
                  <span className={cx(page['small'], page['s3'], page['nowrap'])}>
                    {timeOfDay(notice.at, Date.now())}
                  </span>
                </UnstyledButton>
              </li>
            ))}
          </ul>
        )}
      </div>
    </main>
  );
};
