/**
 * The only door between windows and the main process. Whoever knocks must be the main frame of one of our windows at exactly its
 * address, on a channel of that kind of window, with one small object that its schema takes. What decides, ends or signs out also needs
 * a key or click that this process itself saw within the last two seconds: script in a window cannot make one (threats APP-09).
 */
import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import {
  channels,
  type MainAnswers,
  type MainIntent,
  mainIntents,
  type TerminalAnswers,
  type TerminalIntent,
  terminalIntents,
} from '../shared/desktop.ts';
import { type Answer, type Failure, Refusal } from '../shared/refusal.ts';
import type { Log } from './log.ts';
import { PlainFault, Unreachable } from './ports.ts';
import type { SenderFacts, WindowKind } from './windows.ts';

export const largestIntentBytes = 256 * 1024;
export const inputFreshMs = 2000;

const needsInput: Record<WindowKind, ReadonlySet<string>> = {
  main: new Set<MainIntent>(['decide', 'endGrant', 'endAllOn', 'pullSwitch', 'liftSwitch', 'signOut']),
  terminal: new Set<TerminalIntent>(['end']),
};

/** The part of Electron's event that the door looks at. */
export type Knock<Sender> = { sender: Sender; senderFrame: { url: string; parent: unknown } | null };

/** What a schema table gives after parsing, intent by intent. */
type Parsed<Table extends Record<string, z.ZodType>> = { [K in keyof Table]: z.output<Table[K]> };
type Schemas<Inputs> = { [K in keyof Inputs]: z.ZodType<Inputs[K]> };
type Handlers<Inputs, Answers extends Record<keyof Inputs, unknown>> = {
  [K in keyof Inputs]: (input: Inputs[K]) => Promise<Answers[K]> | Answers[K];
};
type MainInputs = Parsed<typeof mainIntents>;
type TerminalInputs = Parsed<typeof terminalIntents>;
export type MainHandlers = Handlers<MainInputs, MainAnswers>;
export type TerminalHandlers = Handlers<TerminalInputs, TerminalAnswers>;
const mainSchemas: Schemas<MainInputs> = mainIntents;
const terminalSchemas: Schemas<TerminalInputs> = terminalIntents;

export type DoorDeps<Sender> = {
  ipcMain: {
    handle(channel: string, listener: (event: Knock<Sender>, ...values: unknown[]) => Promise<unknown>): void;
    on(channel: string, listener: (event: Knock<Sender>) => void): unknown;
  };
  factsOf: (sender: Sender) => SenderFacts | null;
  now: () => Date;
  log: Log;
  /**
   * Screen readers press buttons without a key or click that we could see: where one is at work, the person is asked outside of the
   * window, where no script of it can answer. False where none is.
   */
  askPerson: (intent: string) => Promise<boolean>;
};

const notForThisWindow = () => new Refusal('not_allowed', { message: 'This window may not do that.' });

const bytesOf = (value: unknown): number => {
  try {
    return Buffer.byteLength(JSON.stringify(value) ?? '');
  } catch (error) {
    // Cycles and big integers: nothing that a window of ours sends.
    throw new Refusal('invalid_input', { message: 'is no plain data', cause: error });
  }
};

/** Parses the one value of an intent. @throws Refusal `too_large` or `invalid_input`, naming the part. */
const parsed = <Input>(schema: z.ZodType<Input>, values: unknown[]): Input => {
  if (values.length !== 1) throw new Refusal('invalid_input', { message: 'takes exactly one object' });
  if (bytesOf(values[0]) > largestIntentBytes) throw new Refusal('too_large');
  const result = schema.safeParse(values[0]);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Refusal('invalid_input', {
    path: (issue?.path.join('.') ?? '').slice(0, 64),
    message: (issue?.message ?? 'is not what is asked for here').slice(0, 200),
  });
};

/** Turns what a handler threw into what a window may see. Faults get an id; their details stay in the log. */
export const failureOf = (error: unknown, what: string, log: Log): Failure => {
  if (error instanceof Refusal) return { kind: 'refusal', ...error.answer() };
  if (error instanceof Unreachable) return { kind: 'unreachable', what: error.what };
  const faultId = randomUUID();
  log('error', 'fault', { faultId, during: what, error });
  if (error instanceof PlainFault) return { kind: 'fault', faultId, what: error.message };
  return { kind: 'fault', faultId, what: 'Curfew itself failed at this step. Live access still ends on time.' };
};

/** Who may come in, and what they may bring. */
export const createDoor = <Sender>({ ipcMain, factsOf, now, log, askPerson }: DoorDeps<Sender>) => {
  const admit = (event: Knock<Sender>, kind: WindowKind, channel: string): SenderFacts => {
    const facts = factsOf(event.sender);
    const frame = event.senderFrame;
    if (facts === null || facts.kind !== kind || frame === null || frame.parent !== null || frame.url !== facts.url) {
      log('warn', 'message from the wrong place', {
        channel,
        from: facts?.kind ?? 'unknown',
        frame: frame?.url.slice(0, 200),
      });
      throw notForThisWindow();
    }
    return facts;
  };

  const serve = <Input>(
    { kind, intent, channel }: { kind: WindowKind; intent: string; channel: string },
    schema: z.ZodType<Input>,
    handler: (input: Input) => unknown,
  ): void => {
    ipcMain.handle(channel, async (event, ...values): Promise<Answer<unknown>> => {
      try {
        const { lastInputAt } = admit(event, kind, channel);
        const input = parsed(schema, values);
        const sinceInput = now().getTime() - (lastInputAt ?? Number.NEGATIVE_INFINITY);
        const isFresh = sinceInput >= 0 && sinceInput <= inputFreshMs;
        if (needsInput[kind].has(intent) && !isFresh && !(await askPerson(intent))) {
          log('warn', 'no key or click before it', { channel });
          throw new Refusal('not_allowed', { message: 'This needs a key or a click in the window just before it.' });
        }
        return { ok: true, value: await handler(input) };
      } catch (error) {
        return { ok: false, failure: failureOf(error, channel, log) };
      }
    });
  };

  return {
    serveMain(handlers: MainHandlers): void {
      const one = <K extends MainIntent>(intent: K): void =>
        serve<MainInputs[K]>(
          { kind: 'main', intent, channel: channels.main(intent) },
          mainSchemas[intent],
          handlers[intent],
        );
      for (const intent of intentNames(mainIntents)) one(intent);
    },
    serveTerminal(handlers: TerminalHandlers): void {
      const one = <K extends TerminalIntent>(intent: K): void =>
        serve<TerminalInputs[K]>(
          { kind: 'terminal', intent, channel: channels.terminal(intent) },
          terminalSchemas[intent],
          handlers[intent],
        );
      for (const intent of intentNames(terminalIntents)) one(intent);
    },
    /** Hears that a window's preload listens. */
    onReady(kind: WindowKind, listener: () => void): void {
      const channel = kind === 'main' ? channels.mainReady : channels.terminalReady;
      ipcMain.on(channel, (event) => {
        try {
          admit(event, kind, channel);
        } catch {
          // Logged by `admit`; such a sender gets no state and no answer.
          return;
        }
        listener();
      });
    },
  };
};

const intentNames = <Table extends object>(table: Table): Array<keyof Table> => {
  const names: Array<keyof Table> = [];
  for (const name in table) if (Object.hasOwn(table, name)) names.push(name);
  return names;
};
