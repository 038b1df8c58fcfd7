/** An admin ends a session that is granted, but was not opened by the app: the button at the finding, the question, how far it is. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useState } from 'react';
import { limits } from '../../../shared/limits.ts';
import type { Finding } from '../../../shared/views.ts';
import { FailureNote } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { seen } from '../../look/words.ts';
import { useIntent, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './admin.module.css';

const Ask = ({ finding, onClose }: { finding: Finding; onClose: () => void }) => {
  const { send } = useMain();
  const ending = useIntent();
  const [reason, setReason] = useState('');
  const end = async (): Promise<void> => {
    if (await ending.run(() => send.endFound({ findingId: finding.id, reason }))) onClose();
  };
  return (
    <Modal opened onClose={onClose} title="End this session?" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form
        className={css['dialog']}
        onSubmit={(event) => {
          event.preventDefault();
          void end();
        }}
      >
        <p className={page['s2']}>{seen(finding.what)}</p>
        <p className={page['s2']}>
          AWS terminates the session; what runs in it may be lost. The access itself stays until its end, so another
          session can be started. To take it away, end the access.
        </p>
        <TextInput
          label="Why"
          description="Whose session it is and the audit read it"
          value={reason}
          maxLength={limits.reasonCharacters}
          data-autofocus
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        {ending.failure !== null && <FailureNote failure={ending.failure} />}
        <div className={css['dialogFoot']}>
          <Button variant="subtle" onClick={onClose}>
            Leave it
          </Button>
          <Button variant="sure" type="submit" loading={ending.busy} disabled={reason.trim() === ''}>
            End the session
          </Button>
        </div>
      </form>
    </Modal>
  );
};

const progressWords = (finding: Finding): string | null => {
  const { ending, mendedAt } = finding;
  if (ending === undefined) return null;
  const now = Date.now();
  const asked = `${seen(ending.by)} asked for its end ${timeOfDay(ending.at, now)}: “${seen(ending.reason)}”`;
  if (ending.problem !== null) return `${asked} Curfew could not end it. ${seen(ending.problem)}`;
  if (ending.terminatedAt === null) return mendedAt === null ? `${asked} It is ending.` : asked;
  return mendedAt === null
    ? `${asked} AWS took it; Curfew looks whether it is gone.`
    : `${asked} Terminated ${timeOfDay(ending.terminatedAt, now, true)}, gone at the look after.`;
};

/** Nothing at findings that are about something else. */
export const EndFound = ({ finding }: { finding: Finding }) => {
  const { canAct } = useMain();
  const [asking, setAsking] = useState(false);
  if (finding.kind !== 'session_outside_app') return null;
  const words = progressWords(finding);
  const open = finding.mendedAt === null && (finding.ending === undefined || finding.ending.problem !== null);
  return (
    <>
      {words !== null && (
        <p className={page['s2']} role="status">
          {words}
        </p>
      )}
      {open && canAct && (
        <p className={css['actHere']}>
          <Button size="xs" variant="stop" onClick={() => setAsking(true)}>
            End this session
          </Button>
        </p>
      )}
      {asking && <Ask finding={finding} onClose={() => setAsking(false)} />}
    </>
  );
};
