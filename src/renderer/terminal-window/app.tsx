/** The terminal window: tabs, the screen or what happens before it, the countdown bar. */
import { IconLock } from '@tabler/icons-react';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { Grant } from '../../shared/access.ts';
import type { TerminalBridge, TerminalState, TerminalTab } from '../../shared/desktop.ts';
import { grantCan } from '../../shared/lifecycle.ts';
import type { Answer } from '../../shared/refusal.ts';
import type { ExtendOutcome } from '../../shared/views.ts';
import { TimeSpeaker } from '../look/countdown.tsx';
import { Look } from '../look/look.tsx';
import { Glyph, Note, Status } from '../look/pieces.tsx';
import { nameOf } from '../look/words.ts';
import { Bar, extendBySeconds } from './bar.tsx';
import { Find } from './find.tsx';
import { Progress } from './progress.tsx';
import { type Asking, Question } from './question.tsx';
import { createScreens, type Screen, type Screens } from './screens.ts';
import { Tabs } from './tabs.tsx';
import css from './terminal-window.module.css';

const statusOf = (tab: TerminalTab): { tone: 'ok' | 'ask' | 'plain' | 'no'; hollow: boolean; word: string } => {
  switch (tab.phase) {
    case 'live':
      return { tone: 'ok', hollow: false, word: 'Connected' };
    case 'reconnecting':
      return { tone: 'ask', hollow: true, word: `Reconnecting, try ${tab.tries}` };
    case 'granting':
    case 'spreading':
    case 'starting':
      return { tone: 'ask', hollow: true, word: 'Connecting' };
    case 'ended':
      return { tone: 'plain', hollow: true, word: 'Ended' };
    case 'failed':
      return { tone: 'no', hollow: true, word: 'Not connected' };
  }
};

const endedLine = (tab: Extract<TerminalTab, { phase: 'ended' }>, grant: Grant | null): string => {
  // The session may be gone a moment before we hear that its grant is.
  const over = grant !== null && !grantCan('connect', grant.state);
  switch (over ? 'grant-over' : tab.why) {
    case 'grant-over':
      return 'Access ended. Nothing after this line was sent or received.';
    case 'shell-exited':
      return `The shell ended${tab.exitCode === null ? '' : ` with code ${tab.exitCode}`}. Your access goes on until its end.`;
    case 'closed':
      return 'The session was ended from here.';
    case 'connection':
      return 'The connection was lost and could not be resumed. Your access goes on until its end.';
  }
};

/** The element a screen is shown in; it fits anew whenever its size changes, at once. */
const ScreenFrame = ({ screen, label }: { screen: Screen; label: string }) => {
  const element = useRef<HTMLElement>(null);
  // With the commit that shows it, not after it is painted: a key pressed in between would go nowhere.
  useLayoutEffect(() => {
    const frame = element.current;
    if (frame === null) return undefined;
    screen.show(frame);
    screen.terminal.focus();
    const observer = new ResizeObserver(() => screen.fit());
    observer.observe(frame);
    return () => observer.disconnect();
  }, [screen]);
  return <section ref={element} className={css['screen']} aria-label={label} />;
};

const Pane = ({
  tab,
  grant,
  state,
  screens,
  active,
}: {
  tab: TerminalTab;
  grant: Grant | null;
  state: TerminalState;
  screens: Screens;
  active: boolean;
}) => {
  const screen = screens.of(tab.id);
  const over = tab.phase === 'ended' || tab.phase === 'failed';
  useEffect(() => {
    if (over) screen.freeze();
  }, [over, screen]);
  const before = tab.phase === 'granting' || tab.phase === 'spreading' || tab.phase === 'starting';
  return (
    <div
      id={`screen-${tab.id}`}
      role="tabpanel"
      aria-labelledby={`tab-${tab.id}`}
      className={css['pane']}
      hidden={!active}
    >
      {before ? (
        <Progress tab={tab} grant={grant} clock={state.clock} />
      ) : (
        active && <ScreenFrame screen={screen} label={`Terminal on ${nameOf(tab.instance)}`} />
      )}
      {tab.phase === 'ended' && <p className={css['endedLine']}>{endedLine(tab, grant)}</p>}
      {tab.phase === 'failed' && (
        <div className={css['failed']}>
          <Note tone="no" title={tab.what} role="alert">
            {tab.advice}
          </Note>
        </div>
      )}
    </div>
  );
};

