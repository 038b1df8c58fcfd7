/** The request form beside the list: who is asked and what happens next stands above the button before anything is sent. */
import { ActionIcon, Button, Textarea, TextInput, Tooltip } from '@mantine/core';
import { IconTicket, IconX } from '@tabler/icons-react';
import { type KeyboardEvent, useEffect, useRef } from 'react';
import { type AccessRequest, type InstanceRef, refKey } from '../../../shared/access.ts';
import type { SavedDraft } from '../../../shared/desktop.ts';
import { limits } from '../../../shared/limits.ts';
import type { Preview } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { FailureNote, Glyph, InstanceName, Keys, Status, Tag } from '../../look/pieces.tsx';
import { count, seen } from '../../look/words.ts';
import { type Loaded, useIntent, useLoaded, useMain } from '../app-context.ts';
import { isNewHybrid } from '../instances/selection.ts';
import page from '../page.module.css';
import { WiderNote } from '../wider-note.tsx';
import { type Checked, checkDraft, durationPresets, emptyDraft, without } from './draft.ts';
import { DurationPicker } from './duration-picker.tsx';
import css from './request.module.css';
import { type Say, sayOf } from './rules-say.ts';
import { RulesStrip } from './rules-strip.tsx';

/** The rules are asked this long after the last key, ms: with the call well within 300. */
const previewAfterMs = 150;

const Picked = ({ refs, onRemove }: { refs: InstanceRef[]; onRemove: (ref: InstanceRef) => void }) => {
  const { known } = useMain();
  return (
    <ul className={css['picked']}>
      {refs.map((ref) => {
        const instance = known.get(refKey(ref));
        const name = instance === undefined ? ref.instanceId : instance.name || ref.instanceId;
        return (
          <li key={refKey(ref)}>
            <b className={page['cut']} title={ref.instanceId}>
              {instance === undefined ? ref.instanceId : <InstanceName instance={instance} />}
            </b>
            <span className={cx(page['s3'], page['small'], page['cut'])}>
              {instance !== undefined && isNewHybrid(instance, Date.now()) && (
                <>
                  <Tag tone="ask">new hybrid node</Tag>{' '}
                </>
              )}
              {instance === undefined ? ref.accountId : seen(instance.accountName)}, {ref.region}
            </span>
            {instance !== undefined && (
              <Status tone={instance.online ? 'ok' : 'plain'} hollow={!instance.online}>
                {instance.online ? 'Online' : 'Offline'}
              </Status>
            )}
            <ActionIcon variant="subtle" size="sm" aria-label={`Remove ${name}`} onClick={() => onRemove(ref)}>
              <Glyph icon={IconX} />
            </ActionIcon>
          </li>
        );
      })}
    </ul>
  );
};

const Fields = ({ checked }: { checked: Checked }) => {
  const { draft, setDraft } = useMain();
  const why = useRef<HTMLTextAreaElement>(null);
  useEffect(() => why.current?.focus(), []);
  const set = (part: Partial<SavedDraft>): void => setDraft({ ...draft, ...part });
  const { fields } = checked;
  return (
    <div className={css['form']}>
      <section>
        <div className={css['fieldHead']}>
          <h3>{draft.instances.length === 0 ? 'No instance yet' : count(draft.instances.length, 'instance')}</h3>
          <span className={css['hint']}>shell, as your own user</span>
        </div>
        {draft.instances.length === 0 ? (
          <p className={page['s2']}>Select instances in the list.</p>
        ) : (
          <Picked refs={draft.instances} onRemove={(ref) => setDraft(without(draft, ref))} />
        )}
        {fields.instances !== null && <p className={css['problem']}>{fields.instances}</p>}
      </section>
      <section className={css['field']}>
        <div className={css['fieldHead']}>
          <label htmlFor="request-why">Why</label>
          <span className={cx(css['hint'], page['num'])}>
            {[...draft.reason].length} of {limits.reasonCharacters}
          </span>
        </div>
        <Textarea
          id="request-why"
          ref={why}
          minRows={2}
          rows={2}
          value={draft.reason}
          error={fields.reason === null ? null : `The reason ${fields.reason}.`}
          placeholder="What is the access for?"
          // One line is stored: a line break becomes a space.
          onChange={(event) => set({ reason: event.currentTarget.value.replace(/[\r\n]+/gu, ' ') })}
        />
      </section>
      <section className={css['field']}>
        <div className={css['fieldHead']}>
          <label htmlFor="request-ticket">Ticket</label>
          <span className={cx(page['small'], page['s3'])}>optional</span>
        </div>
        <TextInput
          id="request-ticket"
          leftSection={<Glyph icon={IconTicket} size={14} />}
          value={draft.ticket}
          maxLength={200}
          error={fields.ticket}
          placeholder="PAY-2291"
          onChange={(event) => set({ ticket: event.currentTarget.value })}
        />
      </section>
      <DurationPicker
        seconds={draft.durationSeconds}
        presets={durationPresets}
        onChange={(durationSeconds) => set({ durationSeconds })}
        problem={fields.duration}
        hint="The clock starts when you connect."
      />
    </div>
  );
};

