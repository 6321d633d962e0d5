import type Router from '@koa/router';
import type { Context } from 'koa';
import { AppError } from '../errors.ts';
import { showErrorsWith } from '../http/respond.ts';
import { createRouter } from '../http/routing.ts';
import { EXPOSITION_TYPE, writeExposition } from './metrics/exposition.ts';
import type { Samples } from './metrics/families.ts';
import type { Status } from './status.ts';

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

export type StatusParts = {
  readStatus(): Promise<Status>;
  /** Answers a browser. */
  showPage(ctx: Context, status: Status): void;
  showErrorPage(ctx: Context, error: AppError): void;
};

/** Since when the program runs, and how much it has answered. */
export function statusRoutes({ readStatus, showPage, showErrorPage }: StatusParts): Router {
  const router = createRouter();
  router.get('/status', async (ctx) => {
    ctx.vary('accept');
    const isBrowser = ctx.accepts('json', 'html') === 'html';
    if (isBrowser) showErrorsWith(ctx, showErrorPage);
    const status = await readStatus();
    if (isBrowser) showPage(ctx, status);
    else {
      const { startedAt, uptimeSeconds, requests } = status;
      ctx.body = { started_at: new Date(startedAt).toISOString(), uptime_seconds: uptimeSeconds, requests };
    }
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
