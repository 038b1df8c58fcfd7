/**
 * Pages of Chromium: those we make, and those that appear by themselves (window.open, links with a target), which are
 * closed before they load anything. Windows of the application never open others here, whatever their handler says.
 */
import type { Chromium, Facts } from './chromium.ts';
import { factsAt, textAt } from './chromium.ts';

type Watch = {
  /** Session of each page that has been attached, by target. */
  sessions: Map<string, string>;
  ours: Set<string>;
  /** Pages for a person (`shell.openExternal`): they and what they open are left alone. */
  outside: Set<string>;
  pending: number;
  undecided: Array<() => void>;
  waiting: Map<string, (session: string) => void>;
};

const watches = new WeakMap<Chromium, Promise<Watch>>();

/**
 * Closes a page before it loads anything. It shares its opener's thread, which every debugger holds until it resumes it: closing it
 * before a test's own debugger has done so would leave the opener standing for ever, so it must answer once first.
 */
const closeUnborn = async (chromium: Chromium, session: string, targetId: string): Promise<void> => {
  try {
    await chromium.send(session, 'Fetch.enable', { patterns: [{ urlPattern: '*' }] });
    await chromium.send(session, 'Runtime.runIfWaitingForDebugger');
    await chromium.send(session, 'Runtime.evaluate', { expression: '1' });
    await chromium.send('', 'Target.closeTarget', { targetId });
  } catch {
    // It has gone by itself.
  }
};

const begin = async (chromium: Chromium): Promise<Watch> => {
  const watch: Watch = {
    sessions: new Map(),
    ours: new Set(),
    outside: new Set(),
    pending: 0,
    undecided: [],
    waiting: new Map(),
  };
  const resume = (session: string) => chromium.send(session, 'Runtime.runIfWaitingForDebugger').catch(() => undefined);
  const decide = (target: Facts, session: string): void => {
    const targetId = textAt(target, 'targetId');
    const openerId = textAt(target, 'openerId');
    if (watch.ours.has(targetId)) return;
    if (watch.outside.has(targetId) || watch.outside.has(openerId)) {
      watch.outside.add(targetId);
      void resume(session);
      return;
    }
    void closeUnborn(chromium, session, targetId);
  };
  chromium.listen('', 'Target.attachedToTarget', (params) => {
    const session = textAt(params, 'sessionId');
    const target = factsAt(params, 'targetInfo');
    const targetId = textAt(target, 'targetId');
    watch.sessions.set(targetId, session);
    watch.waiting.get(targetId)?.(session);
    // While one of ours is being made its id is not known yet: decide when it is.
    if (watch.pending > 0) watch.undecided.push(() => decide(target, session));
    else decide(target, session);
  });
  chromium.listen('', 'Target.targetDestroyed', (params) => {
    const targetId = textAt(params, 'targetId');
    watch.sessions.delete(targetId);
    watch.ours.delete(targetId);
  });
  await chromium.send('', 'Target.setDiscoverTargets', { discover: true });
  await chromium.send('', 'Target.setAutoAttach', {
    autoAttach: true,
    waitForDebuggerOnStart: true,
    flatten: true,
    filter: [{ type: 'page' }, { exclude: true }],
  });
  return watch;
};

const watchOf = (chromium: Chromium): Promise<Watch> => {
  const known = watches.get(chromium);
  if (known !== undefined) return known;
  const begun = begin(chromium);
  watches.set(chromium, begun);
  return begun;
};

const create = async (chromium: Chromium, params: Facts, kind: 'ours' | 'outside') => {
  const watch = await watchOf(chromium);
  watch.pending += 1;
  try {
    const targetId = textAt(await chromium.send('', 'Target.createTarget', params), 'targetId');
    watch[kind].add(targetId);
    return { watch, targetId };
  } finally {
    watch.pending -= 1;
    if (watch.pending === 0) for (const decide of watch.undecided.splice(0)) decide();
  }
};

/** A blank page in a window of its own, attached. Resolves before anything is loaded into it. */
export const createTarget = async (
  chromium: Chromium,
  size: { width: number; height: number },
): Promise<{ targetId: string; session: string }> => {
  const params = { url: 'about:blank', newWindow: true, width: size.width, height: size.height };
  const { watch, targetId } = await create(chromium, params, 'ours');
  const session =
    watch.sessions.get(targetId) ?? (await new Promise<string>((resolve) => watch.waiting.set(targetId, resolve)));
  watch.waiting.delete(targetId);
  await chromium.send(session, 'Runtime.runIfWaitingForDebugger');
  return { targetId, session };
};

/** An ordinary tab for a person, e.g. the sign-in page in the "system browser". */
export const openOutside = async (chromium: Chromium, url: string): Promise<void> => {
  await create(chromium, { url, newWindow: true }, 'outside');
};
