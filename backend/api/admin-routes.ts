/** Ending more than one's own: live access, kill switches, findings. For admins, and for approvers what they may decide about. */
import { z } from 'zod';
import { grantId, instanceRef } from '../../src/shared/access.ts';
import {
  type EndedAll,
  type KillSwitch,
  type LivePage,
  liveQuery,
  pullInput,
  type SlowEnding,
  type Stays,
  type SwitchPreview,
  type SwitchStory,
  type SwitchTarget,
  switchId,
  switchScope,
  targetQuery,
} from '../../src/shared/kill-switch.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import { commentText } from '../../src/shared/text.ts';
import { endFoundInput, type Finding, type SystemHealth } from '../../src/shared/views.ts';
import { listFindings, loadFinding } from '../reconcile/findings.ts';
import { loadGrants } from '../store/grants.ts';
import { loadSwitch, loadSwitches } from '../store/kill-switches.ts';
import { type Reader, visibleTo } from '../store/visibility.ts';
import { findTargets, listEndings, listLive, previewSwitch } from './admin-list.ts';
import type { ApiDeps } from './deps.ts';
import { readHealth } from './health.ts';
import { signedIn } from './trpc.ts';

/** @throws Refusal `not_allowed`. */
const requireAdmin = (reader: Reader): void => {
  if (!reader.isAdmin) throw new Refusal('not_allowed', { message: 'This is for admins.' });
};

export const adminRoutes = (deps: ApiDeps) => {
  const withRevocable = async (reader: Reader): Promise<Reader> =>
    reader.isAdmin ? reader : { ...reader, revocable: await deps.access.revocable(reader) };
  return {
    live: signedIn
      .input(liveQuery)
      .query(async ({ ctx, input }): Promise<LivePage> => listLive(deps.db, await withRevocable(ctx.reader), input)),

    endings: signedIn.query(({ ctx }): Promise<SlowEnding[]> => {
      requireAdmin(ctx.reader);
      return listEndings(deps.db, deps.now());
    }),

    whatStays: signedIn
      .input(z.strictObject({ grantId }))
      .query(({ ctx, input }): Promise<Stays> => deps.access.whatStays(ctx.reader, input.grantId)),

    endAllOn: signedIn
      .input(z.strictObject({ grantId, instance: instanceRef, comment: commentText.nullable() }))
      .mutation(({ ctx, input }): Promise<EndedAll> => deps.access.endAllOn(ctx.reader, input)),

    switches: signedIn.query(({ ctx }): Promise<KillSwitch[]> => loadSwitches(deps.db, ctx.reader, { onOnly: false })),

    switchStory: signedIn.input(z.strictObject({ switchId })).query(async ({ ctx, input }): Promise<SwitchStory> => {
      const killSwitch = await loadSwitch(deps.db, ctx.reader, input.switchId);
      const grants = await loadGrants(
        deps.db,
        (eb) =>
          eb.and([
            visibleTo(ctx.reader).grants(eb),
            eb.exists(
              eb
                .selectFrom('kill_switch_hits')
                .select('kill_switch_hits.position')
                .whereRef('kill_switch_hits.grant_id', '=', 'grants.id')
                .where('kill_switch_hits.switch_id', '=', killSwitch.id),
            ),
          ]),
        200,
      );
      return { killSwitch, grants };
    }),

    // A query by nature; what it is about does not belong into a URL.
    previewSwitch: signedIn
      .input(z.strictObject({ scope: switchScope }))
      .mutation(
        async ({ ctx, input }): Promise<SwitchPreview> =>
          previewSwitch(deps.db, await deps.access.reachFor(ctx.reader, input.scope), deps.now()),
      ),

    switchTargets: signedIn.input(targetQuery).query(({ ctx, input }): Promise<SwitchTarget[]> => {
      requireAdmin(ctx.reader);
      return findTargets(deps.db, input);
    }),

    pullSwitch: signedIn
      .input(pullInput)
      .mutation(({ ctx, input }): Promise<KillSwitch> => deps.access.pull(ctx.reader, input)),

    liftSwitch: signedIn
      .input(z.strictObject({ switchId }))
      .mutation(
        ({ ctx, input }): Promise<KillSwitch> =>
          deps.access.lift(ctx.reader, { switchId: input.switchId, provedAt: ctx.token.provedAt }),
      ),

    findings: signedIn
      .input(z.strictObject({ openOnly: z.boolean().default(false) }))
      .query(({ ctx, input }): Promise<Finding[]> => {
        requireAdmin(ctx.reader);
        return listFindings(deps.db, { openOnly: input.openOnly, limit: 200 });
      }),

    endFound: signedIn.input(endFoundInput).mutation(async ({ ctx, input }): Promise<Finding> => {
      await deps.access.endFound(ctx.reader, input);
      return loadFinding(deps.db, input.findingId);
    }),

    health: signedIn.query(({ ctx }): Promise<SystemHealth> => {
      requireAdmin(ctx.reader);
      return readHealth(deps);
    }),
  };
};
