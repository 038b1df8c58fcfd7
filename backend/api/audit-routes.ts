/** The audit trail: pages of it, one request's whole story, exports. */
import { z } from 'zod';
import { requestId } from '../../src/shared/access.ts';
import { Refusal } from '../../src/shared/refusal.ts';
import {
  type AuditPage,
  auditQuery,
  type ExportPart,
  exportCursor,
  exportWish,
  type Story,
} from '../../src/shared/views.ts';
import { exportPart } from '../audit/export.ts';
import { loadGrants } from '../store/grants.ts';
import { loadRequest } from '../store/requests.ts';
import { visibleTo } from '../store/visibility.ts';
import { auditOfRequest, listAudit } from './audit-list.ts';
import type { ApiDeps } from './deps.ts';
import { signedIn } from './trpc.ts';

export const auditRoutes = (deps: ApiDeps) => ({
  audit: signedIn.input(auditQuery).query(async ({ ctx, input }): Promise<AuditPage> => {
    const [page, chain] = await Promise.all([listAudit(deps.db, ctx.reader, input), deps.chain.state(deps.now())]);
    return { ...page, chain };
  }),

  story: signedIn.input(z.strictObject({ requestId })).query(async ({ ctx, input }): Promise<Story> => {
    const request = await loadRequest(deps.db, ctx.reader, input.requestId, deps.now());
    const extended = request.purpose.kind === 'extend' ? request.purpose.grantId : '';
    const [grants, rows] = await Promise.all([
      loadGrants(deps.db, (eb) =>
        eb.and([
          visibleTo(ctx.reader).grants(eb),
          eb.or([eb('grants.request_id', '=', request.id), eb('grants.id', '=', extended)]),
        ]),
      ),
      auditOfRequest(deps.db, ctx.reader, request.id),
    ]);
    return { request, grants, rows };
  }),

  /** One part; `cursor` of the part before, null for the first. Who may have it is asked for each. */
  exportAudit: signedIn
    .input(exportWish.extend({ cursor: exportCursor.nullable() }))
    .mutation(async ({ ctx, input: { cursor, ...wish } }): Promise<ExportPart> => {
      if (wish.requestId !== null) await loadRequest(deps.db, ctx.reader, wish.requestId, deps.now());
      else if (!ctx.reader.isAdmin) {
        throw new Refusal('not_allowed', {
          message: 'Only admins export the whole trail. Open one request and export that.',
        });
      }
      return exportPart({ db: deps.db, key: deps.auditKey, wish, at: deps.now() }, cursor);
    }),
});
