/**
 * Refusals: expected answers with a code and advice. Everything else that goes wrong is a fault, logged with an id.
 * The codes are a closed list (threats.md 4); `Record` makes a missing text a compile error.
 */
export const refusalAdvice = {
  sign_in_needed: 'Sign in again. Running terminals are not touched.',
  proof_refused: 'AWS or Curfew did not accept this sign-in. Sign in with your organisation and try again.',
  clock_skewed: 'The clock of this computer is off by more than a minute. Set it by network time and sign in again.',
  fresh_sign_in_needed: 'This needs a sign-in of the last 10 minutes. Sign in again, then repeat it.',
  not_found: 'It does not exist, or no rule lets you see it.',
  not_allowed: 'You can see it, but no rule lets you do this. Ask a team lead who may.',
  own_request: 'You cannot decide about your own access. Somebody else has to.',
  invalid_input: 'Mend the part that is named and send it again. Nothing was changed.',
  changed: 'What you saw has changed since. Read it again, then decide.',
  wrong_state: 'Somebody or something was faster. The list now shows how it stands.',
  wider_than_asked: 'A yes can only be the same or less than what was asked.',
  limit_reached: 'The limit is reached. End or withdraw something first, or wait.',
  review_open: 'A review of earlier break-glass access is still open. It must be closed first.',
  paused: 'This is stopped for now by an admin or an approver, until they lift it. Live access still ends on time.',
  policy_full: 'The access policy has no room for this. Ask for fewer instances, or end other access first.',
  too_large: 'That is more than Curfew takes at once. Send less.',
  too_many: 'Too many calls in a short time. Wait a little and try again.',
  busy: 'The backend is busy. Try again in a few seconds; access still ends on time.',
  role_missing:
    'You have no personal role in this account yet. An AWS admin makes it by running the Curfew provisioner.',
} as const;

export type RefusalCode = keyof typeof refusalAdvice;

/** What a refusal carries besides its code; never more than 64 characters of anybody's input. */
export type RefusalDetail = {
  /** Dotted path of the input that is wrong. */
  path?: string;
  /** One sentence in plain words, more exact than the code's standing advice. */
  message?: string;
  retryAfterMs?: number;
  /** `wrong_state`, `changed`: who did it and when. */
  by?: string;
  at?: string;
};

export type RefusalAnswer = { code: RefusalCode; advice: string } & RefusalDetail;

/** An expected "no". Thrown inside the backend and the main process, sent as `RefusalAnswer`. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly detail: RefusalDetail;

  /** `cause` stays in the log; it is never sent. */
  constructor(code: RefusalCode, { cause, ...detail }: RefusalDetail & ErrorOptions = {}) {
    super(code, cause === undefined ? undefined : { cause });
    this.name = 'Refusal';
    this.code = code;
    this.detail = detail;
  }

  answer(): RefusalAnswer {
    return { code: this.code, advice: refusalAdvice[this.code], ...this.detail };
  }
}

export const isRefusalCode = (code: unknown): code is RefusalCode =>
  typeof code === 'string' && Object.hasOwn(refusalAdvice, code);

/** How a call failed, as windows see it. */
export type Failure =
  | ({ kind: 'refusal' } & RefusalAnswer)
  | { kind: 'unreachable'; what: string }
  | { kind: 'fault'; faultId: string; what: string };

export type Answer<T> = { ok: true; value: T } | { ok: false; failure: Failure };
