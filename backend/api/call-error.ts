/**
 * How a failed call looks to the client: a refusal carries `data.refusal`, a fault carries `data.faultId` and nothing else
 * (threats section 4, API-11). No path, no stack, no message of a library.
 */
import { randomBytes } from 'node:crypto';
import { type TRPC_ERROR_CODE_KEY, TRPCError } from '@trpc/server';
import { z } from 'zod';
import { Refusal, type RefusalAnswer, type RefusalCode } from '../../src/shared/refusal.ts';
import { isBusy } from '../store/open.ts';

const codes: Record<RefusalCode, TRPC_ERROR_CODE_KEY> = {
  sign_in_needed: 'UNAUTHORIZED',
  proof_refused: 'UNAUTHORIZED',
  clock_skewed: 'UNAUTHORIZED',
  fresh_sign_in_needed: 'FORBIDDEN',
  not_found: 'NOT_FOUND',
  not_allowed: 'FORBIDDEN',
  own_request: 'FORBIDDEN',
  invalid_input: 'BAD_REQUEST',
  changed: 'CONFLICT',
  wrong_state: 'CONFLICT',
  wider_than_asked: 'FORBIDDEN',
  limit_reached: 'PRECONDITION_FAILED',
  review_open: 'PRECONDITION_FAILED',
  paused: 'PRECONDITION_FAILED',
  policy_full: 'PRECONDITION_FAILED',
  too_large: 'PAYLOAD_TOO_LARGE',
  too_many: 'TOO_MANY_REQUESTS',
  busy: 'SERVICE_UNAVAILABLE',
  role_missing: 'PRECONDITION_FAILED',
};

const echoed = 64;

/** What is wrong with an input, without giving back more of it than 64 characters. */
const invalidInput = (error: z.core.$ZodError): Refusal => {
  const issue = error.issues[0];
  const path = (issue?.path ?? []).map(String).join('.').slice(0, echoed);
  // The message of this one repeats the sender's own field names.
  const message = issue?.code === 'unrecognized_keys' ? 'has fields that do not belong here' : issue?.message;
  return new Refusal('invalid_input', { path, ...(message === undefined ? {} : { message: message.slice(0, 200) }) });
};

const wholeCall = (message: string): Refusal => new Refusal('invalid_input', { path: '', message });

/** Refusals that tRPC makes itself, before a procedure is called. */
const refusalOfCode = (error: TRPCError): Refusal | null => {
  switch (error.code) {
    case 'PAYLOAD_TOO_LARGE':
      return new Refusal('too_large');
    case 'NOT_FOUND':
      return new Refusal('not_found');
    case 'BAD_REQUEST':
    case 'PARSE_ERROR':
      return wholeCall('is no call that Curfew understands');
    case 'METHOD_NOT_SUPPORTED':
      return wholeCall('has the wrong HTTP method: mutations are POST');
    case 'UNSUPPORTED_MEDIA_TYPE':
      return wholeCall('is not application/json');
    default:
      return null;
  }
};

/** The refusal that an error means, or null when it is a fault. */
export const refusalOf = (error: TRPCError): Refusal | null => {
  const { cause } = error;
  if (cause instanceof Refusal) return cause;
  if (cause instanceof z.core.$ZodError && error.code === 'BAD_REQUEST') return invalidInput(cause);
  if (isBusy(cause)) return new Refusal('busy', { retryAfterMs: 2_000, cause });
  return error.code === 'INTERNAL_SERVER_ERROR' ? null : refusalOfCode(error);
};

/** The same failure with the HTTP status that belongs to its refusal; a fault stays as it is. */
export const callError = (error: TRPCError): TRPCError => {
  const refusal = refusalOf(error);
  return refusal === null ? error : new TRPCError({ code: codes[refusal.code], message: refusal.code, cause: refusal });
};

const faultIds = new WeakMap<object, string>();

/** The id of a fault: the same for the answer and for the log. */
export const faultIdOf = (error: object): string => {
  const made = faultIds.get(error) ?? randomBytes(6).toString('hex');
  faultIds.set(error, made);
  return made;
};

/** What `data` of a failed call holds. */
export type CallErrorData = { code: TRPC_ERROR_CODE_KEY; httpStatus: number } & (
  | { refusal: RefusalAnswer }
  | { faultId: string }
);

export type CallErrorShape<N extends number> = { code: N; message: string; data: CallErrorData };

/** tRPC's `errorFormatter`. */
export const formatCallError = <N extends number>(options: {
  error: TRPCError;
  shape: { code: N; data: { httpStatus: number } };
}): CallErrorShape<N> => {
  const { error, shape } = options;
  const refusal = refusalOf(error);
  const common = { code: error.code, httpStatus: shape.data.httpStatus };
  return refusal === null
    ? { code: shape.code, message: 'fault', data: { ...common, faultId: faultIdOf(error) } }
    : { code: shape.code, message: refusal.code, data: { ...common, refusal: refusal.answer() } };
};
