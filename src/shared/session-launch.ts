/**
 * How the app starts the session client and hears from it. Two borders meet here: the environment variable that carries one
 * session (never argv, which every user of the machine can read, threats APP-13), and the link: a local socket that the app serves,
 * for fresh credentials one way and the session's phases the other way. A PTY has no spare file descriptor to pass on, hence a socket.
 */
import { z } from 'zod';
import { regionName } from './access.ts';

/** The one variable the session client reads. It removes it from its own environment before it does anything else. */
export const sessionVariable = 'CURFEW_SESSION';

export const sessionCredentials = z.strictObject({
  accessKeyId: z.string().min(1).max(200),
  secretAccessKey: z.string().min(1).max(500),
  sessionToken: z.string().min(1).max(16_384).optional(),
});
export type SessionCredentials = z.infer<typeof sessionCredentials>;

/**
 * JSON in `CURFEW_SESSION`. `sessionId`, `tokenValue` and `streamUrl` are StartSession's answer as it stands.
 * With `link` the client asks the app for credentials whenever it needs them; `credentials` are for use without the app. With neither,
 * the websocket's upgrade is not signed and a cut connection cannot be resumed.
 */
export const sessionLaunch = z.strictObject({
  sessionId: z
    .string()
    .max(96)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._@+=,-]*$/),
  tokenValue: z.string().min(1).max(2048),
  streamUrl: z.string().min(1).max(2048),
  region: regionName,
  target: z.string().min(1).max(400),
  credentials: sessionCredentials.optional(),
  link: z.strictObject({ path: z.string().min(1).max(260), word: z.string().min(16).max(200) }).optional(),
  /** Where ResumeSession and TerminateSession go instead of AWS's own address; only with an endpoint override in force. */
  ssmEndpoint: z.string().max(500).optional(),
  /** True only with an endpoint override in force (threats APP-05): then StreamUrl may be on loopback, also as `ws:`. */
  loopbackAllowed: z.boolean().default(false),
});
export type SessionLaunch = z.infer<typeof sessionLaunch>;

/** How the session client ends. Node's own codes stay below 20, e.g. 1 for a fault that nobody caught. */
export const sessionExitCodes = {
  /** The remote side closed the session and gave no reason: the shell exited, or somebody ended the session quietly. */
  'shell-exited': 0,
  /** The connection was lost and could not be resumed in time. */
  'connection-lost': 20,
  /** AWS refused to open or to resume the session, or StreamUrl points to a foreign host. */
  refused: 21,
  /** The remote side closed the session and said why (maximum duration, idle, ended by somebody). */
  terminated: 22,
  /** The remote side broke the protocol, or asked for something that this client does not do (KMS encryption, ports). */
  protocol: 23,
  /** This side's terminal went away (hang-up or end of input), or the program was told to stop by a signal. */
  'terminal-lost': 24,
  /** `CURFEW_SESSION` is missing or not understood. Nothing was opened. */
  'bad-launch': 25,
} as const;
export type SessionEnd = keyof typeof sessionExitCodes;
const sessionEnd = z.literal([
  'shell-exited',
  'connection-lost',
  'refused',
  'terminated',
  'protocol',
  'terminal-lost',
  'bad-launch',
] as const satisfies readonly SessionEnd[]);

/** The longest line on the link, in bytes without the line feed. Whoever sends more is cut off. */
export const linkLineBytes = 32 * 1024;

/**
 * Client to app, one JSON object a line. `hello` comes first, once; the app closes the connection when the word is not the one it
 * made for this session, or does not come within 2 s. Phases follow as they happen; `ended` is the last line.
 */
export const linkFromClient = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('hello'), word: z.string().max(200) }),
  z.strictObject({ type: z.literal('starting') }),
  z.strictObject({ type: z.literal('live') }),
  /** `tries` counts from 1 within one cut. */
  z.strictObject({ type: z.literal('reconnecting'), tries: z.int().min(1) }),
  z.strictObject({
    type: z.literal('ended'),
    end: sessionEnd,
    what: z.string().max(1000),
  }),
  z.strictObject({ type: z.literal('credentials-wanted'), id: z.int() }),
]);
export type LinkFromClient = z.infer<typeof linkFromClient>;

/** App to client, one JSON object a line: the answer to `credentials-wanted`. `null` means: none for this session any more. */
export const linkFromApp = z.strictObject({
  type: z.literal('credentials'),
  id: z.int(),
  credentials: sessionCredentials.nullable(),
});
export type LinkFromApp = z.infer<typeof linkFromApp>;
