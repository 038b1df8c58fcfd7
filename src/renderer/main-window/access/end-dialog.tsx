/** Before something is ended: how many grants and sessions, what is kept, what may be lost. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { Grant } from '../../../shared/access.ts';
import { FailureNote } from '../../look/pieces.tsx';
import { count, firstName, namesOf, seen } from '../../look/words.ts';
import { useIntent, useMain } from '../app-context.ts';
import page from '../page.module.css';

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
  const sessions = grant.sessions.filter((session) => session.endedAt === null).length;
  const what = sessions === 0 ? 'End access' : `End access and ${count(sessions, 'session')}`;
  const end = async (): Promise<void> => {
    const text = comment.trim();
    const done = await ending.run(() => send.endGrant({ grantId: grant.id, comment: text === '' ? null : text }));
    if (done) onClose();
  };
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
