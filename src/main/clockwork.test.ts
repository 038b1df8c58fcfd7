import { describe, expect, it } from 'vitest';
import type { AppState, TerminalTab } from '../shared/desktop.ts';
import { Refusal } from '../shared/refusal.ts';
import type { Overview } from '../shared/views.ts';
import { createState, terminalStateOf } from './app-state.ts';
import { createEndings } from './endings.ts';
import { signInNotice, warningsDue } from './own-notices.ts';
import { type BackendClient, Unreachable } from './ports.ts';
import {
  active,
  endingState,
  grant,
  inMs,
  instance,
  minutes,
  mira,
  noon,
  overview,
  snapshot,
} from './testing/snapshots.ts';
import { createWatch } from './watch.ts';

const tab = (grantId: string, phase: 'live' | 'ended'): TerminalTab => ({
  id: `tab-of-${grantId}`,
  grantId,
  instance: instance('payments-api-1'),
  ...(phase === 'live'
    ? { phase, sessionId: 's', since: noon.toISOString() }
    : { phase, at: noon.toISOString(), exitCode: 0, why: 'shell-exited' }),
});

describe('warnings before the end', () => {
  const at = (msBeforeEnd: number, given: Set<string>, durationSeconds = 7200) =>
    warningsDue(
      [grant('g', ['payments-api-1'], active(0), durationSeconds)],
      [tab('g', 'live')],
      given,
      new Date(noon.getTime() - msBeforeEnd),
    );

  it('come once each at 10, 5 and 1 minutes, exactly inclusive', () => {
    const given = new Set<string>();
    const titles = [];
    for (let left = 12 * minutes; left > -5000; left -= 500) titles.push(...at(left, given).map(({ title }) => title));
    expect(titles).toEqual([
      '10 min left on payments-api-1',
      '5 min left on payments-api-1',
      '1 min left on payments-api-1',
    ]);
    expect(at(10 * minutes + 1, new Set())).toEqual([]);
    expect(at(10 * minutes, new Set())).toHaveLength(1);
  });

  it('say what is really left when they were slept through, and only the nearest', () => {
    const given = new Set<string>();
    expect(at(3.5 * minutes, given).map(({ title }) => title)).toEqual(['3 min left on payments-api-1']);
    expect(at(3.4 * minutes, given)).toEqual([]);
    expect(at(1 * minutes, given)).toHaveLength(1);
  });

  it('are left out where the grant is not longer than them by a half', () => {
    expect(at(10 * minutes, new Set(), 14 * 60)).toEqual([]);
    expect(at(10 * minutes, new Set(), 15 * 60)).toHaveLength(1);
  });

  it('are due anew after an extension', () => {
    const given = new Set<string>();
    const now = new Date(noon.getTime());
    expect(warningsDue([grant('g', ['x'], active(5 * minutes))], [], given, now)).toHaveLength(1);
    expect(warningsDue([grant('g', ['x'], active(35 * minutes))], [], given, now)).toEqual([]);
    const later = new Date(noon.getTime() + 30 * minutes);
    expect(warningsDue([grant('g', ['x'], active(35 * minutes))], [], given, later)).toHaveLength(1);
  });

  it('lead to the grant and count the open terminals', () => {
    const [notice] = at(5 * minutes, new Set());
    expect(notice).toMatchObject({ kind: 'ending-soon', target: { kind: 'grant', id: 'g' } });
    expect(notice?.body).toMatch(/^Ends \d\d:\d\d\. One terminal is open\.$/);
  });
});

describe('the notice that a sign-in is needed', () => {
  const again = { state: 'again', person: mira, why: 'expired' } as const;
  const signedIn = { state: 'signed-in', person: mira, until: inMs(1) } as const;
  it('comes once, by the name of the organisation, and says what goes on', () => {
    const said = {
      organisation: 'Harborline',
      tabs: [tab('g', 'live'), tab('h', 'live'), tab('i', 'ended')],
      now: noon,
    };
    expect(signInNotice({ before: signedIn, after: again, ...said })).toMatchObject({
      title: 'Sign in again to Harborline',
      body: '2 terminals go on and end on time.',
    });
    expect(signInNotice({ before: again, after: again, ...said })).toBeNull();
    expect(signInNotice({ before: again, after: signedIn, ...said })).toBeNull();
  });
});

