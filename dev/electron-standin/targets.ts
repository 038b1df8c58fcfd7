/**
 * Pages of Chromium: those we make, and those that appear by themselves (window.open, links with a target), which are
 * closed before they load anything. Windows of the application never open others here, whatever their handler says.
 */
import type { Chromium, Facts } from './chromium.ts';
import { factsAt, isFacts, textAt } from './chromium.ts';

type Watch = {
  /** Session of each page that has been attached, by target. */
  sessions: Map<string, string>;
  ours: Set<string>;
  /** Pages for a person (`shell.openExternal`): they and what they open are left alone. */
  outside: Set<string>;
  pending: number;
  undecided: Array<() => void>;
  waiting: Map<string, (session: string) => void>;
  /** With a display: the page that Chromium started with. It is the tray window, and it opens the other windows without tabs. */
  launcher: string | null;
  /** Takes the next page that appears, while the launcher is opening one. */
  claim: ((targetId: string) => void) | null;
  /** Windows are opened one after the other, so that each finds its page. */
  turn: Promise<unknown>;
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

type Size = { width: number; height: number };

/** Puts a window to its place on the display; where it cannot be moved it stays. */
const place = async (
  chromium: Chromium,
  targetId: string,
  bounds: Size & { left: number; top: number },
): Promise<void> => {
  const { windowId } = await chromium.send('', 'Browser.getWindowForTarget', { targetId });
  await chromium.send('', 'Browser.setWindowBounds', { windowId, bounds });
};

/** The page that Chromium opens by itself on a display; null when there is none within two seconds. */
const firstPage = async (chromium: Chromium): Promise<string | null> => {
  for (let tries = 0; tries < 40; tries += 1) {
    const { targetInfos } = await chromium.send('', 'Target.getTargets');
    const pages = Array.isArray(targetInfos) ? targetInfos.filter(isFacts) : [];
    const page = pages.find((target) => textAt(target, 'type') === 'page');
    if (page !== undefined) return textAt(page, 'targetId');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return null;
};

const begin = async (chromium: Chromium): Promise<Watch> => {
  const watch: Watch = {
    sessions: new Map(),
    ours: new Set(),
    outside: new Set(),
    pending: 0,
    undecided: [],
    waiting: new Map(),
    launcher: null,
    claim: null,
    turn: Promise.resolve(),
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
    if (watch.claim !== null && !watch.ours.has(targetId)) {
      watch.ours.add(targetId);
      watch.claim(targetId);
      watch.claim = null;
    }
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
  const started = chromium.headed ? await firstPage(chromium) : null;
  if (started !== null) watch.ours.add(started);
  chromium.listen('', 'Target.targetDestroyed', (params) => {
    if (textAt(params, 'targetId') === started) watch.launcher = null;
  });
  await chromium.send('', 'Target.setDiscoverTargets', { discover: true });
  await chromium.send('', 'Target.setAutoAttach', {
    autoAttach: true,
    waitForDebuggerOnStart: true,
    flatten: true,
    filter: [{ type: 'page' }, { exclude: true }],
  });
  if (started !== null) {
    watch.launcher = watch.sessions.get(started) ?? null;
    await place(chromium, started, { left: 10, top: 40, width: 380, height: 640 });
  }
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

/** A window without tabs and address field, opened by the launcher. */
const openPopup = async (chromium: Chromium, watch: Watch, { width, height }: Size): Promise<string> => {
  const appeared = new Promise<string>((resolve) => {
    watch.claim = resolve;
  });
  const expression = `void window.open('about:blank', '_blank', 'popup,noopener,width=${width},height=${height}')`;
  await chromium.send(watch.launcher ?? '', 'Runtime.evaluate', { expression, userGesture: true });
  const targetId = await appeared;
  await place(chromium, targetId, { left: 400, top: 40, width, height });
  return targetId;
};

const newPage = async (chromium: Chromium, watch: Watch, size: Size): Promise<string> => {
  if (watch.launcher !== null) return openPopup(chromium, watch, size);
  return (await create(chromium, { url: 'about:blank', newWindow: true, ...size }, 'ours')).targetId;
};

/** A blank page in a window of its own, attached. Resolves before anything is loaded into it. */
export const createTarget = async (
  chromium: Chromium,
  { width, height }: Size,
): Promise<{ targetId: string; session: string }> => {
  const watch = await watchOf(chromium);
  const made = watch.turn.then(() => newPage(chromium, watch, { width, height }));
  // The next one waits for this one, however it ends.
  watch.turn = made.catch(() => undefined);
  const targetId = await made;
  const session =
    watch.sessions.get(targetId) ?? (await new Promise<string>((resolve) => watch.waiting.set(targetId, resolve)));
  watch.waiting.delete(targetId);
  await chromium.send(session, 'Runtime.runIfWaitingForDebugger');
  return { targetId, session };
};

/** Session of the page that Chromium started with on a display; null without one. */
export const launcherOf = async (chromium: Chromium): Promise<string | null> => (await watchOf(chromium)).launcher;

/** An ordinary tab for a person, e.g. the sign-in page in the "system browser". */
export const openOutside = async (chromium: Chromium, url: string): Promise<void> => {
  await create(chromium, { url, newWindow: true }, 'outside');
};
