/** The strip of tabs: each knows its instance and its time. Titles are ours, never the remote end's (threats TERM-02). */
import { ActionIcon, Tooltip } from '@mantine/core';
import { IconPlus, IconTerminal2, IconX } from '@tabler/icons-react';
import type { Grant } from '../../shared/access.ts';
import type { ClockOffset, TerminalTab } from '../../shared/desktop.ts';
import { cx } from '../look/class-names.ts';
import { Countdown, useTimeOf } from '../look/countdown.tsx';
import { Glyph } from '../look/pieces.tsx';
import { nameOf } from '../look/words.ts';
import css from './terminal-window.module.css';

/** "payments-api-1", the second tab on the same instance "payments-api-1 (2)". */
const tabTitle = (tab: TerminalTab, tabs: readonly TerminalTab[]): string => {
  const same = tabs.filter((other) => other.instance.instanceId === tab.instance.instanceId);
  const at = same.findIndex((other) => other.id === tab.id);
  return at > 0 ? `${nameOf(tab.instance)} (${at + 1})` : nameOf(tab.instance);
};

const TabTime = ({ tab, grant, clock }: { tab: TerminalTab; grant: Grant; clock: ClockOffset | null }) => {
  const view = useTimeOf(grant, clock, null);
  if (tab.phase === 'granting' || tab.phase === 'spreading' || tab.phase === 'starting') {
    return <span className={css['tabWord']}>starting</span>;
  }
  return (
    <span className={css['tabTime']}>
      <Countdown view={view} />
    </span>
  );
};

type Props = {
  tabs: TerminalTab[];
  active: string | null;
  grantOf: (tab: TerminalTab) => Grant | null;
  clock: ClockOffset | null;
  onSelect: (tabId: string) => void;
  onClose: (tabId: string) => void;
  onNew: (() => void) | null;
};

export const Tabs = ({ tabs, active, grantOf, clock, onSelect, onClose, onNew }: Props) => (
  <div className={css['strip']}>
    {/* A tab list may hold tabs only, and a close button stands beside each: so it owns them by id. */}
    <div role="tablist" aria-label="Terminals" aria-owns={tabs.map((tab) => `tab-${tab.id}`).join(' ')} />
    <div className={css['tabs']}>
      {tabs.map((tab) => {
        const grant = grantOf(tab);
        const title = tabTitle(tab, tabs);
        const current = tab.id === active;
        return (
          <div key={tab.id} className={cx(css['tab'], current && css['current'])}>
            <button
              type="button"
              role="tab"
              id={`tab-${tab.id}`}
              aria-selected={current}
              aria-controls={`screen-${tab.id}`}
              tabIndex={current ? 0 : -1}
              className={css['tabButton']}
              onClick={() => onSelect(tab.id)}
            >
              <Glyph icon={IconTerminal2} size={14} />
              <span className={css['tabName']}>{title}</span>
              {grant !== null && <TabTime tab={tab} grant={grant} clock={clock} />}
            </button>
            {current && (
              <ActionIcon variant="subtle" size={24} aria-label={`Close ${title}`} onClick={() => onClose(tab.id)}>
                <Glyph icon={IconX} size={14} />
              </ActionIcon>
            )}
          </div>
        );
      })}
    </div>
    {onNew !== null && (
      <Tooltip label="New terminal on the same instance, Ctrl Shift T">
        <ActionIcon variant="subtle" size={28} aria-label="New terminal on the same instance" onClick={onNew}>
          <Glyph icon={IconPlus} />
        </ActionIcon>
      </Tooltip>
    )}
  </div>
);
