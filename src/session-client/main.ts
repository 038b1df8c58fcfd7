/**
 * The session client: a program of its own that shows one SSM shell session in the terminal it runs in (under node-pty, or any).
 * Everything it needs is in the environment variable CURFEW_SESSION, nothing in argv; exit codes are `sessionExitCodes`, both in
 * src/shared/session-launch.ts.
 */
import { type SessionEnd, sessionExitCodes, sessionLaunch, sessionVariable } from '../shared/session-launch.ts';
import { createAppLink } from './app-link.ts';
import { createSessionService } from './aws.ts';
import { systemClock } from './clock.ts';
import { productTimes, runSession } from './session.ts';
import { createTerminal } from './terminal.ts';

/** Output that nobody reads must not keep us alive. */
const drainMs = 2000;

/** The launch, taken out of the environment so that no child inherits it. Its problem names the fields, never their values. */
const takeLaunch = () => {
  const text = process.env[sessionVariable];
  delete process.env[sessionVariable];
  if (text === undefined) return { ok: false as const, problem: `${sessionVariable} is not set` };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message would quote the text, and with it the token.
    return { ok: false as const, problem: `${sessionVariable} is not JSON` };
  }
  const parsed = sessionLaunch.safeParse(json);
  if (parsed.success) return { ok: true as const, launch: parsed.data };
  const fields = parsed.error.issues.map((issue) => issue.path.join('.') || 'an unknown field').join(', ');
  return { ok: false as const, problem: `${sessionVariable} is not understood at: ${fields}` };
};

/** What a person reads in the terminal at the end. A shell that exited has said all itself. */
const lastWords: Record<SessionEnd, (what: string) => string> = {
  'shell-exited': () => '',
  'connection-lost': (what) => what,
  refused: (what) => what,
  terminated: (what) => `The session was ended: ${what}`,
  protocol: (what) => what,
  'terminal-lost': () => '',
  'bad-launch': (what) => what,
};

const main = async () => {
  const taken = takeLaunch();
  if (!taken.ok) {
    console.error(`The session client cannot start: ${taken.problem}.`);
    process.exit(sessionExitCodes['bad-launch']);
  }
  const { launch } = taken;
  const terminal = createTerminal(process.stdin, process.stdout);
  // Covers every way out that runs code: our own exit, an uncaught fault, a handled signal.
  process.on('exit', terminal.restore);
  const link = createAppLink(launch, systemClock);
  const session = runSession({
    launch,
    clock: systemClock,
    times: productTimes,
    terminal,
    link,
    service: createSessionService(launch),
  });
  for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
    process.on(signal, () => session.stop(`stopped by ${signal}`));
  }

  const { end, what } = await session.ended;
  const words = lastWords[end](what);
  if (words !== '') terminal.write(Buffer.from(`\r\n${words}\r\n`));
  link.tell({ type: 'ended', end, what: what.slice(0, 1000) });
  await link.close();
  const drained = await terminal.drained(drainMs);
  terminal.restore();
  // A write that nobody reads blocks a thread, and Node would wait for it at its end: only this way out is left.
  if (!drained) process.kill(process.pid, 'SIGKILL');
  process.exit(sessionExitCodes[end]);
};

await main();
