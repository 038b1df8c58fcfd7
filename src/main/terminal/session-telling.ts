/**
 * Tells the backend of this app's sessions, and when the app's own timer closes each (the third lock): again and again until it has
 * heard, or the session is over. One that nobody told of would stand in the trail as opened outside the app.
 */
import type { InstanceRef } from '../../shared/access.ts';
import { Refusal, type RefusalCode } from '../../shared/refusal.ts';
import type { TerminalHostDeps } from '../ports.ts';
import type { Timers } from '../watch.ts';

const retryMs = [1000, 2000, 4000, 8000, 15_000, 30_000];
/** Refusals that pass. Any other is the backend's last word on the session. */
const passing: readonly RefusalCode[] = ['sign_in_needed', 'too_many', 'busy'];

type Session = { sessionId: string; grantId: string; instance: InstanceRef };

type Telling = Session & {
  /** What the backend has heard; null: nothing yet. */
  heard: { closesAt: string | null } | null;
  refused: boolean;
  failures: number;
  underWay: Promise<void> | null;
  stopWaiting: () => void;
};

export type SessionTelling = {
  started(session: Session): void;
  /** The backend was reached, or the end of a grant has moved: tells what it has not heard yet. */
  again(): void;
  /** Told after the start, should that be on its way. */
  ended(sessionId: string): void;
};

export const createSessionTelling = (
  deps: Pick<TerminalHostDeps, 'log'> & {
    backend: Pick<TerminalHostDeps['backend'], 'sessionStarted' | 'sessionEnded'>;
    /** When the app's own timer closes the terminals of a grant; null: not known. */
    closesAt: (grantId: string) => string | null;
    timers: Timers;
  },
): SessionTelling => {
  const { backend, log } = deps;
  const sessions = new Map<string, Telling>();

  const send = async (one: Telling, closesAt: string | null): Promise<void> => {
    const { sessionId, grantId, instance } = one;
    try {
      await backend.sessionStarted({ grantId, instance, sessionId, ...(closesAt === null ? {} : { closesAt }) });
      one.heard = { closesAt };
      one.failures = 0;
    } catch (error) {
      log('warn', 'the backend was not told of a session', { sessionId, error });
      one.refused = error instanceof Refusal && !passing.includes(error.code);
      one.failures += 1;
      if (one.refused || !sessions.has(sessionId)) return;
      const wait = retryMs[Math.min(one.failures, retryMs.length) - 1] ?? 0;
      one.stopWaiting = deps.timers.after(wait, () => tell(one));
    }
  };
  const tell = (one: Telling): void => {
    if (one.underWay !== null || one.refused) return;
    const closesAt = deps.closesAt(one.grantId);
    if (one.heard !== null && (closesAt === null || closesAt === one.heard.closesAt)) return;
    one.stopWaiting();
    one.underWay = send(one, closesAt).finally(() => {
      one.underWay = null;
    });
  };
  const tellEnd = async (sessionId: string, start: Promise<void> | null): Promise<void> => {
    await start;
    await backend.sessionEnded({ sessionId });
  };

  return {
    started: (session) => {
      const one = {
        ...session,
        heard: null,
        refused: false,
        failures: 0,
        underWay: null,
        stopWaiting: () => undefined,
      };
      sessions.set(session.sessionId, one);
      tell(one);
    },
    again: () => {
      for (const one of sessions.values()) tell(one);
    },
    ended: (sessionId) => {
      const one = sessions.get(sessionId);
      if (one === undefined) return;
      sessions.delete(sessionId);
      one.stopWaiting();
      tellEnd(sessionId, one.underWay).catch((error: unknown) =>
        log('warn', 'the backend was not told of a session’s end', { sessionId, error }),
      );
    },
  };
};