describe('the third lock', () => {
  const grantsToClose = (state: AppState, now: Date) => createEndings(() => 0).toClose(state, now);
  const state = (msLeft: number) =>
    snapshot({ terminals: [tab('g', 'live')], overview: overview({ grants: [grant('g', ['x'], active(msLeft))] }) });
  it('TERM-10 closes terminals at the end by the backend clock, reachable or not', () => {
    expect(grantsToClose(state(1), noon)).toEqual([]);
    expect(grantsToClose(state(0), noon)).toEqual(['g']);
    const ahead = { ...state(1000), clock: { offsetMs: 1000, checkedAt: noon.toISOString() } };
    expect(grantsToClose(ahead, noon)).toEqual(['g']);
    const away = { ...state(0), backend: { state: 'unreachable', lastOkAt: null, what: 'x' } as const };
    expect(grantsToClose(away, noon)).toEqual(['g']);
  });

  /** A laptop that fetches the overview once, an hour before the end, and hears nothing ever after. */
  const laptop = async (skewMs: number) => {
    const trueMs = { wall: noon.getTime(), mono: 5_000_000 };
    let setBy = skewMs;
    const holder = createState(snapshot({ terminals: [tab('g', 'live')], overview: null, clock: null }), (run) =>
      run(),
    );
    const endings = createEndings(() => trueMs.mono);
    const now = () => new Date(trueMs.wall + setBy);
    let answered = false;
    const watch = createWatch({
      backend: {
        overview: async () => {
          if (answered) throw new Unreachable('backend x');
          answered = true;
          const grants = [grant('g', ['x'], active(60 * minutes))];
          return overview({ serverTime: new Date(trueMs.wall).toISOString(), grants });
        },
        info: () => Promise.reject(new Unreachable('backend x')),
        subscribe: () => () => undefined,
      },
      state: holder,
      now,
      timers: { after: () => () => undefined },
      log: () => undefined,
      onOverview: () => endings.heard(holder.get(), now()),
      onTokenRefused: () => undefined,
    });
    watch.start();
    await watch.refresh();
    expect(holder.get().backend.state).toBe('unreachable');
    return {
      /** Time goes by; while it sleeps, the clock that nobody can set stands still. */
      pass: (ms: number, asleep = false) => {
        trueMs.wall += ms;
        if (!asleep) trueMs.mono += ms;
      },
      setClock: (byMs: number) => {
        setBy += byMs;
      },
      closes: () => endings.toClose(holder.get(), now()),
    };
  };
  const twoHours = 120 * minutes;

  it.each([-twoHours, 0, twoHours])(
    'TERM-10 with a clock that is %d ms off it closes them at the end, not before and not after, with the network cut',
    async (skewMs) => {
      const one = await laptop(skewMs);
      one.pass(60 * minutes - 1);
      expect(one.closes()).toEqual([]);
      one.pass(1);
      expect(one.closes()).toEqual(['g']);
    },
  );

  it('TERM-10 a clock that is set back meanwhile buys no time, nor does sleeping over the end', async () => {
    const setBack = await laptop(0);
    setBack.pass(30 * minutes);
    setBack.setClock(-twoHours);
    setBack.pass(30 * minutes - 1);
    expect(setBack.closes()).toEqual([]);
    setBack.pass(1);
    expect(setBack.closes()).toEqual(['g']);
    const sleeper = await laptop(twoHours);
    sleeper.pass(60 * minutes, true);
    expect(sleeper.closes()).toEqual(['g']);
  });

  it('TERM-10 says itself nothing of an end: what a session client says of one ends no grant', () => {
    const state = snapshot({
      terminals: [tab('g', 'ended')],
      overview: overview({ grants: [grant('g', ['x'], active(minutes))] }),
    });
    expect(createEndings(() => 0).toClose(state, noon)).toEqual([]);
    expect(terminalStateOf(state, null, state.overview?.grants ?? []).grants[0]).toMatchObject({
      state: 'active',
      endsAt: inMs(minutes),
    });
  });

  describe('after a sign-out that leaves the grants', () => {
    const left = () => {
      const mono = { ms: 0 };
      const endings = createEndings(() => mono.ms);
      const signedIn = snapshot({
        terminals: [tab('g', 'live')],
        overview: overview({ grants: [grant('g', ['x'], active(60 * minutes)), grant('h', ['y'], active(minutes))] }),
      });
      endings.heard(signedIn, noon);
      return { mono, endings, signedOut: { ...signedIn, signIn: { state: 'signed-out' } as const, overview: null } };
    };
    const at = (ms: number): Date => new Date(noon.getTime() + ms);

    it('TERM-10 closes the terminals that are still open at the end, by either clock', () => {
      const { mono, endings, signedOut } = left();
      expect(endings.toClose(signedOut, at(60 * minutes - 1))).toEqual([]);
      expect(endings.toClose(signedOut, at(60 * minutes))).toEqual(['g']);
      mono.ms = 60 * minutes;
      expect(endings.toClose(signedOut, at(-120 * minutes))).toEqual(['g']);
    });

    it('TERM-10 goes on when somebody else signs in, and forgets with the last terminal', () => {
      const { mono, endings, signedOut } = left();
      mono.ms = 30 * minutes;
      const theirs = { ...signedOut, overview: overview({ grants: [grant('i', ['z'], active(480 * minutes))] }) };
      // This computer's clock was set back by two hours meanwhile, and the backend's is measured anew.
      endings.heard({ ...theirs, clock: { offsetMs: 120 * minutes, checkedAt: inMs(0) } }, at(-90 * minutes));
      expect(endings.grants(theirs).map(({ id }) => id)).toEqual(['i', 'g']);
      mono.ms = 60 * minutes - 1;
      expect(endings.toClose(theirs, at(-90 * minutes))).toEqual([]);
      mono.ms = 60 * minutes;
      expect(endings.toClose(theirs, at(-90 * minutes))).toEqual(['g']);
      const closed = { ...theirs, terminals: [] };
      expect(endings.grants(closed).map(({ id }) => id)).toEqual(['i']);
    });

    it('counts down and warns all the same, of these terminals and of nothing else', () => {
      const { endings, signedOut } = left();
      const grants = endings.grants(signedOut);
      expect(terminalStateOf(signedOut, null, grants).grants).toMatchObject([{ id: 'g', endsAt: inMs(60 * minutes) }]);
      const warned = warningsDue(grants, signedOut.terminals, new Set(), at(55 * minutes));
      expect(warned.map(({ title }) => title)).toEqual(['5 min left on x']);
    });
  });

  it('closes them when somebody ended the grant before, and leaves others and ended ones alone', () => {
    const grants = [grant('g', ['x'], endingState), grant('h', ['y'], active(minutes))];
    const terminals = [tab('g', 'live'), tab('h', 'live')];
    expect(grantsToClose(snapshot({ terminals, overview: overview({ grants }) }), noon)).toEqual(['g']);
    const ended = snapshot({ terminals: [tab('g', 'ended')], overview: overview({ grants }) });
    expect(grantsToClose(ended, noon)).toEqual([]);
  });
});

