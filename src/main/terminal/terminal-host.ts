/**
 * The terminals of the app: each is a grant, an instance, an SSM session and a program on a PTY. A tab exists at once; what happens
 * before the prompt is told as it happens. The app closes its own terminals at the end of a grant: the third lock (promise 3).
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, Grant, Instance } from '../../shared/access.ts';
import type { TerminalPhase, TerminalTab } from '../../shared/desktop.ts';
import { grantCan } from '../../shared/lifecycle.ts';
import { Refusal } from '../../shared/refusal.ts';
import {
  type LinkFromClient,
  type SessionEnd,
  type SessionLaunch,
  sessionExitCodes,
  sessionVariable,
} from '../../shared/session-launch.ts';
import { createPersonalRole, type StartedSession } from '../aws/personal-role.ts';
import { processEnvironment } from '../config.ts';
import { type TerminalHost, type TerminalHostDeps, Unreachable } from '../ports.ts';
import { checkedPlugin, pluginCommand } from './official-plugin.ts';
import { openPty, type Pty } from './pty.ts';
import { openSessionLink, type SessionLink } from './session-link.ts';
import { createSessionTelling } from './session-telling.ts';

/** How long IAM may take before it is called a failure, and how often we look meanwhile (aws-facts 5, propagation procedure). */
const spreadingPatienceMs = 60_000;
const spreadingLooksMs = [250, 500, 750, 1000, 1000, 2000, 3000, 5000];
const grantPatienceMs = 90_000;
const grantLookMs = 100;
/** How long the end of a session at AWS is waited for before its program is ended all the same. */
const terminateWithinMs = 3_000;
/** Kept output of a tab, characters: about 10,000 lines of 200. */
const keptCharacters = 2_000_000;
const firstSize = { cols: 80, rows: 24 };

