/** All procedures. The app sees this file's type and nothing else of the backend. */
import { accountRoutes } from './account-routes.ts';
import { adminRoutes } from './admin-routes.ts';
import { auditRoutes } from './audit-routes.ts';
import type { ApiDeps } from './deps.ts';
import { requestRoutes } from './request-routes.ts';
import { router } from './trpc.ts';

export const createRouter = (deps: ApiDeps) =>
  router({ ...accountRoutes(deps), ...requestRoutes(deps), ...auditRoutes(deps), ...adminRoutes(deps) });

export type AppRouter = ReturnType<typeof createRouter>;
