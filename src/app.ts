import Koa, { type Middleware } from 'koa';
import { requireBearer } from './http/bearer.ts';
import { createResponder, type RequestLog } from './http/respond.ts';
import { createRouting } from './http/routing.ts';
import { healthRoutes } from './ops/routes.ts';
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
  const { secrets, limits, createToken, publicUrl, requestLog, isDraining } = parts;
  const app = new Koa();
  const guard: Middleware = createToken === undefined ? (_ctx, next) => next() : requireBearer(createToken);
  const web = createWeb({ limits, publicUrl, needsToken: createToken !== undefined });
  app.use(createResponder(requestLog, isDraining));
  app.use(
    createRouting([
      secretRoutes({ secrets, limits, guard, showPage: web.showSecretPage }),
      healthRoutes(parts),
      web.routes,
    ]),
  );
  // Only what happens after the answer was begun arrives here: the client went away, or the socket broke.
  app.on('error', (error) => requestLog.broken(error));
  return app;
}
