/** Before something is ended: how many grants and sessions, what is kept, what may be lost. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { Grant } from '../../../shared/access.ts';
import type { EndedAll, Stays } from '../../../shared/kill-switch.ts';
import { FailureNote } from '../../look/pieces.tsx';
import { count, firstName, namesOf, seen } from '../../look/words.ts';
import { useIntent, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import { StaysList } from './stays.tsx';

const whatHappens = (grant: Grant, own: boolean): string => {
  if (grant.state === 'ready') {
    const who = own ? 'You have' : `${firstName(grant.person)} has`;
    return `${who} not connected: nothing is running. To connect later ${own ? 'you ask' : 'takes asking'} again.`;
  }
  return 'The access policy is taken away and every session on these instances is terminated. The text of the terminals stays, what runs in them may not.';
};

/** Gives the focus back to what had it, when the dialog goes: it is gone from the page before Mantine could do that. */
const useFocusBack = (): void => {
  const [before] = useState(() => document.activeElement);
  useEffect(
    () => () => {
      if (before instanceof HTMLElement) before.focus();
    },
    [before],
  );
};

/** One's own access, or somebody else's by who may decide it or an admin: then the owner reads who ended it and why. */
export const EndDialog = ({ grant, onClose }: { grant: Grant; onClose: () => void }) => {
  const { send, meId } = useMain();
  useFocusBack();
  const own = grant.person.id === meId;
  const whose = own ? 'access' : `the access of ${seen(grant.person.displayName)}`;
  const ending = useIntent();
  const [comment, setComment] = useState('');
  const [stays, setStays] = useState<Stays | null>(null);
  const [all, setAll] = useState(false);
  const before = useLoaded(grant.id, () => send.whatStays({ grantId: grant.id }));
  const sessions = grant.sessions.filter((session) => session.endedAt === null).length;
  const what = sessions === 0 ? 'End access' : `End access and ${count(sessions, 'session')}`;
  const text = comment.trim();
  const said = text === '' ? null : text;
  const end = async (): Promise<void> => {
    await ending.run(
      () => send.endGrant({ grantId: grant.id, comment: said }),
      (ended) => {
        // What another access keeps open is said now, not later in a list.
        if (ended.stays === undefined || ended.stays.reachable.length === 0) onClose();
        else setStays(ended.stays);
      },
    );
  };
  const onAllEnded = (outcome: EndedAll): void => {
    if (outcome.stays.reachable.length === 0 && grant.instances.length === 1) onClose();
    setStays(outcome.stays);
    setAll(true);
  };
  if (stays !== null) {
    return (
      <Modal
        opened
        onClose={onClose}
        title={all ? 'All of it is ending' : 'This access is ending, but something stays'}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <div className={page['dialog']}>
          <p className={page['s2']} role="status">
            {stays.reachable.length === 0
              ? 'Nothing else of this person covers it.'
              : 'Another access covers the same instance. Its receipt will say only what is gone.'}
          </p>
          <StaysList grant={grant} stays={stays} comment={said} onEnded={onAllEnded} />
          <div className={page['dialogFoot']}>
            <Button onClick={onClose} data-autofocus>
              Close
            </Button>
          </div>
        </div>
      </Modal>
    );
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title={`End ${whose} to ${namesOf(grant.instances)}?`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form
        className={page['dialog']}
        onSubmit={(event) => {
          event.preventDefault();
          void end();
        }}
      >
        <p className={page['s2']}>{whatHappens(grant, own)}</p>
        <TextInput
          label="Why"
          description={
            own ? 'Optional, stands in the audit' : `Optional, ${firstName(grant.person)} reads it, stands in the audit`
          }
          value={comment}
          maxLength={500}
          onChange={(event) => setComment(event.currentTarget.value)}
        />
        {before.value !== null && <StaysList grant={grant} stays={before.value} comment={said} onEnded={onAllEnded} />}
        {ending.failure !== null && <FailureNote failure={ending.failure} />}
        <div className={page['dialogFoot']}>
          <Button variant="subtle" onClick={onClose}>
            Keep it
          </Button>
          <Button variant="sure" type="submit" loading={ending.busy} data-autofocus>
            {what}
          </Button>
        </div>
      </form>
    </Modal>
  );
};
