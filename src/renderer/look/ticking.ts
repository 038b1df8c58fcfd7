/** One clock hand for a whole window: components that show time are drawn anew once a second, in the same frame. */
import { useSyncExternalStore } from 'react';

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let second = Math.floor(Date.now() / 1000);

const tick = (): void => {
  const now = Math.floor(Date.now() / 1000);
  if (now === second) return;
  second = now;
  for (const listener of listeners) listener();
};

const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  // Four looks a second, so that a digit changes at most a quarter late; nothing is drawn in between.
  timer ??= setInterval(tick, 250);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0 || timer === undefined) return;
    clearInterval(timer);
    timer = undefined;
  };
};

const read = (): number => {
  if (timer === undefined) second = Math.floor(Date.now() / 1000);
  return second;
};

/** Our own clock in whole seconds, as ms since 1970; the component is drawn anew when it changes. */
export const useSecond = (): number => useSyncExternalStore(subscribe, read, read) * 1000;
