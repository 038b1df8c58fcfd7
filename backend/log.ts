/** Structured logs: one JSON line an event on stdout, without secrets (threats AU-09). */
import { inspect } from 'node:util';
import { type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'info' | 'warn' | 'error' | 'debug'>;

/** A value that never shows itself by accident: JSON, templates, inspection and errors all give `[secret]`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value, for the one place that needs it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}

/** Names of fields that hold secrets somewhere in our code or in AWS's answers. */
const secretFields = [
  'authorization',
  'token',
  'sessionToken',
  'secretAccessKey',
  'signature',
  'tokenValue',
  'TokenValue',
  'SessionToken',
  'SecretAccessKey',
  'accessToken',
  'refreshToken',
  'clientSecret',
  'password',
  'mac',
];

/**
 * Of an error only what explains it: libraries hang whole requests, with their signatures, on their errors. Depth is
 * bounded because causes may point in a circle.
 */
export const errorFacts = (error: unknown, depth = 0): unknown => {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : '[not an error]';
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const cause = error.cause === undefined || depth >= 4 ? {} : { cause: errorFacts(error.cause, depth + 1) };
  return { name: error.name, message: error.message, ...code, stack: error.stack, ...cause };
};

/** @param destination where the lines go; stdout when left out. */
export const createLog = (destination?: { write: (line: string) => void }): Log =>
  pino(
    {
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: (error: unknown) => errorFacts(error) },
      redact: {
        paths: secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
        censor: '[secret]',
      },
    },
    destination ?? pino.destination(1),
  );
