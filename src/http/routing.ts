import Router from '@koa/router';
import type { Middleware } from 'koa';
import { AppError } from '../errors.ts';

/** A router whose paths are what they are: `/Generate` is not `/generate`. A trailing slash makes no difference. */
export function createRouter(): Router {
  return new Router({ sensitive: true });
}

/** Puts routers together; what none of them serves is 404, 405 with `Allow`, or the answer to OPTIONS. */
export function createRouting(routers: readonly Router[]): Middleware {
  const root = createRouter();
  for (const router of routers) root.use(router.routes());
  const dispatch = root.routes();
  return (ctx, next) =>
    dispatch(ctx as never, async () => {
      const allowed = [...new Set(root.match(ctx.path, ctx.method).path.flatMap((layer) => layer.methods))];
      if (allowed.length === 0) throw new AppError('NOT_FOUND');
      ctx.set('allow', [...allowed, 'OPTIONS'].join(', '));
      if (ctx.method !== 'OPTIONS') throw new AppError('METHOD_NOT_ALLOWED');
      ctx.status = 204;
      return next();
    });
}
