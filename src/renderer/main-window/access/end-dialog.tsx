/** Before something is ended: how many grants and sessions, what is kept, what may be lost. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Grant } from '../../../shared/access.ts';
import { FailureNote } from '../../look/pieces.tsx';
import { count, namesOf } from '../../look/words.ts';
import { useIntent, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './access.module.css';

export const EndDialog = ({ grant, onClose }: { grant: Grant; onClose: () => void }) => {
  const { send } = useMain();
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
      title={`End access to ${namesOf(grant.instances)}?`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form
        className={css['dialog']}
        onSubmit={(event) => {
          event.preventDefault();
          void end();
        }}
      >
        <p className={page['s2']}>
          {grant.state === 'ready'
            ? 'You have not connected: nothing is running. To connect later you ask again.'
            : 'The access policy is taken away and every session on these instances is terminated. The text of the terminals stays, what runs in them may not.'}
        </p>
        <TextInput
          label="Why"
          description="Optional, stands in the audit"
          value={comment}
          maxLength={500}
          onChange={(event) => setComment(event.currentTarget.value)}
        />
        {ending.failure !== null && <FailureNote failure={ending.failure} />}
        <div className={css['dialogFoot']}>
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
