/** Asking, deciding, and the grants that come of it. */
import { z } from 'zod';
import {
  type AccessRequest,
  type Connection,
  type Grant,
  grantId,
  instanceRef,
  instant,
  requestDraft,
  requestId,
} from '../../src/shared/access.ts';
import type { Stays } from '../../src/shared/kill-switch.ts';
import { limits } from '../../src/shared/limits.ts';
import { commentText, reasonText } from '../../src/shared/text.ts';
import {
  decideInput,
  type ExtendOutcome,
  type InstancePage,
  instanceQuery,
  type Preview,
  type RequestCard,
} from '../../src/shared/views.ts';
import type { ApiDeps } from './deps.ts';
import { sessionEnded, sessionStarted } from './sessions.ts';
import { signedIn } from './trpc.ts';

const ofRequest = z.strictObject({ requestId });
const ofGrant = z.strictObject({ grantId });
/** aws-facts 4.4: role session name, dash, letters and digits. */
const sessionId = z.string().regex(/^[\w+=,.@-]{1,96}$/);

export const requestRoutes = (deps: ApiDeps) => ({
  instances: signedIn
    .input(instanceQuery)
    .query(({ ctx, input }): Promise<InstancePage> => deps.instances(ctx.facts, input)),

  refreshInventory: signedIn.mutation(async (): Promise<null> => {
    await deps.inventory.refresh();
    return null;
  }),

  // A query by nature, but a draft of 20 instances does not belong into a URL.
  preview: signedIn
    .input(requestDraft)
    .mutation(({ ctx, input }): Promise<Preview> => deps.access.preview(ctx.reader.person, input)),

  submit: signedIn
    .input(requestDraft)
    .mutation(({ ctx, input }): Promise<AccessRequest> => deps.access.submit(ctx.reader.person, input)),

  withdraw: signedIn
    .input(ofRequest)
    .mutation(({ ctx, input }): Promise<AccessRequest> => deps.access.withdraw(ctx.reader, input.requestId)),

  card: signedIn
    .input(ofRequest)
    .query(({ ctx, input }): Promise<RequestCard> => deps.access.card(ctx.reader, input.requestId)),

  claim: signedIn.input(ofRequest).mutation(async ({ ctx, input }): Promise<null> => {
    await deps.access.claim(ctx.reader, input.requestId);
    return null;
  }),

  decide: signedIn
    .input(decideInput)
    .mutation(({ ctx, input }): Promise<AccessRequest> => deps.access.decide(ctx.reader, input)),

  connect: signedIn
    .input(ofGrant)
    .mutation(
      ({ ctx, input }): Promise<{ grant: Grant; connection: Connection }> =>
        deps.access.connect(ctx.reader, input.grantId),
    ),

  extend: signedIn
    .input(
      z.strictObject({
        grantId,
        bySeconds: z.int().min(limits.shortestGrantSeconds).max(limits.longestGrantSeconds),
        reason: reasonText.nullable().default(null),
      }),
    )
    .mutation(({ ctx, input }): Promise<ExtendOutcome> => deps.access.extend(ctx.reader, input)),

  end: signedIn
    .input(z.strictObject({ grantId, comment: commentText.nullable() }))
    .mutation(({ ctx, input }): Promise<Grant & { stays: Stays }> => deps.access.end(ctx.reader, input)),

  sessionStarted: signedIn
    .input(z.strictObject({ grantId, instance: instanceRef, sessionId, closesAt: instant.optional() }))
    .mutation(async ({ ctx, input }): Promise<null> => {
      await sessionStarted(deps, ctx.reader, input);
      return null;
    }),

  sessionEnded: signedIn.input(z.strictObject({ sessionId })).mutation(async ({ ctx, input }): Promise<null> => {
    await sessionEnded(deps, ctx.reader, input.sessionId);
    return null;
  }),
});