const timers = {
  after(ms: number, run: () => void) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

type Tab = {
  id: string;
  grantId: string;
  instance: Instance;
  connection: Connection;
  phase: TerminalPhase;
  size: { cols: number; rows: number };
  pty: Pty | null;
  link: SessionLink | null;
  session: StartedSession | null;
  /** How the session client says that it ended; wins over its exit code. */
  end: SessionEnd | null;
  kept: string[];
  keptLength: number;
  /** Why the app itself ended it; wins over what the program says when it goes. */
  endedBy: 'grant-over' | 'closed' | null;
  /** Its ending that is under way. */
  ending: Promise<void> | null;
  gone: boolean;
};

/** The SSM endpoint of an override in force, from its words (`AWS_ENDPOINT_URL = ...`); null towards AWS. */
const ssmEndpointOf = (notAws: readonly string[]): string | null => {
  const value = (name: string): string | null =>
    notAws.find((line) => line.startsWith(`${name} = `))?.slice(name.length + 3) ?? null;
  return value('AWS_ENDPOINT_URL_SSM') ?? value('AWS_ENDPOINT_URL');
};

const notSpread = (): Refusal =>
  new Refusal('not_allowed', {
    message:
      'IAM has not let the access through within 60 s. A service control policy or the permissions boundary may stand in the way.',
  });

/** What a child may inherit: nothing that is secret, nothing that changes what runs. */
const plainEnvironment = (): Record<string, string> => {
  const names = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TMPDIR', 'SystemRoot', 'TEMP', 'USERPROFILE'];
  const ours = processEnvironment();
  return Object.fromEntries(names.flatMap((name) => (ours[name] === undefined ? [] : [[name, ours[name]]])));
};

const failureWords = (error: unknown): { what: string; advice: string } => {
  if (error instanceof Refusal)
    return { what: error.detail.message ?? error.answer().advice, advice: error.answer().advice };
  if (error instanceof Unreachable) {
    return {
      what: `${error.what} cannot be reached.`,
      advice: 'Check the network and connect again. Your access ends on time either way.',
    };
  }
  return {
    what: 'The session could not be started.',
    advice: 'Connect again; if it stays so, the log of Curfew tells more.',
  };
};

export const createTerminalHost = (deps: TerminalHostDeps & { openPty?: typeof openPty }): TerminalHost => {
  const tabs = new Map<string, Tab>();
  const changeListeners = new Set<() => void>();
  const outputListeners = new Set<(tabId: string, chunk: string) => void>();
  const role = createPersonalRole(deps);
  const ssmEndpoint = ssmEndpointOf(deps.notAws);

  const changed = (): void => {
    for (const listener of changeListeners) listener();
  };
  const enter = (tab: Tab, phase: TerminalPhase): void => {
    if (tab.gone) return;
    tab.phase = phase;
    changed();
  };
  const isOver = (tab: Tab): boolean => tab.gone || tab.endedBy !== null || tab.phase.phase === 'failed';
  const at = (): string => deps.now().toISOString();

  const output = (tab: Tab, text: string): void => {
    tab.kept.push(text);
    tab.keptLength += text.length;
    while (tab.keptLength > keptCharacters && tab.kept.length > 1) tab.keptLength -= tab.kept.shift()?.length ?? 0;
    for (const listener of outputListeners) listener(tab.id, text);
  };

  /** The backend writes the access policy first; we are told by the grant's state. */
  const untilActive = async (tab: Tab): Promise<void> => {
    enter(tab, { phase: 'granting', since: at() });
    for (const until = Date.now() + grantPatienceMs; !isOver(tab); await sleep(grantLookMs)) {
      const grant = deps.grant(tab.grantId);
      if (grant?.state === 'active') return;
      if (grant?.state === 'failed') throw new Refusal('wrong_state', { message: grant.advice });
      if (grant !== null && !grantCan('connect', grant.state)) {
        throw new Refusal('wrong_state', { message: 'The access ended before the terminal opened.' });
      }
      if (Date.now() > until) {
        throw new Refusal('busy', { message: 'The backend has not written the access policy within 90 s.' });
      }
    }
  };

  const measure = (tab: Tab, sinceMs: number, tries: number): void => {
    // A tab that found it spread at the first look measured nothing.
    if (tries < 2) return;
    const ms = Math.round(performance.now() - sinceMs);
    deps.backend
      .spreadingMeasured({ accountId: tab.connection.accountId, ms })
      .catch((error: unknown) => deps.log('warn', 'spreading time was not told', { error }));
  };

  const untilStarted = async (tab: Tab): Promise<StartedSession | null> => {
    const since = at();
    const sinceMs = performance.now();
    const usualMs = deps.usualSpreadingMs(tab.connection.accountId);
    for (let tries = 0; !isOver(tab); tries += 1) {
      enter(tab, { phase: 'spreading', since, tries, usualMs });
      const look = await role.look(tab.connection, tab.instance);
      if (look === 'not-connected') {
        throw new Refusal('wrong_state', {
          message: `${tab.instance.instanceId} does not answer: its agent is offline.`,
        });
      }
      if (look === 'ready') {
        measure(tab, sinceMs, tries + 1);
        enter(tab, { phase: 'starting', since: at() });
        const started = await role.start(tab.connection, tab.instance);
        if (started !== null) return started;
      }
      if (performance.now() - sinceMs > spreadingPatienceMs) {
        throw notSpread();
      }
      await sleep(spreadingLooksMs[Math.min(tries, spreadingLooksMs.length - 1)] ?? 1000);
    }
    return null;
  };

  const onLine = (
    tab: Tab,
    line: Exclude<LinkFromClient, { type: 'hello' } | { type: 'credentials-wanted' }>,
  ): void => {
    const sessionId = tab.session?.sessionId ?? '';
    if (line.type === 'ended') {
      tab.end = line.end;
      // What is left must be read now: node-pty throws unread output away soon after the exit.
      tab.pty?.drain();
    }
    if (isOver(tab)) return;
    if (line.type === 'live') enter(tab, { phase: 'live', sessionId, since: at() });
    if (line.type === 'reconnecting') enter(tab, { phase: 'reconnecting', sessionId, since: at(), tries: line.tries });
  };

  const builtIn = async (tab: Tab, session: StartedSession) => {
    tab.link = await openSessionLink({
      onLine: (line) => onLine(tab, line),
      onProblem: (what) => deps.log('warn', what, { tabId: tab.id }),
      credentials: async () => {
        if (isOver(tab)) return null;
        const { accessKeyId, secretAccessKey, sessionToken } = await role.credentials(
          tab.connection,
          tab.instance.region,
        );
        return { accessKeyId, secretAccessKey, sessionToken };
      },
    });
    const launch: SessionLaunch = {
      ...session,
      region: tab.instance.region,
      target: tab.instance.instanceId,
      link: { path: tab.link.path, word: tab.link.word },
      loopbackAllowed: ssmEndpoint !== null,
      ...(ssmEndpoint === null ? {} : { ssmEndpoint }),
    };
    const { command, args, env } = deps.sessionClient;
    return { command, args, env: { ...env, [sessionVariable]: JSON.stringify(launch) } };
  };

  const official = async (tab: Tab, session: StartedSession, path: string | null) => {
    const credentials = await role.credentials(tab.connection, tab.instance.region);
    const { region, instanceId: target } = tab.instance;
    return pluginCommand({ path: checkedPlugin(path), session, region, target, credentials, ssmEndpoint });
  };

  const exitPhase = (tab: Tab, exitCode: number): TerminalPhase => {
    if (tab.endedBy !== null) return { phase: 'ended', at: at(), exitCode: null, why: tab.endedBy };
    const grant = deps.grant(tab.grantId);
    if (grant !== null && !grantCan('connect', grant.state)) {
      return { phase: 'ended', at: at(), exitCode: null, why: 'grant-over' };
    }
    const code = tab.end === null ? exitCode : sessionExitCodes[tab.end];
    const left = code === sessionExitCodes['shell-exited'] || code === sessionExitCodes.terminated;
    return { phase: 'ended', at: at(), exitCode: left ? null : code, why: left ? 'shell-exited' : 'connection' };
  };

  /** The grant's end as the snapshot has it: what the app's own timer goes by (`endings.ts`). */
  const closesAtOf = (grantId: string): string | null => {
    const grant = deps.grant(grantId);
    return grant?.state === 'granting' || grant?.state === 'active' ? grant.endsAt : null;
  };
  const telling = createSessionTelling({ ...deps, closesAt: closesAtOf, timers });

  /** @returns true when the session must be ended: over meanwhile, or its data channel was refused (an older policy let the start pass). */
  const run = async (tab: Tab, session: StartedSession): Promise<boolean> => {
    const { sessionId } = session;
    const { accountId, region, instanceId } = tab.instance;
    telling.started({ sessionId, grantId: tab.grantId, instance: { accountId, region, instanceId } });
    const chosen = deps.settings();
    const isOfficial = chosen.sessionClient === 'official';
    const { command, args, env } = isOfficial
      ? await official(tab, session, chosen.officialPluginPath)
      : await builtIn(tab, session);
    // Its end may have come meanwhile: a program that starts now would outlive it.
    if (isOver(tab)) return true;
    tab.pty = (deps.openPty ?? openPty)({
      command,
      args,
      env: { ...plainEnvironment(), ...env, TERM: 'xterm-256color' },
      size: tab.size,
      onOutput: (text) => output(tab, text),
    });
    // The official plugin says nothing out of band: it is live as far as we know.
    if (isOfficial) enter(tab, { phase: 'live', sessionId, since: at() });
    const exitCode = await tab.pty.exited;
    if (tab.end === 'refused' && tab.phase.phase === 'starting' && !isOver(tab)) return true;
    enter(tab, exitPhase(tab, exitCode));
    return false;
  };

  const terminate = async (tab: Tab, session: StartedSession): Promise<void> => {
    try {
      await role.terminate(tab.connection, tab.instance.region, session.sessionId);
    } catch (error) {
      // After the end of a grant we may not any more; the backend terminates it (promise 3).
      deps.log('info', 'a session was left to the backend to end', { sessionId: session.sessionId, error });
    }
  };

  /** One try from spreading to exit. @returns as `run`: true when it has to be tried again. */
  const attempt = async (tab: Tab): Promise<boolean> => {
    const session = await untilStarted(tab);
    if (session === null) return false;
    tab.session = session;
    tab.end = null;
    let leave = true;
    try {
      // Closed while StartSession was on its way: it must not live on unseen.
      leave = isOver(tab) || (await run(tab, session));
    } finally {
      tab.link?.close();
      tab.link = null;
      telling.ended(session.sessionId);
      if (leave) await terminate(tab, session);
    }
    return leave;
  };

  const live = async (tab: Tab): Promise<void> => {
    try {
      await untilActive(tab);
      const sinceMs = performance.now();
      // Asked again within the spreading of an ending, the old access policy may let StartSession pass and then be gone.
      while (!isOver(tab) && (await attempt(tab))) {
        if (performance.now() - sinceMs > spreadingPatienceMs) throw notSpread();
      }
    } catch (error) {
      if (isOver(tab)) return;
      if (!(error instanceof Refusal)) deps.log('error', 'a terminal did not open', { tabId: tab.id, error });
      enter(tab, { phase: 'failed', at: at(), ...failureWords(error) });
    }
  };

  const endOnce = async (tab: Tab, why: 'grant-over' | 'closed'): Promise<void> => {
    const { session } = tab;
    const ends = session !== null && why === 'closed' && tab.endedBy === null;
    tab.endedBy ??= why;
    // What hangs on the network keeps no terminal open.
    if (ends) await Promise.race([terminate(tab, session), sleep(terminateWithinMs, null, { ref: false })]);
    await tab.pty?.kill();
    enter(tab, { phase: 'ended', at: at(), exitCode: null, why: tab.endedBy });
  };
  /** One at a time. Should it fail, the tab is not ended, and whoever asks next (the app's clock each second) tries again. */
  const end = async (tab: Tab, why: 'grant-over' | 'closed'): Promise<void> => {
    if (tab.phase.phase === 'ended') return;
    tab.ending ??= endOnce(tab, why).finally(() => {
      tab.ending = null;
    });
    await tab.ending;
  };
  const endQuietly = (tab: Tab, why: 'grant-over' | 'closed'): void => {
    end(tab, why).catch((error: unknown) =>
      deps.log('error', 'a terminal did not end cleanly', { tabId: tab.id, error }),
    );
  };

  return {
    tabs: () =>
      [...tabs.values()].map(({ id, grantId, instance, phase }): TerminalTab => ({ id, grantId, instance, ...phase })),
    onChange: (listener) => {
      changeListeners.add(listener);
      return () => changeListeners.delete(listener);
    },
    onOutput: (listener) => {
      outputListeners.add(listener);
      return () => outputListeners.delete(listener);
    },
    open: (grant: Grant, connection, instance) => {
      const tab: Tab = {
        id: randomUUID(),
        grantId: grant.id,
        instance,
        connection,
        phase: { phase: 'granting', since: at() },
        size: firstSize,
        pty: null,
        link: null,
        session: null,
        end: null,
        kept: [],
        keptLength: 0,
        endedBy: null,
        ending: null,
        gone: false,
      };
      tabs.set(tab.id, tab);
      changed();
      void live(tab);
      return Promise.resolve(tab.id);
    },
    keystrokes: (tabId, data) => tabs.get(tabId)?.pty?.write(data),
    resize: (tabId, cols, rows) => {
      const tab = tabs.get(tabId);
      if (tab === undefined) return;
      tab.size = { cols, rows };
      tab.pty?.resize(cols, rows);
    },
    acknowledge: (tabId, characters) => tabs.get(tabId)?.pty?.acknowledge(characters),
    closeTab: (tabId) => {
      const tab = tabs.get(tabId);
      if (tab === undefined) return;
      endQuietly(tab, 'closed');
      tab.gone = true;
      tabs.delete(tabId);
      changed();
    },
    tellClosing: telling.again,
    endAllOf: (grantId, why) => {
      for (const tab of tabs.values()) if (tab.grantId === grantId) endQuietly(tab, why);
    },
    scrollback: (tabId) => tabs.get(tabId)?.kept.join('') ?? '',
    close: async () => {
      await Promise.all([...tabs.values()].map((tab) => end(tab, 'closed')));
    },
  };
};
