import type Router from '@koa/router';
import type { Middleware } from 'koa';
import { dropBody } from '../http/body.ts';
import { createRouter } from '../http/routing.ts';
import type { Sink } from './sink.ts';

export type SinkRouteParts = {
  sink: Sink;
  /** Runs before what was received is listed: who may see it. */
  guard: Middleware;
};

/** The default destination of calls out, and the list of what came there. */
export function sinkRoutes({ sink, guard }: SinkRouteParts): Router {
  const router = createRouter();
  router.post('/server', async (ctx) => {
    await dropBody(ctx.req);
    ctx.body = await sink.receive(ctx.req.headers['x-my-jwt'] as string | undefined);
    ctx.status = 201;
  });
  router.get('/server', guard, async (ctx) => {
    ctx.body = await sink.list();
  });
  return router;
}
