import Router from '@koa/router';
import Koa from 'koa';
import { koaBody } from 'koa-body';

// The ceiling for anything built on this stack: the same two routes, bodies parsed, nothing checked, nothing stored.
const app = new Koa();
const router = new Router();
router.post('/generate', (ctx) => {
  const { secret } = ctx.request.body as { secret: string };
  ctx.status = 201;
  ctx.body = { secret_key: secret.slice(0, 48), expires_at: '2026-01-01T00:00:00.000Z' };
});
router.post('/secrets/:key', (ctx) => {
  ctx.body = { secret: 's'.repeat(64) };
});
app.use(koaBody()).use(router.routes());
app.listen(Number(process.env.HTTP_PORT), '127.0.0.1', () => process.stdout.write('is ready on\n'));
