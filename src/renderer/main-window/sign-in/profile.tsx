/** Signing in with an AWS profile: its name is chosen here; keys and tokens never come into a window. */
import { Button, Select } from '@mantine/core';
import { IconKey } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import type { AppState } from '../../../shared/desktop.ts';
import { FailureNote, Glyph } from '../../look/pieces.tsx';
import { useIntent, useLoaded, useMain } from '../app-context.ts';
import page from '../page.module.css';
import { OtherOrganisation } from './other-organisation.tsx';
import css from './sign-in.module.css';

/** Does this organisation sign in with AWS profiles? Said by the backend; before it was asked, by the lack of a start URL. */
export const signsInByProfile = ({ signInWith, organisation }: AppState): boolean =>
  signInWith === 'aws-profile' || (signInWith === null && organisation?.startUrl === '');

/** Curfew's own name for it first: whoever made a profile for this wants it chosen. */
const likeliest = (profiles: readonly string[]): string | null =>
  profiles.find((name) => name.startsWith('curfew')) ?? (profiles.length === 1 ? (profiles[0] ?? null) : null);

export const BeginWithProfile = ({ onOther, others }: { onOther: () => void; others?: ReactNode }) => {
  const { send } = useMain();
  const listed = useLoaded('profiles', () => send.listProfiles({}));
  const starting = useIntent();
  const [picked, setPicked] = useState<string | null>(null);
  const profiles = listed.value?.profiles ?? null;
  const chosen = picked ?? likeliest(profiles ?? []);
  const begin = (): void => {
    if (chosen !== null) void starting.run(() => send.signIn({ how: 'profile', profile: chosen }));
  };
  const none = profiles !== null && profiles.length === 0;
  return (
    <>
      {none ? (
        <p className={page['s2']}>
          No AWS profile was found on this computer. Make one with <code>aws configure --profile curfew</code>, then
          look again.
        </p>
      ) : (
        <Select
          label="AWS profile"
          description="From the AWS configuration on this computer."
          placeholder={profiles === null ? 'Reading…' : 'Choose a profile'}
          data={profiles ?? []}
          value={chosen}
          onChange={setPicked}
          disabled={profiles === null}
          searchable
          nothingFoundMessage="No profile of that name"
        />
      )}
      {listed.failure !== null && <FailureNote failure={listed.failure} />}
      {starting.failure !== null && <FailureNote failure={starting.failure} />}
      {!none && (
        <Button
          size="lg"
          fullWidth
          disabled={chosen === null}
          loading={starting.busy}
          leftSection={<Glyph icon={IconKey} />}
          onClick={begin}
        >
          Sign in with this profile
        </Button>
      )}
      <div className={css['others']}>
        <Button variant="subtle" onClick={listed.reload} loading={listed.loading}>
          Look for profiles again
        </Button>
        <OtherOrganisation onOther={onOther} />
        {others}
      </div>
    </>
  );
};
