/** Sign-in, sign-out, what the app shows at a glance, and its event stream. */
import { tracked } from '@trpc/server';
import { z } from 'zod';
import { accountId, noticeId } from '../../src/shared/access.ts';
import { identityProof } from '../../src/shared/identity-proof.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import type { BackendInfo, ChangeEvent, Me, Overview } from '../../src/shared/views.ts';
import { appendAudit } from '../audit/chain.ts';
import { changesSince, everythingChanged, lastChangeId, type RecordedChange, recordChange } from '../store/changes.ts';
import { markNoticesRead } from '../store/notices.ts';
import { revokeTokensOf } from '../store/people.ts';
import type { ApiDeps } from './deps.ts';
import { meOf, overviewOf } from './overview.ts';
import { revokeToken } from './tokens.ts';
import { open, signedIn } from './trpc.ts';

const lastEvent = z
  .strictObject({
    lastEventId: z
      .string()
      .regex(/^\d{1,15}$/)
      .nullish(),
  })
  .optional();

const missed = async (deps: ApiDeps, lastId: number | null): Promise<RecordedChange[]> => {
  if (lastId !== null) return (await changesSince(deps.db, lastId)) ?? (await everythingChanged(deps.db));
  // Nothing to fetch again, but an id to come back with.
  return [{ id: await lastChangeId(deps.db), event: { topic: 'me', id: null }, audience: null }];
};

export const accountRoutes = (deps: ApiDeps) => ({
  info: open.query((): BackendInfo => ({ ...deps.info, serverTime: deps.now().toISOString() })),

  nonce: open.mutation(async ({ ctx }): Promise<{ nonce: string; expiresAt: string }> => {
    const { nonce, expiresAt } = await deps.signIn.nonce(ctx.address);
    return { nonce, expiresAt: expiresAt.toISOString() };
  }),

  prove: open
    .input(identityProof)
    .mutation(async ({ ctx, input }): Promise<{ token: string; expiresAt: string; me: Me }> => {
      const { token, expiresAt, person } = await deps.signIn.prove(input, ctx.address);
      return { token: token.reveal(), expiresAt: expiresAt.toISOString(), me: await meOf(deps, person, expiresAt) };
    }),

  signOut: signedIn
    .input(z.strictObject({ endGrants: z.boolean(), everywhere: z.boolean().default(false) }))
    .mutation(async ({ ctx, input }): Promise<null> => {
      const endedGrants = input.endGrants ? await deps.access.endAllOfPerson(ctx.reader.person) : [];
      await deps.db.transaction().execute(async (tx) => {
        const now = deps.now();
        await revokeToken(tx, ctx.token.hash, now);
        const otherSignIns = input.everywhere ? await revokeTokensOf(tx, ctx.reader.person.id, now) : 0;
        await appendAudit(tx, {
          kind: 'signed_out',
          at: now.toISOString(),
          actor: { kind: 'person', person: ctx.reader.person },
          endedGrants,
          ...(input.everywhere ? { otherSignIns } : {}),
        });
        await recordChange(tx, { topic: 'me', ref: null, audience: [ctx.reader.person.id] });
      });
      return null;
    }),

  overview: signedIn.query(({ ctx }): Promise<Overview> => overviewOf(deps, ctx)),

  // The app's own notices have UUIDs; those are passed over here.
  markRead: signedIn
    .input(z.strictObject({ noticeIds: z.array(noticeId.or(z.uuid())).max(200) }))
    .mutation(async ({ ctx, input }): Promise<null> => {
      await deps.db.transaction().execute(async (tx) => {
        await markNoticesRead(tx, ctx.reader, input.noticeIds, deps.now());
        await recordChange(tx, { topic: 'notices', ref: null, audience: [ctx.reader.person.id] });
      });
      return null;
    }),

  spreadingMeasured: signedIn
    .input(z.strictObject({ accountId, ms: z.int().min(0).max(600_000) }))
    .mutation(async ({ input }): Promise<null> => {
      if (!deps.config.accounts.some((account) => account.id === input.accountId)) throw new Refusal('not_found');
      await deps.db
        .insertInto('spreading')
        .values({ account_id: input.accountId, at: deps.now(), ms: input.ms })
        .execute();
      return null;
    }),

  changes: signedIn.input(lastEvent).subscription(async function* ({ ctx, input, signal }) {
    const until = signal ?? new AbortController().signal;
    const stream = deps.streams.open(ctx);
    try {
      const lastId = input?.lastEventId === undefined || input.lastEventId === null ? null : Number(input.lastEventId);
      let next: RecordedChange[] | null = await missed(deps, lastId);
      while (next !== null) {
        for (const { id, event, audience } of next) {
          if (audience !== null && !ctx.reader.isAdmin && !audience.includes(ctx.reader.person.id)) continue;
          yield tracked(String(id), event satisfies ChangeEvent);
        }
        next = await stream.take(until);
      }
    } finally {
      stream.close();
    }
    if (!until.aborted) throw new Refusal('sign_in_needed');
  }),
});
