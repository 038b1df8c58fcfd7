/** Which SSM sessions there are and were, as DescribeSessions tells them (aws-facts 6). */
import { randomInt } from 'node:crypto';
import type { EndedSession, SessionHost } from '../session-host/host-types.ts';

export type SessionRecord = {
  sessionId: string;
  accountId: string;
  region: string;
  target: string;
  documentName: string;
  /** Assumed-role or user ARN of who started it. */
  owner: string;
  /** `AROA…:name` or `AIDA…`: the value of the tag `aws:ssmmessages:session-id`. */
  ownerUserId: string;
  reason: string | null;
  maxSessionMinutes: number;
  startedAt: Date;
  phase: 'open' | 'terminating' | 'ended';
  endedAt: Date | null;
  details: string | null;
  failed: boolean;
  everConnected: boolean;
};

export type SessionStatus = 'Connected' | 'Connecting' | 'Disconnected' | 'Terminating' | 'Terminated' | 'Failed';

/** Sessions stay in the history for 30 days (aws-facts 5). */
const historyMs = 30 * 24 * 3600 * 1000;

/** `<name>-<26 lower-case alphanumerics>` (aws-facts 4.4). @param name role session name or IAM user name. */
export const newSessionId = (name: string): string => {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
  return `${name}-${Array.from({ length: 26 }, () => letters.charAt(randomInt(letters.length))).join('')}`;
};

/** How long a session without a shell takes to end, milliseconds. */
const hollowEndMs = 50;

const endings: Record<EndedSession['why'], string> = {
  'shell-exited': 'The shell exited',
  terminated: 'Terminated',
  idle: 'Idle for too long',
  'max-duration': 'The longest duration was reached',
  'unable-to-start': 'The shell could not be started',
  'host-closed': 'local-aws was stopped',
};

export type SessionTable = {
  add(session: SessionRecord): void;
  /** Ends it: at once for everybody who asks, really when its shell is gone. One that has no shell is gone a moment later. */
  terminate(session: SessionRecord): void;
  /** Sessions belong to one account and region: elsewhere they do not exist. */
  find(place: { accountId: string; region: string }, sessionId: string): SessionRecord | undefined;
  /** Newest first. */
  list(place?: { accountId: string; region: string }): SessionRecord[];
  statusOf(session: SessionRecord): SessionStatus;
  isActive(session: SessionRecord): boolean;
};

/** The table hears from the host when a session has really ended: only then is it Terminated. */
export const createSessionTable = (options: { host: SessionHost; now: () => Date }): SessionTable => {
  const { host, now } = options;
  const sessions = new Map<string, SessionRecord>();

  host.onEnded((ended) => {
    const session = sessions.get(ended.sessionId);
    if (!session) return;
    session.phase = 'ended';
    session.endedAt = ended.at;
    session.failed = ended.why === 'unable-to-start';
    session.details = ended.reason === '' ? endings[ended.why] : ended.reason;
  });

  const statusOf = (session: SessionRecord): SessionStatus => {
    if (session.phase === 'ended') return session.failed ? 'Failed' : 'Terminated';
    if (session.phase === 'terminating') return 'Terminating';
    if (host.isConnected(session.sessionId)) {
      session.everConnected = true;
      return 'Connected';
    }
    return session.everConnected ? 'Disconnected' : 'Connecting';
  };

  return {
    add(session) {
      const oldest = now().getTime() - historyMs;
      for (const [id, one] of sessions) if (one.endedAt && one.endedAt.getTime() < oldest) sessions.delete(id);
      sessions.set(session.sessionId, session);
    },
    terminate(session) {
      if (session.phase !== 'open') return;
      session.phase = 'terminating';
      if (host.isUp(session.sessionId)) {
        host.terminate(session.sessionId, '');
        return;
      }
      setTimeout(() => {
        session.phase = 'ended';
        session.endedAt = now();
        session.details = endings.terminated;
      }, hollowEndMs).unref();
    },
    find({ accountId, region }, sessionId) {
      const session = sessions.get(sessionId);
      return session?.accountId === accountId && session.region === region ? session : undefined;
    },
    list: (place) =>
      [...sessions.values()]
        .reverse()
        .filter((one) => place === undefined || (one.accountId === place.accountId && one.region === place.region)),
    statusOf,
    isActive: (session) => session.phase !== 'ended',
  };
};
