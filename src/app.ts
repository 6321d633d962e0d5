import type Router from '@koa/router';
import Koa, { type Middleware } from 'koa';
import { requireBearer } from './http/bearer.ts';
import { createResponder, type RequestLog } from './http/respond.ts';
import { createRouting } from './http/routing.ts';
import { createDocument } from './openapi.ts';
import { documentRoutes, healthRoutes } from './ops/routes.ts';
import { type SecretLimits, secretRoutes } from './secrets/routes.ts';
import type { Secrets } from './secrets/secrets.ts';
import { createWeb } from './web/routes.ts';

export type AppParts = {
  secrets: Secrets;
  limits: SecretLimits;
  createToken: string | undefined;
  publicUrl: string | undefined;
  requestLog: RequestLog;
  ping(): Promise<void>;
  isDraining(): boolean;
};

/** Composes middleware and routes from ready-made parts. No I/O but reading the pages, so that tests use it whole. */
export function createApp(parts: AppParts): Koa {
  const { requestLog, isDraining } = parts;
  const app = new Koa();
  app.use(createResponder(requestLog, isDraining));
  app.use(createRouting(createRouters(parts)));
  // Only what happens after the answer was begun arrives here: the client went away, or the socket broke.
  app.on('error', (error) => requestLog.broken(error));
  return app;
}

/** Every route there is. */
export function createRouters(parts: Omit<AppParts, 'requestLog'>): Router[] {
  const { secrets, limits, createToken, publicUrl } = parts;
  const needsToken = createToken !== undefined;
  const guard: Middleware = needsToken ? requireBearer(createToken) : (_ctx, next) => next();
  const web = createWeb({ limits, publicUrl, needsToken });
  return [
    secretRoutes({ secrets, limits, guard, showPage: web.showSecretPage, showErrorPage: web.showErrorPage }),
    web.routes,
    healthRoutes(parts),
    documentRoutes(() => createDocument({ limits, needsToken, publicUrl })),
  ];
}
