/** Page "End access", for admins: the kill switch, what lives, what is still ending, and what the sweep found. */
import { IconShieldLock } from '@tabler/icons-react';
import { useState } from 'react';
import type { KillSwitch } from '../../../shared/kill-switch.ts';
import { Empty } from '../../look/pieces.tsx';
import { useMain } from '../app-context.ts';
import page from '../page.module.css';
import css from './admin.module.css';
import { Backends } from './backends.tsx';
import { Findings, StillEnding } from './found.tsx';
import { KillForm } from './kill-form.tsx';
import { LiveAccess } from './live-access.tsx';
import { Switches, stoppedName } from './switches.tsx';

export const Admin = () => {
  const { state, placeId } = useMain();
  const [pulled, setPulled] = useState<KillSwitch | null>(null);
  if (state.overview?.me.isAdmin !== true) {
    return (
      <main className={page['page']}>
        <Empty icon={IconShieldLock} title="This page is for admins">
          Who may approve finds live access to end under Approvals.
        </Empty>
      </main>
    );
  }
  const openId = placeId ?? pulled?.id ?? null;
  return (
    <main className={page['page']}>
      <header className={page['head']}>
        <h1>End access</h1>
        <span className={page['meta']}>and what was found without a grant</span>
      </header>
      <section
        className={css['body']}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also where nothing in it takes the focus
        tabIndex={0}
        aria-label="End access"
      >
        <KillForm onPulled={setPulled} />
        <span className={css['spoken']} role="status">
          {pulled === null ? '' : `Stopped: ${stoppedName(pulled)}`}
        </span>
        <Switches openId={openId} />
        <StillEnding />
        <LiveAccess ofWhom="of everybody" />
        <Findings openId={openId} />
        <Backends />
      </section>
    </main>
  );
};
