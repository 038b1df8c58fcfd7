/** Why a person decides though a rule would have given it: what changed of the tags that rules trust, old and new (threats RQ-07). */
import { IconTag } from '@tabler/icons-react';
import { becauseWords, tagChangeWords } from '../../../shared/person-decides.ts';
import type { RequestCard } from '../../../shared/views.ts';
import { Note } from '../../look/pieces.tsx';
import { useSecond } from '../../look/ticking.ts';
import { agoWords, backendNow } from '../../look/time.ts';
import { seen } from '../../look/words.ts';
import { useMain } from '../app-context.ts';
import css from './approvals.module.css';

type ChangesProps = { changed: NonNullable<RequestCard['tagChanges']>; named: boolean; now: number };

const Changes = ({ changed, named, now }: ChangesProps) => {
  const lines = changed.flatMap(({ instance, name, changes }) =>
    changes.map((change) => ({ ...change, name: name || instance.instanceId, id: instance.instanceId })),
  );
  return (
    <Note
      tone="ask"
      icon={IconTag}
      title={lines.length === 1 ? 'A tag that rules trust has changed' : 'Tags that rules trust have changed'}
      role="status"
    >
      <ul>
        {lines.map(({ id, name, key, from, to, at }) => (
          <li key={`${id} ${key} ${at}`} className={css['tagChange']}>
            {named && <b>{seen(name)}</b>}
            <span>
              {seen(key)}: {seen(tagChangeWords({ from, to }))}, {agoWords(at, now)} ago
            </span>
          </li>
        ))}
      </ul>
      Rules go by these tags: for 24 h after a change a person decides.
    </Note>
  );
};

export const TagChanges = ({ card }: { card: RequestCard }) => {
  const { state } = useMain();
  const now = backendNow(state.clock, useSecond());
  const { request, tagChanges = [] } = card;
  if (request.state !== 'waiting') return null;
  const unread = (request.because ?? []).filter(({ kind }) => kind === 'tags-unread');
  return (
    <>
      {tagChanges.length > 0 && <Changes changed={tagChanges} named={request.instances.length > 1} now={now} />}
      {unread.length > 0 && (
        <Note tone="ask" icon={IconTag} title={seen(becauseWords(unread, now))} role="status">
          The names and tags here are as Curfew last read them.
        </Note>
      )}
    </>
  );
};
