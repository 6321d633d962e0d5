import type Router from '@koa/router';
import { AppError } from '../errors.ts';
import { createRouter } from '../http/routing.ts';

export type HealthParts = {
  /** Rejects when the storage does not answer. */
  ping(): Promise<void>;
  isDraining(): boolean;
};

/** Liveness and readiness. */
export function healthRoutes({ ping, isDraining }: HealthParts): Router {
  const router = createRouter();
  router.get('/health/live', (ctx) => {
    ctx.body = { status: 'live' };
  });
  router.get('/health/ready', async (ctx) => {
    if (isDraining()) throw new AppError('DRAINING', { retryAfterSeconds: 1 });
    await ping();
    ctx.body = { status: 'ready' };
  });
  return router;
}

/** Serves the OpenAPI document, which is put together when first asked for. */
export function documentRoutes(createDocument: () => object): Router {
  const router = createRouter();
  let document: object | undefined;
  router.get('/openapi.json', (ctx) => {
    document ??= createDocument();
    ctx.body = document;
  });
  return router;
}
