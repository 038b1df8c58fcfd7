/** What the windows' intents about other people's access do: kill switches, live access, findings. The backend decides who may. */
import type { StateHolder } from './app-state.ts';
import type { MainHandlers } from './ipc.ts';
import type { Services } from './services.ts';

type AdminIntent =
  | 'listLive'
  | 'listEndings'
  | 'whatStays'
  | 'endAllOn'
  | 'listSwitches'
  | 'openSwitch'
  | 'previewSwitch'
  | 'findTargets'
  | 'pullSwitch'
  | 'liftSwitch'
  | 'listFindings'
  | 'endFound'
  | 'readHealth';

/** @param deps.services throws a Refusal before the organisation is known. */
export const createAdminHandlers = ({
  services,
  state,
}: {
  services: () => Services;
  state: StateHolder;
}): Pick<MainHandlers, AdminIntent> => {
  const refreshed = async <Value>(value: Value): Promise<Value> => {
    await services().watch.refresh();
    return value;
  };
  /** What was ended from here must not go on in this app's own terminals until the next snapshot. */
  const closeTerminals = (grantIds: readonly string[]): void => {
    const open = new Set(state.get().terminals.map((tab) => tab.grantId));
    for (const grantId of grantIds) if (open.has(grantId)) services().terminals.endAllOf(grantId, 'closed');
  };
  return {
    listLive: (query) => services().backend.live(query),
    listEndings: () => services().backend.endings(),
    whatStays: (input) => services().backend.whatStays(input),
    async endAllOn(input) {
      const outcome = await services().backend.endAllOn(input);
      closeTerminals(outcome.ended.map(({ id }) => id));
      return refreshed(outcome);
    },
    listSwitches: () => services().backend.switches(),
    openSwitch: (input) => services().backend.switchStory(input),
    previewSwitch: (input) => services().backend.previewSwitch(input),
    findTargets: (query) => services().backend.switchTargets(query),
    pullSwitch: async (input) => refreshed(await services().backend.pullSwitch(input)),
    liftSwitch: async (input) => refreshed(await services().backend.liftSwitch(input)),
    listFindings: (input) => services().backend.findings(input),
    endFound: async (input) => refreshed(await services().backend.endFound(input)),
    readHealth: () => services().backend.health(),
  };
};
