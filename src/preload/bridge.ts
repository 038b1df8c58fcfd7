/** What both bridges are made of. */
import { ipcRenderer } from 'electron';

/** One function an intent: `send.connect(input)` invokes `main:connect`. Main parses what comes and answers an `Answer`. */
export const senders = <Send extends object>(prefix: string, intents: readonly (keyof Send & string)[]): Send => {
  const table: Partial<Send> = {};
  for (const intent of intents) {
    Object.defineProperty(table, intent, {
      value: (input: unknown) => ipcRenderer.invoke(`${prefix}:${intent}`, input),
      enumerable: true,
    });
  }
  if (!isWhole(table, intents)) throw new Error('an intent is missing');
  return table;
};

const isWhole = <Send extends object>(table: Partial<Send>, intents: readonly (keyof Send & string)[]): table is Send =>
  intents.every((intent) => intent in table);

/**
 * A value that main pushes whole: listeners get the last one at once, then each new one. Main is told of the first listener, and sends the
 * value of now.
 */
export const pushed = <Value>(channel: string, ready: string) => {
  const listeners = new Set<(value: Value) => void>();
  let last: { value: Value } | null = null;
  let said = false;
  ipcRenderer.on(channel, (_event, value: Value) => {
    last = { value };
    for (const listener of listeners) listener(value);
  });
  return (listener: (value: Value) => void): (() => void) => {
    listeners.add(listener);
    if (last !== null) listener(last.value);
    if (!said) ipcRenderer.send(ready);
    said = true;
    return () => {
      listeners.delete(listener);
    };
  };
};

/** The keys of a table, typed. */
export const namesOf = <Name extends string>(table: Record<Name, true>): Name[] => {
  const names: Name[] = [];
  for (const name in table) names.push(name);
  return names;
};