describe('the snapshot', () => {
  it('tells several changes in one go', () => {
    const waiting: Array<() => void> = [];
    const holder = createState(snapshot(), (run) => waiting.push(run));
    const seen: Array<string | null> = [];
    holder.onChange((state) => seen.push(state.navigation?.id ?? null));
    holder.navigate('access', 'one');
    holder.navigate('access', 'two');
    expect(waiting).toHaveLength(1);
    for (const run of waiting.splice(0)) run();
    expect(seen).toEqual(['two']);
    expect(holder.get().navigation?.seq).toBe(2);
  });

  it('APP-09 gives the terminal window its own grants and nothing else', () => {
    const grants = [grant('g', ['x'], active(minutes)), grant('h', ['y'], active(minutes))];
    const state = snapshot({ terminals: [tab('g', 'live')], overview: overview({ grants }) });
    const narrow = terminalStateOf(state, null, state.overview?.grants ?? []);
    expect(Object.keys(narrow).sort()).toEqual(['activeTab', 'backend', 'clock', 'grants', 'settings', 'tabs']);
    expect(narrow.grants.map(({ id }) => id)).toEqual(['g']);
    expect(Object.keys(narrow.settings).sort()).toEqual(['scheme', 'terminalFontSize']);
  });
});

describe('the watch over the overview', () => {
  /** A backend whose answers a test lays ready, and timers that run when told to. */
  const build = () => {
    const holder = createState(snapshot({ overview: null, backend: { state: 'reaching' }, clock: null }), (run) =>
      run(),
    );
    const answers: Array<Overview | Error> = [];
    const timers: Array<{ ms: number; run: () => void }> = [];
    let nowMs = noon.getTime();
    let calls = 0;
    let refusedTokens = 0;
    const streams: Array<Parameters<BackendClient['subscribe']>[0] & { after: string | null }> = [];
    const watch = createWatch({
      backend: {
        overview: async () => {
          calls += 1;
          nowMs += 100;
          const answer = answers.shift() ?? overview({ serverTime: inMs(2050) });
          if (answer instanceof Error) throw answer;
          return answer;
        },
        info: () => Promise.reject(new Unreachable('backend x')),
        subscribe: (listeners, after) => {
          streams.push({ ...listeners, after });
          return () => undefined;
        },
      },
      state: holder,
      now: () => new Date(nowMs),
      timers: {
        after: (ms, run) => {
          const timer = { ms, run };
          timers.push(timer);
          return () => {
            const index = timers.indexOf(timer);
            if (index >= 0) timers.splice(index, 1);
          };
        },
      },
      log: () => undefined,
      onOverview: () => undefined,
      onTokenRefused: () => {
        refusedTokens += 1;
      },
      random: () => 0.5,
    });
    const settled = async () => {
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    };
    return {
      holder,
      answers,
      timers,
      watch,
      settled,
      calls: () => calls,
      refused: () => refusedTokens,
      change: (id = '1') => streams.at(-1)?.onChange({ topic: 'grants', id: null }, id),
      streams,
      /** The wait before the stream is opened again, ms, and that wait over. */
      listensAgain: () => {
        const timer = timers.splice(0).at(-1);
        timer?.run();
        return timer?.ms;
      },
      pass: (ms: number) => {
        nowMs += ms;
      },
    };
  };

  it('measures the clock between asking and hearing', async () => {
    const { holder, watch, settled } = build();
    watch.start();
    await settled();
    expect(holder.get().clock).toEqual({ offsetMs: 2000, checkedAt: inMs(100) });
    expect(holder.get().backend.state).toBe('ok');
  });

  it('keeps what is known while the backend is away, waits longer each time, and comes back', async () => {
    const { holder, watch, answers, timers, settled } = build();
    watch.start();
    await settled();
    const known = holder.get().overview;
    const waits: number[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      answers.push(new Unreachable('backend x'));
      timers.splice(0).at(-1)?.run();
      await settled();
      waits.push(timers.at(-1)?.ms ?? 0);
    }
    expect(waits).toEqual([1000, 2000, 4000]);
    expect(holder.get().overview).toBe(known);
    expect(holder.get().backend).toEqual({ state: 'unreachable', lastOkAt: inMs(100), what: 'backend x' });
    timers.splice(0).at(-1)?.run();
    await settled();
    expect(holder.get().backend.state).toBe('ok');
  });

  it('fetches once for a burst of changes', async () => {
    const { watch, timers, settled, calls, change } = build();
    watch.start();
    await settled();
    for (let turn = 0; turn < 20; turn += 1) change();
    for (const timer of timers.splice(0).filter(({ ms }) => ms < 1000)) timer.run();
    await settled();
    expect(calls()).toBe(2);
  });

  it('opens the stream again when it is over, later each time, and goes on after the last change that it heard', async () => {
    const { watch, streams, change, listensAgain, settled, pass } = build();
    watch.start();
    await settled();
    expect(streams.map(({ after }) => after)).toEqual([null]);
    change('41');
    change('42');
    const waits = [];
    for (let turn = 0; turn < 3; turn += 1) {
      streams.at(-1)?.onOver();
      waits.push(listensAgain());
    }
    expect(waits).toEqual([1000, 2000, 4000]);
    expect(streams.map(({ after }) => after)).toEqual([null, '42', '42', '42']);
    // One that stood for a while was sound.
    pass(10 * minutes);
    streams.at(-1)?.onOver();
    expect(listensAgain()).toBe(1000);
  });

  it('opens the stream at once with a new token, but does not race a token that is refused again and again', async () => {
    const { watch, streams, timers, settled } = build();
    watch.start();
    await settled();
    watch.start();
    expect(streams).toHaveLength(1);
    streams.at(-1)?.onOver();
    watch.start();
    expect(streams).toHaveLength(2);
    // What an older stream still says is of no account.
    streams[0]?.onOver();
    watch.start();
    expect(streams).toHaveLength(2);
    streams.at(-1)?.onOver();
    watch.start();
    expect(streams).toHaveLength(2);
    expect(timers.at(-1)?.ms).toBe(2000);
  });

  it('opens no stream after stop, and begins afresh at the next sign-in', async () => {
    const { watch, streams, change, timers, settled } = build();
    watch.start();
    await settled();
    change('42');
    streams.at(-1)?.onOver();
    watch.stop();
    for (const timer of timers.splice(0)) timer.run();
    expect(streams).toHaveLength(1);
    watch.start();
    await settled();
    expect(streams.map(({ after }) => after)).toEqual([null, null]);
  });

  it('asks for a new proof when the token is refused, and is quiet after stop', async () => {
    const { watch, answers, settled, refused, timers, calls } = build();
    answers.push(new Refusal('sign_in_needed'));
    watch.start();
    await settled();
    expect(refused()).toBe(1);
    watch.stop();
    for (const timer of timers.splice(0)) timer.run();
    await watch.refresh();
    expect(calls()).toBe(1);
  });
});
