/** The agent's optional greeting: what it asks of the client, and our answer. Shells only; no KMS encryption, no ports. */
import { z } from 'zod';

/** More than this is no handshake (a real one has about 1 KiB). */
const largestRequestBytes = 64 * 1024;
const clientVersion = '1.2.764.0';

const status = { success: 1, failed: 2, unsupported: 3 } as const;
const shellTypes = new Set(['Standard_Stream', 'InteractiveCommands', 'NonInteractiveCommands']);

const request = z.object({
  RequestedClientActions: z
    .array(z.object({ ActionType: z.string().max(64), ActionParameters: z.unknown().optional() }))
    .max(16)
    .nullable(),
});
const sessionType = z.object({ SessionType: z.string().max(64) });

export type HandshakeAnswer = {
  /** The HandshakeResponse payload. */
  response: Buffer;
  /** What we could not do, for people; null when all is well. The agent then ends the session. */
  problem: string | null;
};

/**
 * Answers every action, unknown ones as unsupported (status 3). Keys are never fetched: a key that the machine names could belong to
 * anybody (threats TERM-08), so KMS encryption is answered as unsupported too.
 * @returns null when the payload is no handshake request at all.
 */
export const answerHandshake = (payload: Buffer): HandshakeAnswer | null => {
  if (payload.length > largestRequestBytes) return null;
  const parsed = request.safeParse(jsonOf(payload));
  if (!parsed.success) return null;
  const processed = (parsed.data.RequestedClientActions ?? []).map((action) => {
    const [actionStatus, error] = judge(action.ActionType, action.ActionParameters);
    return { ActionType: action.ActionType, ActionStatus: actionStatus, ActionResult: null, Error: error };
  });
  const errors = processed.map((action) => action.Error).filter((error) => error !== '');
  const answer = {
    ClientVersion: clientVersion,
    ProcessedClientActions: processed,
    Errors: errors.length === 0 ? null : errors,
  };
  return { response: Buffer.from(JSON.stringify(answer)), problem: errors[0] ?? null };
};

const judge = (type: string, parameters: unknown): [number, string] => {
  if (type !== 'SessionType') return [status.unsupported, `Unsupported action ${type}`];
  const asked = sessionType.safeParse(parameters);
  if (!asked.success) return [status.failed, 'Failed to process action SessionType: no type is named'];
  if (shellTypes.has(asked.data.SessionType)) return [status.success, ''];
  return [
    status.failed,
    `Failed to process action SessionType: this client does shells, not ${asked.data.SessionType}`,
  ];
};

const handshakeComplete = z.object({ CustomerMessage: z.string().max(4096).nullish() });
const channelClosed = z.object({ Output: z.string().nullish() });

/** HandshakeComplete's message for people; empty when there is none. */
export const customerMessage = (payload: Buffer): string =>
  plain(handshakeComplete.safeParse(jsonOf(payload)).data?.CustomerMessage ?? '');

/** The reason in channel_closed; empty when none was given. */
export const closingReason = (payload: Buffer): string =>
  plain(channelClosed.safeParse(jsonOf(payload)).data?.Output ?? '');

/** Words from the far end: one line, no control characters, at most 500 characters. */
const plain = (text: string): string =>
  text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, 500);

const jsonOf = (payload: Buffer): unknown => {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};
