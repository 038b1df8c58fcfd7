/** Approve less and deny: only shorter and fewer can be picked, and a no says why. */
import { Button, Checkbox, Textarea } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconFileDiff } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { refKey } from '../../../shared/access.ts';
import { durationWords } from '../../../shared/countdown.ts';
import type { DecideInput, RequestCard } from '../../../shared/views.ts';
import { cx } from '../../look/class-names.ts';
import { Avatar, FailureNote, Glyph, Keys } from '../../look/pieces.tsx';
import { count, firstName, nameOf, seen } from '../../look/words.ts';
import type { Running } from '../app-context.ts';
import { refOf } from '../instances/selection.ts';
import page from '../page.module.css';
import { durationPresets, durationProblem } from '../request/draft.ts';
import { DurationPicker } from '../request/duration-picker.tsx';
import css from './approvals.module.css';
import { approveWords, isLess } from './deciding.ts';

type FormProps = {
  card: RequestCard;
  deciding: Running;
  decide: (input: DecideInput) => Promise<boolean>;
  onBack: () => void;
};

type FrameProps = {
  title: string;
  aside: string;
  card: RequestCard;
  onBack: () => void;
  send: () => void;
  foot: ReactNode;
  children: ReactNode;
};

const Form = ({ title, aside, card, onBack, send, foot, children }: FrameProps) => {
  useHotkeys(
    [
      ['Escape', onBack],
      ['mod+Enter', send],
    ],
    [],
  );
  return (
    <form
      className={css['form']}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className={css['inCard']}>
        <header className={css['asked']}>
          <Avatar person={card.request.requester} large />
          <div>
            <h1>{title}</h1>
            <p className={page['s3']}>{aside}</p>
          </div>
        </header>
        {children}
      </div>
      <footer className={page['foot']}>
        <Button variant="subtle" rightSection={<Keys>Esc</Keys>} onClick={onBack}>
          Back
        </Button>
        {foot}
      </footer>
    </form>
  );
};

/** A field's label with what belongs to it in the same line. */
const Beside = ({ label, words }: { label: string; words: string }) => (
  <>
    {label} <span className={cx(page['small'], page['s3'], css['beside'])}>{words}</span>
  </>
);

export const ApproveLess = ({ card, deciding, decide, onBack }: FormProps) => {
  const { request } = card;
  const name = firstName(request.requester);
  const shorter = durationPresets.filter((preset) => preset < request.durationSeconds).at(-1);
  const [seconds, setSeconds] = useState(
    request.instances.length > 1 ? request.durationSeconds : (shorter ?? request.durationSeconds),
  );
  const [chosen, setChosen] = useState(request.instances.map(refKey));
  const [comment, setComment] = useState('');
  const instances = request.instances.filter((instance) => chosen.includes(refKey(instance)));
  const less = { instances: instances.map(refOf), durationSeconds: seconds };
  const problem =
    durationProblem(seconds) ??
    (seconds > request.durationSeconds ? `At most ${durationWords(request.durationSeconds)}, as asked.` : null);
  const nothing = instances.length === 0 ? 'Pick at least one instance' : null;
  const notLess = isLess(request, less) ? null : 'This is all that was asked: make it shorter or fewer';
  const blocked = problem ?? nothing ?? notLess;
  const send = (): void => {
    if (blocked !== null || deciding.busy) return;
    const text = comment.trim();
    void decide({
      requestId: request.id,
      seenHash: card.seenHash,
      verdict: 'yes',
      less,
      comment: text === '' ? null : text,
    });
  };
  return (
    <Form
      title={`Approve less for ${seen(request.requester.displayName)}`}
      aside={`Asked for ${count(request.instances.length, 'instance')}, ${durationWords(request.durationSeconds)}. “${seen(request.reason)}”`}
      card={card}
      onBack={onBack}
      send={send}
      foot={
        <>
          <span className={cx(page['end'], page['small'], page['s3'])}>{blocked}</span>
          <Button
            size="lg"
            type="submit"
            disabled={blocked !== null}
            loading={deciding.busy}
            rightSection={<Keys>Ctrl Enter</Keys>}
          >
            {approveWords(request, less)}
          </Button>
        </>
      }
    >
      {deciding.failure !== null && <FailureNote failure={deciding.failure} />}
      <DurationPicker
        seconds={seconds}
        presets={[
          ...new Set([
            ...durationPresets.filter((preset) => preset <= request.durationSeconds),
            request.durationSeconds,
          ]),
        ]}
        below={request.durationSeconds}
        onChange={setSeconds}
        problem={problem}
        hint={`asked for ${durationWords(request.durationSeconds)}`}
      />
      <Checkbox.Group
        value={chosen}
        onChange={setChosen}
        label={<Beside label="Which instances" words={`${instances.length} of ${request.instances.length}`} />}
      >
        <div className={cx(page['card'], css['pick'])}>
          {request.instances.map((instance) => (
            <Checkbox
              key={refKey(instance)}
              value={refKey(instance)}
              label={`${nameOf(instance)}, ${instance.instanceId}`}
            />
          ))}
        </div>
      </Checkbox.Group>
      <Textarea
        label={<Beside label="Say why" words={`${name} reads it`} />}
        rows={2}
        maxLength={500}
        value={comment}
        onChange={(event) => setComment(event.currentTarget.value.replace(/[\r\n]+/gu, ' '))}
      />
      <p className={cx(page['small'], page['s2'], css['outcome'])}>
        <Glyph icon={IconFileDiff} size={14} />
        <span>
          {name} gets a shell on {instances.length === 0 ? 'nothing' : instances.map(nameOf).join(', ')},{' '}
          <b className={page['time']}>{durationWords(seconds)}</b> from when {name} connects. There is nothing to accept
          first.
        </span>
      </p>
    </Form>
  );
};

export const Deny = ({ card, deciding, decide, onBack }: FormProps) => {
  const { request } = card;
  const name = firstName(request.requester);
  const [comment, setComment] = useState('');
  const text = comment.trim();
  const send = (): void => {
    if (text === '' || deciding.busy) return;
    void decide({ requestId: request.id, seenHash: card.seenHash, verdict: 'no', comment: text });
  };
  return (
    <Form
      title={`Deny ${seen(request.requester.displayName)}`}
      aside={`Asked for ${count(request.instances.length, 'instance')}, ${durationWords(request.durationSeconds)}. “${seen(request.reason)}”`}
      card={card}
      onBack={onBack}
      send={send}
      foot={
        <>
          <span className={cx(page['end'], page['small'], page['s3'])}>
            {text === '' ? 'Say why first' : `${name} reads it in the notification`}
          </span>
          <Button
            variant="sure"
            size="lg"
            type="submit"
            disabled={text === ''}
            loading={deciding.busy}
            rightSection={<Keys>Ctrl Enter</Keys>}
          >
            Deny
          </Button>
        </>
      }
    >
      {deciding.failure !== null && <FailureNote failure={deciding.failure} />}
      <Textarea
        label="Say what would be fine"
        placeholder="For example: ask for the replica, it has the same slow query log."
        data-autofocus
        autoFocus
        rows={3}
        maxLength={500}
        value={comment}
        onChange={(event) => setComment(event.currentTarget.value.replace(/[\r\n]+/gu, ' '))}
      />
    </Form>
  );
};
