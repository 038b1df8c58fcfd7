/** Which organisation: asked once, before the first sign-in. */
import { Button, TextInput } from '@mantine/core';
import { useState } from 'react';
import { type Organisation, organisation as organisationSchema } from '../../../shared/desktop.ts';
import type { Failure } from '../../../shared/refusal.ts';
import { FailureNote } from '../../look/pieces.tsx';
import { useIntent, useMain } from '../app-context.ts';
import page from '../page.module.css';
import { Frame } from './frame.tsx';
import css from './sign-in.module.css';

const addressProblem = (text: string): string | null => {
  if (text.trim() === '') return null;
  if (!URL.canParse(text.trim())) return 'An address begins with https://';
  const { protocol, hostname } = new URL(text.trim());
  const loopback = hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
  return protocol === 'https:' || (protocol === 'http:' && loopback) ? null : 'An address begins with https://';
};

/** What was refused about one part of the form, as its own sentence; null when it was about something else. */
const refusedAt = (failure: Failure | null, name: keyof Organisation): string | null => {
  if (failure?.kind !== 'refusal' || failure.path !== name || failure.message === undefined) return null;
  return failure.message.startsWith('is ') ? `This ${failure.message}` : failure.message;
};

/** What helps to answer stands below the field, as an error does. */
const below: ('label' | 'input' | 'description' | 'error')[] = ['label', 'input', 'description', 'error'];

/** The address of the backend, of the access portal, and the portal's region: once, unless an admin has set them. */
export const OrganisationForm = ({
  start,
  onDone,
  onBack,
}: {
  start: Organisation | null;
  onDone: () => void;
  onBack?: () => void;
}) => {
  const { send } = useMain();
  const saving = useIntent();
  const [fields, setFields] = useState<Organisation>(start ?? { backendUrl: '', startUrl: '', ssoRegion: '' });
  const problems = { backendUrl: addressProblem(fields.backendUrl), startUrl: addressProblem(fields.startUrl) };
  const checked = organisationSchema.safeParse({
    backendUrl: fields.backendUrl.trim(),
    startUrl: fields.startUrl.trim(),
    ssoRegion: fields.ssoRegion.trim(),
  });
  const complete = checked.success && problems.backendUrl === null && problems.startUrl === null;
  const save = async (): Promise<void> => {
    if (!checked.success || !complete) return;
    if (await saving.run(() => send.setOrganisation(checked.data))) onDone();
  };
  const field = (name: keyof Organisation, problem: string | null) => ({
    value: fields[name],
    error: problem ?? refusedAt(saving.failure, name),
    onChange: (event: { currentTarget: { value: string } }) => {
      saving.clear();
      setFields({ ...fields, [name]: event.currentTarget.value });
    },
  });
  const names: Array<keyof Organisation> = ['backendUrl', 'startUrl', 'ssoRegion'];
  const toldAtField = names.some((name) => refusedAt(saving.failure, name) !== null);
  return (
    <form
      className={css['asForm']}
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <Frame
        title="Sign in to your organisation"
        down={
          <>
            <Button size="lg" fullWidth type="submit" disabled={!complete} loading={saving.busy}>
              Use this organisation
            </Button>
            {!complete && <p className={css['hint']}>An admin of Curfew knows these answers.</p>}
            {onBack !== undefined && (
              <Button variant="subtle" onClick={onBack}>
                Back
              </Button>
            )}
          </>
        }
      >
        <p className={page['s2']}>You sign in with your browser, as you do for the access portal.</p>
        <div className={css['fields']}>
          <TextInput
            label="Address of the Curfew backend"
            inputWrapperOrder={below}
            description="From your admin."
            placeholder="https://curfew.example"
            {...field('backendUrl', problems.backendUrl)}
          />
          <TextInput
            label="Start URL"
            inputWrapperOrder={below}
            description="On the page where you pick an account. Empty if you sign in with an AWS profile."
            placeholder="https://start.example"
            {...field('startUrl', problems.startUrl)}
          />
          <TextInput
            label="Region of the sign-in service"
            inputWrapperOrder={below}
            description="Of the start URL; empty without one."
            placeholder="eu-central-1"
            {...field('ssoRegion', null)}
          />
        </div>
        {saving.failure !== null && !toldAtField && <FailureNote failure={saving.failure} />}
      </Frame>
    </form>
  );
};