const Line = ({ tab }: { tab: TerminalTab }) => {
  const status = statusOf(tab);
  const over = tab.phase === 'ended';
  return (
    <div className={css['line']}>
      <Status tone={status.tone} hollow={status.hollow}>
        {status.word}
      </Status>
      <b>{nameOf(tab.instance)}</b>
      <span className={css['mono']}>{tab.instance.instanceId}</span>
      <span>
        {tab.instance.accountName}, {tab.instance.region}
      </span>
      <span className={css['grow']} />
      {over && (
        <span className={css['readOnly']}>
          <Glyph icon={IconLock} size={14} /> Read only
        </span>
      )}
    </div>
  );
};

const isLive = (tab: TerminalTab): boolean => tab.phase === 'live' || tab.phase === 'reconnecting';

/** The keys that are the window's: everything else goes to the shell (look.md 5). */
const commandOf = (event: KeyboardEvent): 'extend' | 'find' | 'new' | 'close' | 'next' | 'previous' | 'copy' | null => {
  if (event.ctrlKey && event.key === 'Tab') return event.shiftKey ? 'previous' : 'next';
  const ours = event.metaKey ? !event.ctrlKey : event.ctrlKey && event.shiftKey;
  if (!ours || event.altKey) return null;
  const commands = { e: 'extend', f: 'find', t: 'new', w: 'close', c: 'copy' } as const;
  const key = event.key.toLowerCase();
  return key === 'e' || key === 'f' || key === 't' || key === 'w' || key === 'c' ? commands[key] : null;
};

