/** The control API of a running local-aws, typed by the very methods it serves (dev/local-aws/control.ts), and what AWS itself would say. */
import type { Control } from '../local-aws/control.ts';

/** What is left of a value after JSON: instants are text. */
type Sent<T> = T extends Date
  ? string
  : T extends Array<infer Item>
    ? Array<Sent<Item>>
    : T extends object
      ? { [K in keyof T]: Sent<T[K]> }
      : T;

export type LocalAwsControl = {
  /** @throws Error with the words of local-aws when it refuses. */
  call<K extends keyof Control>(method: K, ...input: Parameters<Control[K]>): Promise<Sent<ReturnType<Control[K]>>>;
};

/** @param endpoint of local-aws, e.g. `stack.localAwsUrl`. */
export const controlOf = (endpoint: string): LocalAwsControl => ({
  async call(method, ...input) {
    const response = await fetch(`${endpoint}/_control/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(input[0] ?? {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`local-aws refused ${method}: ${text}`);
    return text === '' ? null : JSON.parse(text);
  },
});

type PersonIn = { account: string; personId: string };

/** A person's personal role in one account as IAM has it now. @throws Error when there is none. */
const personalRole = async (
  control: LocalAwsControl,
  { account, personId }: PersonIn,
): Promise<Sent<ReturnType<Control['role']>>> => {
  const names = await control.call('roles', { account });
  for (const name of names.filter((path) => path.startsWith('/curfew/people/'))) {
    const role = await control.call('role', { account, name: name.split('/').at(-1) ?? name });
    if (role.tags['curfew:person'] === personId) return role;
  }
  throw new Error(`${personId} has no personal role in ${account}.`);
};

/** The access policy on a personal role, or null when the role carries none. */
export const accessPolicyOf = async (control: LocalAwsControl, whose: PersonIn): Promise<unknown> => {
  const { inlinePolicies } = await personalRole(control, whose);
  return inlinePolicies['curfew-access'] ?? null;
};

const over: ReadonlySet<string> = new Set(['Terminated', 'Failed']);

/** Sessions under a person's personal role in one account that are not over, newest first. */
export const activeSessions = async (
  control: LocalAwsControl,
  whose: PersonIn,
): Promise<Sent<ReturnType<Control['sessions']>>> => {
  const role = await personalRole(control, whose);
  const owner = `:assumed-role/${role.arn.split('/').at(-1)}/`;
  const sessions = await control.call('sessions');
  return sessions.filter((session) => session.owner.includes(owner) && !over.has(session.status));
};
