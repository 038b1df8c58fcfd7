/** The kill switch: on what, why, what it would end now, and the word to type where it ends much. */
import { Button, SegmentedControl, Select, Textarea, TextInput } from '@mantine/core';
import { IconPower } from '@tabler/icons-react';
import { useEffect, useId, useRef, useState } from 'react';
import type { Grant } from '../../../shared/access.ts';
import {
  type KillSwitch,
  type SwitchPreview,
  type SwitchScope,
  type SwitchTarget,
  wordToType,
} from '../../../shared/kill-switch.ts';
import { limits } from '../../../shared/limits.ts';
import { cx } from '../../look/class-names.ts';
import { Countdown, useTimeOf } from '../../look/countdown.tsx';
import { FailureNote, Glyph } from '../../look/pieces.tsx';
import { timeOfDay } from '../../look/time.ts';
import { count, namesOf, seen } from '../../look/words.ts';
import { useIntent, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './admin.module.css';
import { nothingLivesWords } from './switch-words.ts';

type Kind = SwitchScope['kind'];

const kinds: Array<{ value: Kind; label: string }> = [
  { value: 'person', label: 'A person' },
  { value: 'instance', label: 'An instance' },
  { value: 'account', label: 'An account' },
  { value: 'everything', label: 'Everyone' },
];
const fields: Record<Exclude<Kind, 'everything'>, string> = {
  person: 'Person',
  instance: 'Instance',
  account: 'Account',
};
const isKind = (value: string): value is Kind => kinds.some((kind) => kind.value === value);

const keyOf = (scope: SwitchScope): string => JSON.stringify(scope);

/** The person, instance or account: searched by name, chosen from a list. */
const TargetField = ({
  kind,
  target,
  onTarget,
}: {
  kind: Exclude<Kind, 'everything'>;
  target: SwitchTarget | null;
  onTarget: (target: SwitchTarget | null) => void;
}) => {
  const { send } = useMain();
  const [search, setSearch] = useState('');
  const wanted = target !== null && search === target.name ? '' : search.trim();
  const found = useLoaded(`${kind} ${wanted}`, () => send.findTargets({ kind, search: wanted }), 120);
  const options = found.value ?? [];
  const all =
    target === null || options.some(({ scope }) => keyOf(scope) === keyOf(target.scope))
      ? options
      : [target, ...options];
  return (
    <>
      <Select
        label={fields[kind]}
        placeholder="Search by name"
        searchable
        clearable
        clearButtonProps={{ 'aria-label': `Clear ${fields[kind].toLowerCase()}` }}
        // The backend searches: all that it found is shown.
        filter={({ options: given }) => given}
        data={all.map(({ scope, name, detail }) => ({ value: keyOf(scope), label: seen(name), detail: seen(detail) }))}
        renderOption={({ option }) => (
          <span className={page['cut']}>
            {option.label}{' '}
            <span className={page['s3']}>{all.find(({ scope }) => keyOf(scope) === option.value)?.detail ?? ''}</span>
          </span>
        )}
        value={target === null ? null : keyOf(target.scope)}
        onChange={(value) => onTarget(all.find(({ scope }) => keyOf(scope) === value) ?? null)}
        searchValue={search}
        onSearchChange={setSearch}
        nothingFoundMessage={found.loading ? 'Searching' : 'Nothing is called that'}
        comboboxProps={{ withinPortal: true }}
      />
      {found.failure !== null && <FailureNote failure={found.failure} onRetry={found.reload} />}
    </>
  );
};

/** One of a few that are known already. */
const AmongField = ({
  among,
  target,
  onTarget,
}: {
  among: readonly SwitchTarget[];
  target: SwitchTarget | null;
  onTarget: (target: SwitchTarget | null) => void;
}) => (
  <Select
    label="End the access of"
    allowDeselect={false}
    data={among.map(({ scope, name, detail }) => ({ value: keyOf(scope), label: `${seen(name)}, ${seen(detail)}` }))}
    value={target === null ? null : keyOf(target.scope)}
    onChange={(value) => onTarget(among.find(({ scope }) => keyOf(scope) === value) ?? null)}
    comboboxProps={{ withinPortal: true }}
  />
);

const openSessions = (grant: Grant): number => grant.sessions.filter(({ endedAt }) => endedAt === null).length;

const EndsLine = ({ grant }: { grant: Grant }) => {
  const { state } = useMain();
  const view = useTimeOf(grant, state.clock, null);
  const names = namesOf(grant.instances);
  return (
    <tr>
      <td className={page['name']} title={names}>
        {names}
      </td>
      <td title={seen(grant.person.displayName)}>{seen(grant.person.displayName)}</td>
      <td>
        <Countdown view={view} name={names} />
      </td>
      <td className={cx(page['num'], css['few'])}>{openSessions(grant)}</td>
    </tr>
  );
};

const Consequences = ({ preview }: { preview: SwitchPreview }) => {
  const { totals, grants } = preview;
  const more = totals.grants - grants.length;
  return (
    <>
      {grants.length > 0 && (
        <table className={cx(page['table'], css['ends'])} aria-label="This ends">
          <thead>
            <tr>
              <th>Instances</th>
              <th>Person</th>
              <th className={css['left']}>Left</th>
              <th className={css['few']}>Sessions</th>
            </tr>
          </thead>
          <tbody>
            {grants.map((grant) => (
              <EndsLine key={grant.id} grant={grant} />
            ))}
          </tbody>
        </table>
      )}
      {more > 0 && <p className={cx(page['small'], page['s3'])}>and {count(more, 'grant')} more</p>}
      {totals.grants === 0 && <p className={page['s2']}>{nothingLivesWords(totals)}</p>}
      <dl className={css['totals']}>
        <div>
          <dt>People</dt>
          <dd>{totals.people}</dd>
        </div>
        <div>
          <dt>Accounts</dt>
          <dd>{totals.accounts}</dd>
        </div>
        <div>
          <dt>Waiting requests taken back</dt>
          <dd>{totals.requests}</dd>
        </div>
      </dl>
      <p className={cx(page['small'], page['s3'])}>
        New requests, decisions, connects and extensions for{' '}
        {preview.name === 'everything' ? 'everybody' : seen(preview.name)} are refused until somebody who was not hit
        lifts it. AWS ends at most 6 sessions a second in an account and region: the access policies go first, the
        sessions next, each grant with its receipt.
      </p>
    </>
  );
};

const buttonWords = (preview: SwitchPreview | null): string => {
  if (preview === null || preview.totals.grants === 0) return 'Stop it';
  const { grants, sessions } = preview.totals;
  const access = `End ${count(grants, 'grant')}`;
  return sessions === 0 ? access : `${access} and ${count(sessions, 'session')}`;
};

/** Why the button waits, in words; null when it does not. */
const whyWait = (is: {
  scope: SwitchScope | null;
  reason: string;
  word: string | null;
  typed: string;
}): string | null => {
  if (is.scope === null) return 'Say on what first';
  if (is.reason.trim() === '') return 'Say why first';
  return is.word !== null && is.typed.trim() !== is.word ? `Type ${is.word} to be sure` : null;
};

const useSwitchPreview = (scope: SwitchScope | null) => {
  const { send, state } = useMain();
  // A question on its way when the form is emptied is asked all the same, and its answer is passed over.
  const last = useRef<SwitchScope>({ kind: 'everything' });
  if (scope !== null) last.current = scope;
  const key = scope === null ? null : `${keyOf(scope)} ${state.overview?.serverTime ?? ''}`;
  const answer = useLoaded(key, () => send.previewSwitch({ scope: last.current }));
  const fits = answer.value !== null && scope !== null && keyOf(answer.value.scope) === keyOf(scope);
  return { ...answer, value: fits ? answer.value : null, failure: scope === null ? null : answer.failure };
};

type Filled = { kind: Kind; target: SwitchTarget | null; reason: string; typed: string };
const empty: Filled = { kind: 'person', target: null, reason: '', typed: '' };
const emptyAmong = ([first]: readonly SwitchTarget[]): Filled =>
  first === undefined ? empty : { ...empty, kind: first.scope.kind, target: first };

/** Of all there is: its kind, and then which. */
const WhatFields = ({ form, onChange }: { form: Filled; onChange: (part: Partial<Filled>) => void }) => {
  const kindId = useId();
  return (
    <>
      <div>
        <span className={cx(page['label'], css['of'])} id={kindId}>
          End the access of
        </span>
        <SegmentedControl
          fullWidth
          aria-labelledby={kindId}
          data={kinds}
          value={form.kind}
          onChange={(kind) => {
            if (isKind(kind)) onChange({ kind, target: null });
          }}
        />
      </div>
      {form.kind !== 'everything' && (
        <TargetField
          key={form.kind}
          kind={form.kind}
          target={form.target}
          onTarget={(target) => onChange({ target })}
        />
      )}
    </>
  );
};

type OnProps = { among: readonly SwitchTarget[]; form: Filled; onChange: (part: Partial<Filled>) => void };

/** On what it is pulled. */
const On = ({ among, form, onChange }: OnProps) =>
  among.length === 0 ? (
    <WhatFields form={form} onChange={onChange} />
  ) : (
    <AmongField
      among={among}
      target={form.target}
      onTarget={(target) => {
        if (target !== null) onChange({ kind: target.scope.kind, target });
      }}
    />
  );

type Props = {
  /** Only one of these can be chosen, the first unless another is; left out: anything, found by its name. */
  among?: readonly SwitchTarget[];
  /** Hears of the switch that is on now. */
  onPulled: (pulled: KillSwitch) => void;
};

/** The whole card. */
export const KillForm = ({ among = [], onPulled }: Props) => {
  const { send, canAct, whyNot } = useMain();
  const [form, setForm] = useState(() => emptyAmong(among));
  const pulling = useIntent();
  const scope: SwitchScope | null = form.kind === 'everything' ? { kind: 'everything' } : (form.target?.scope ?? null);
  const preview = useSwitchPreview(scope);
  const shown = preview.value;
  // More than one session needs the name too, so that a slip ends nobody's work.
  const word =
    shown === null ? null : (wordToType(form.kind, shown.name) ?? (shown.totals.sessions > 1 ? shown.name : null));
  const wait = canAct ? whyWait({ scope, reason: form.reason, word, typed: form.typed }) : `Stopping ${whyNot}`;
  const scopeKey = scope === null ? '' : keyOf(scope);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was typed belongs to one scope
  useEffect(() => setForm((before) => ({ ...before, typed: '' })), [scopeKey]);
  const pull = async (): Promise<void> => {
    if (scope === null || wait !== null) return;
    const typed = form.typed.trim() === '' ? null : form.typed.trim();
    await pulling.run(
      () => send.pullSwitch({ scope, reason: form.reason, typed }),
      (pulled) => {
        setForm(emptyAmong(among));
        onPulled(pulled);
      },
    );
  };
  return (
    <form
      className={cx(page['card'], css['kill'], among.length > 0 && css['narrow'])}
      aria-label="Kill switch"
      onSubmit={(event) => {
        event.preventDefault();
        void pull();
      }}
    >
      <div className={css['what']}>
        <On among={among} form={form} onChange={(part) => setForm((before) => ({ ...before, ...part }))} />
        <Textarea
          label="Why"
          description="Those who are hit, the other admins and the audit read it"
          autosize
          minRows={2}
          maxLength={limits.reasonCharacters}
          value={form.reason}
          onChange={(event) => setForm({ ...form, reason: event.currentTarget.value.replaceAll('\n', ' ') })}
        />
      </div>
      <div className={css['result']}>
        <div className={page['row']}>
          <h2 className={css['resultTitle']}>This ends</h2>
          {shown !== null && (
            <span className={cx(page['end'], page['small'], page['s3'])}>
              as of {timeOfDay(shown.at, Date.now(), true)}, live
            </span>
          )}
        </div>
        {scope === null && (
          <p className={page['s3']}>Choose on what: what it would end stands here before you do it.</p>
        )}
        {preview.failure !== null && <FailureNote failure={preview.failure} onRetry={preview.reload} />}
        {shown !== null && <Consequences preview={shown} />}
        {pulling.failure !== null && <FailureNote failure={pulling.failure} />}
        <div className={css['go']}>
          {word !== null && (
            <TextInput
              label={
                <>
                  Type <b>{seen(word)}</b> to be sure
                </>
              }
              value={form.typed}
              autoComplete="off"
              onChange={(event) => setForm({ ...form, typed: event.currentTarget.value })}
            />
          )}
          <span className={page['grow']} />
          {wait !== null && <span className={cx(page['small'], page['s3'])}>{wait}</span>}
          <Button
            type="submit"
            size="lg"
            variant="sure"
            disabled={wait !== null || shown === null}
            loading={pulling.busy}
            leftSection={<Glyph icon={IconPower} />}
          >
            {buttonWords(shown)}
          </Button>
        </div>
      </div>
    </form>
  );
};
