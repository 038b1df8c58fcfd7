/** Which environment EC2 says each machine belongs to, now and since when: what rules trust, and what somebody may set to let themselves in. */
import type { InstanceRef } from '../../src/shared/access.ts';
import { limits } from '../../src/shared/limits.ts';

export const environments = ['production', 'staging'] as const;
export type Environment = (typeof environments)[number];

/** What the rule of `deploy/rules` for access at once wants to see. */
const atOnce = ['development', 'dev', 'test', 'staging'];

export type MachineTags = {
  set: (instanceId: string, environment: Environment, at: Date) => void;
  /** The environment that was set; null: the one it has in the world. */
  environment: (instanceId: string) => Environment | null;
  /** Whether a rule may give this machine now: by what EC2 says, and said a day before. */
  ruleMayGive: (machine: InstanceRef & { tags: Record<string, string> }, now: Date) => boolean;
};

export const watchTags = (): MachineTags => {
  const set = new Map<string, Array<{ environment: Environment; at: number }>>();
  const ofMachine = (instanceId: string) => set.get(instanceId) ?? [];
  return {
    set: (instanceId, environment, at) =>
      void set.set(instanceId, [...ofMachine(instanceId), { environment, at: at.getTime() }]),
    environment: (instanceId) => ofMachine(instanceId).at(-1)?.environment ?? null,
    ruleMayGive: ({ instanceId, tags }, now) => {
      const says = ofMachine(instanceId).at(-1)?.environment ?? tags['env'];
      const before = now.getTime() - limits.tagChangeSeconds * 1000;
      const said = ofMachine(instanceId).findLast(({ at }) => at <= before)?.environment ?? tags['env'];
      // There and back is noticed only when somebody looked in between.
      return says !== undefined && atOnce.includes(says) && says === said;
    },
  };
};