const missingForRules = (draft: SavedDraft, checked: Checked): string | null => {
  if (draft.instances.length === 0) return 'Select an instance, and this says who is asked and how long it may be.';
  const { fields } = checked;
  return (
    fields.instances ??
    fields.duration ??
    (checked.toPreview === null ? (fields.reason ?? 'Something above is not right yet.') : null)
  );
};

/** Why the button is disabled, in words beside it; null: it is not. */
const blockedBy = (say: Say | null, draft: SavedDraft, checked: Checked, whyNot: string | null): string | null => {
  if (whyNot !== null) return `Sending ${whyNot}`;
  if (draft.instances.length === 0) return 'Select an instance first';
  if (draft.reason.trim() === '') return 'Say why first';
  if (checked.toSend === null) return 'Change one thing above to go on';
  if (say === null) return 'The rules are being asked';
  if (say.mark === 'paused') return say.title;
  return say.button === null ? 'Change one thing above to go on' : null;
};

const usePreview = (checked: Checked): Loaded<Preview> => {
  const { send, state } = useMain();
  const { toPreview } = checked;
  const draft = toPreview === null ? null : JSON.stringify(toPreview);
  const answered = useRef(draft);
  // Asked again when anything has changed: somebody may have pulled or lifted a kill switch.
  const answer = useLoaded(
    draft === null ? null : `${draft} ${state.overview?.serverTime ?? ''}`,
    // Null only while nothing is asked: the key says so.
    () => send.previewRequest(toPreview ?? { ...emptyDraft, capability: 'shell', ticket: null }),
    previewAfterMs,
  );
  if (!answer.loading) answered.current = draft;
  // What is said about this very draft stands until it is said anew.
  return { ...answer, loading: answer.loading && (answer.value === null || answered.current !== draft) };
};

export const RequestPanel = () => {
  const { draft, setDraft, setFormOpen, send, go, canAct, whyNot } = useMain();
  const sending = useIntent();
  const checked = checkDraft(draft);
  const answer = usePreview(checked);
  const missing = missingForRules(draft, checked);
  const say = answer.value === null || missing !== null ? null : sayOf(answer.value, draft.durationSeconds, Date.now());
  const blocked = blockedBy(say, draft, checked, canAct ? null : whyNot);

  const connectNow = async (request: AccessRequest): Promise<void> => {
    const instance = request.instances[0];
    if (request.state !== 'approved' || request.instances.length !== 1 || instance === undefined) return;
    const [grantId] = request.grantIds;
    if (grantId === undefined) return;
    const { accountId, region, instanceId } = instance;
    await sending.run(() => send.connect({ grantId, instance: { accountId, region, instanceId } }));
  };
  const submit = async (only?: InstanceRef[]): Promise<void> => {
    const { toSend } = checked;
    if (toSend === null || sending.busy) return;
    const wish = only === undefined ? toSend : { ...toSend, instances: only };
    await sending.run(
      () => send.submitRequest(wish),
      (request) => {
        const sent = new Set(wish.instances.map(refKey));
        const rest = draft.instances.filter((ref) => !sent.has(refKey(ref)));
        setDraft(rest.length === 0 ? emptyDraft : { ...draft, instances: rest });
        if (rest.length > 0) return;
        setFormOpen(false);
        go('access', request.id);
        void connectNow(request);
      },
    );
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && blocked === null) {
      event.preventDefault();
      void submit();
    }
  };
  return (
    <aside className={cx(page['panel'], css['panel'])} aria-labelledby="request-title" onKeyDown={onKeyDown}>
      <header className={page['head']}>
        <h1 id="request-title">Request access</h1>
        <Tooltip label="Close, keep the draft">
          <ActionIcon
            className={page['end']}
            variant="subtle"
            aria-label="Close, keep the draft"
            onClick={() => setFormOpen(false)}
          >
            <Glyph icon={IconX} />
          </ActionIcon>
        </Tooltip>
      </header>
      <div className={css['told']}>
        <Fields checked={checked} />
        {say !== null && answer.value !== null && answer.value.wider.length > 0 && (
          <div className={css['wider']}>
            <WiderNote wider={answer.value.wider} />
          </div>
        )}
        <RulesStrip
          say={say}
          preview={answer.value}
          stale={answer.loading}
          failure={answer.failure}
          missing={missing}
          onDuration={(durationSeconds) => setDraft({ ...draft, durationSeconds })}
          onTakeOut={(keys) =>
            setDraft({ ...draft, instances: draft.instances.filter((ref) => !keys.has(refKey(ref))) })
          }
          onStartNow={(refs) => void submit(refs)}
          onRetry={answer.reload}
        />
      </div>
      {sending.failure !== null && <FailureNote failure={sending.failure} />}
      <footer className={page['foot']}>
        <span className={cx(page['small'], page['s3'])}>{blocked ?? 'Draft kept'}</span>
        <Button
          className={page['end']}
          variant="subtle"
          rightSection={<Keys>Esc</Keys>}
          onClick={() => setFormOpen(false)}
        >
          Cancel
        </Button>
        <Button
          size="lg"
          disabled={blocked !== null}
          loading={sending.busy}
          rightSection={<Keys>Ctrl Enter</Keys>}
          onClick={() => void submit()}
        >
          {say?.button ?? 'Request access'}
        </Button>
      </footer>
    </aside>
  );
};
