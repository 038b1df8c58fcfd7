/** What script inside one of our windows can try: the strictness of the window, and its bridge called by name. */
import { expect, type Page } from '@playwright/test';

/** How every window is made (APP-09): a second list, on purpose, beside the one in the code. */
export const strictWindow = {
  contextIsolation: true,
  sandbox: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  webSecurity: true,
  allowRunningInsecureContent: false,
  webviewTag: false,
  experimentalFeatures: false,
};

/**
 * Calls an intent of the page's bridge with any input at all, past every type.
 * @throws when the bridge has no such intent.
 */
export const sendFromInside = (
  page: Page,
  bridge: 'curfew' | 'curfewTerminal',
  intent: string,
  input: unknown,
): Promise<unknown> =>
  page.evaluate(
    async ([at, name, value]) => {
      const found: unknown = Reflect.get(window, at);
      const table: unknown = typeof found === 'object' && found !== null ? Reflect.get(found, 'send') : null;
      const call: unknown = typeof table === 'object' && table !== null ? Reflect.get(table, name) : null;
      if (typeof call !== 'function') throw new Error(`no intent ${name}`);
      const answer: unknown = await call(value);
      return answer;
    },
    [bridge, intent, input] as const,
  );

/** An answer that is the refusal with this code. */
export const refused = (code: string) => ({ ok: false, failure: expect.objectContaining({ kind: 'refusal', code }) });