const Terminals = ({ bridge, state }: { bridge: TerminalBridge; state: TerminalState }) => {
  const [asking, setAsking] = useState<Asking | null>(null);
  const [finding, setFinding] = useState(false);
  const [confirming, setConfirming] = useState(false);
  const [extension, setExtension] = useState<Answer<ExtendOutcome> | null>(null);
  const onKey = useRef<(event: KeyboardEvent) => boolean>(() => false);
  const screens = useMemo(
    () =>
      createScreens(bridge, {
        onPasteToAsk: (tabId, paste) => setAsking({ kind: 'paste', tabId, ...paste }),
        onLink: (url) => setAsking({ kind: 'link', url }),
        onKey: (event) => onKey.current(event),
      }),
    [bridge],
  );
  useEffect(() => () => screens.dispose(), [screens]);

  const { tabs } = state;
  useEffect(() => screens.keepOnly(tabs.map((tab) => tab.id)), [screens, tabs]);
  const { scheme, terminalFontSize } = state.settings;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the scheme changes what the tokens say
  useEffect(() => {
    // After Mantine has set the scheme's attribute, the tokens are those of the new one.
    const frame = requestAnimationFrame(() => screens.restyle(terminalFontSize));
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const follow = (): void => void requestAnimationFrame(() => screens.restyle(terminalFontSize));
    dark.addEventListener('change', follow);
    return () => {
      cancelAnimationFrame(frame);
      dark.removeEventListener('change', follow);
    };
  }, [screens, scheme, terminalFontSize]);

  const tab = tabs.find((one) => one.id === state.activeTab) ?? tabs[0] ?? null;
  const grantOf = useCallback(
    (one: TerminalTab) => state.grants.find((grant) => grant.id === one.grantId) ?? null,
    [state.grants],
  );
  const grant = tab === null ? null : grantOf(tab);
  const tabId = tab?.id ?? null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another tab, another question
  useEffect(() => {
    setConfirming(false);
    setFinding(false);
    setExtension(null);
  }, [tabId]);

  const extend = async (): Promise<Answer<ExtendOutcome>> => {
    if (tab === null) throw new Error('there is no tab to extend');
    const answer = await bridge.send.extend({ tabId: tab.id, bySeconds: extendBySeconds });
    setExtension(answer);
    return answer;
  };
  const select = (one: TerminalTab | undefined): void => {
    if (one !== undefined) void bridge.send.selectTab({ tabId: one.id });
  };
  const close = (id: string): void => {
    const one = tabs.find((other) => other.id === id);
    if (one === undefined) return;
    if (isLive(one)) setAsking({ kind: 'close', tabId: id, name: nameOf(one.instance) });
    else void bridge.send.closeTab({ tabId: id });
  };
  const liveGrant = grant !== null && grantCan('end', grant.state);
  const askAgain = (): void => {
    if (tab !== null) void bridge.send.askAgain({ tabId: tab.id });
  };

  const step = (by: number): void => {
    const at = tabs.findIndex((one) => one.id === tabId);
    select(tabs[(at + by + tabs.length) % tabs.length]);
  };
  const run = (command: NonNullable<ReturnType<typeof commandOf>>): void => {
    switch (command) {
      case 'extend':
        if (liveGrant) void extend();
        else askAgain();
        return;
      case 'find':
        setFinding(true);
        return;
      case 'new':
        if (tab !== null && liveGrant) void bridge.send.newTab({ tabId: tab.id });
        return;
      case 'close':
        if (tab !== null) close(tab.id);
        return;
      case 'next':
        step(1);
        return;
      case 'previous':
        step(-1);
        return;
      case 'copy':
        // xterm fills the clipboard from its selection when the page copies; no clipboard permission is needed.
        document.execCommand('copy');
        return;
    }
  };
  onKey.current = (event) => {
    if (asking !== null) return false;
    const command = commandOf(event);
    if (command === null || event.type !== 'keydown') return command !== null;
    event.preventDefault();
    run(command);
    return true;
  };
  // The keys of the window work wherever the focus is; what a terminal has taken already comes here prevented.
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (!event.defaultPrevented) onKey.current(event);
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);
  const answer = (yes: boolean): void => {
    setAsking(null);
    if (asking !== null && yes) {
      if (asking.kind === 'paste') screens.of(asking.tabId).paste(asking.text);
      if (asking.kind === 'link') void bridge.send.openLink({ url: asking.url });
      if (asking.kind === 'close') void bridge.send.closeTab({ tabId: asking.tabId });
    }
    if (tabId !== null) screens.of(tabId).terminal.focus();
  };

  if (tab === null) {
    return (
      <main className={css['none']}>
        <p>No terminal is open. Connect from My access or from the tray.</p>
      </main>
    );
  }
  return (
    <main className={css['window']}>
      <h1 className={css['hidden']}>Terminals</h1>
      <Tabs
        tabs={tabs}
        active={tab.id}
        grantOf={grantOf}
        clock={state.clock}
        onSelect={(id) => select(tabs.find((one) => one.id === id))}
        onClose={close}
        onNew={liveGrant ? () => run('new') : null}
      />
      <Line tab={tab} />
      <div className={css['panes']}>
        {tabs.map((one) => (
          <Pane
            key={one.id}
            tab={one}
            grant={grantOf(one)}
            state={state}
            screens={screens}
            active={one.id === tab.id}
          />
        ))}
        {finding && <Find screen={screens.of(tab.id)} onClose={() => setFinding(false)} />}
      </div>
      {grant !== null && (
        <Bar
          grant={grant}
          clock={state.clock}
          backend={state.backend}
          confirming={confirming}
          onConfirming={(wanted) => {
            setConfirming(wanted);
            if (!wanted) screens.of(tab.id).terminal.focus();
          }}
          onExtend={extend}
          onEnd={() => {
            setConfirming(false);
            void bridge.send.end({ tabId: tab.id });
          }}
          onAskAgain={askAgain}
          onSave={() => void bridge.send.saveText({ tabId: tab.id })}
          extension={extension}
        />
      )}
      <TimeSpeaker grants={state.grants} clock={state.clock} meId={null} />
      <Question asking={asking} onAnswer={answer} />
    </main>
  );
};

/** The whole window. `bridge` is what the preload exposes. */
export const App = ({ bridge }: { bridge: TerminalBridge }) => {
  const [state, setState] = useState<TerminalState | null>(null);
  useEffect(() => bridge.onState(setState), [bridge]);
  return (
    <Look scheme={state?.settings.scheme ?? 'system'}>
      {state !== null && <Terminals bridge={bridge} state={state} />}
    </Look>
  );
};
