import type Router from '@koa/router';
import { AppError } from '../errors.ts';
import { createRouter } from '../http/routing.ts';
import { EXPOSITION_TYPE, writeExposition } from './exposition.ts';
import type { Samples } from './families.ts';

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

/** Prometheus metrics of all workers in one. */
export function metricsRoutes(readTotals: () => Promise<Samples>, version: string): Router {
  const router = createRouter();
  const build: Samples = { hushbox_build_info: { [`${version} ${process.version}`]: [1] } };
  router.get('/metrics', async (ctx) => {
    const text = writeExposition({ ...(await readTotals()), ...build });
    ctx.type = EXPOSITION_TYPE;
    ctx.body = text;
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
