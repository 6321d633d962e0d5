import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import Koa, { type Middleware } from 'koa';
import { requireBearer } from './http/bearer.ts';
import { createResponder, type RequestLog } from './http/respond.ts';
import { createRouting } from './http/routing.ts';
import { createDocument } from './openapi.ts';
import type { Samples } from './ops/metrics/families.ts';
import { documentRoutes, type HealthParts, healthRoutes, metricsRoutes, statusRoutes } from './ops/routes.ts';
import type { Status } from './ops/status.ts';
import { type ProxyRouteParts, proxyRoutes } from './proxy/routes.ts';
import { type SecretLimits, secretRoutes } from './secrets/routes.ts';
import type { Secrets } from './secrets/secrets.ts';
import { sinkRoutes } from './sink/routes.ts';
import type { Sink } from './sink/sink.ts';
import { VERSION } from './version.ts';
import { createWeb } from './web/routes.ts';

export type AppParts = HealthParts & {
  secrets: Secrets;
  limits: SecretLimits;
  createToken: string | undefined;
  /** Whose limits a request counts for; undefined for nobody's. */
  identify(request: IncomingMessage): Uint8Array | undefined;
  /** Undefined where there is no key to verify with. */
  sink: Sink | undefined;
  /** Signs requests and sends them on; undefined where that is not served. */
  proxy: Pick<ProxyRouteParts, 'sign' | 'send' | 'timing'> | undefined;
  proxyToken: string | undefined;
  isProduction: boolean;
  readStatus(): Promise<Status>;
  publicUrl: string | undefined;
  requestLog: RequestLog;
};

/** Composes the public middleware and routes from ready-made parts. No I/O but reading the pages, so that tests use it whole. */
export function createApp(parts: AppParts): Koa {
  return compose(parts.requestLog, parts.isDraining, [createRouting(createRouters(parts))]);
}

export type InternalAppParts = HealthParts & {
  token: string | undefined;
  requestLog: RequestLog;
  /** What all workers counted. */
  readTotals(): Promise<Samples>;
};

/** What the internal listener answers. */
export function createInternalApp({ token, requestLog, readTotals, ...health }: InternalAppParts): Koa {
  const guards = token === undefined ? [] : [requireBearer(token)];
  const routers = [metricsRoutes(readTotals, VERSION), healthRoutes(health)];
  return compose(requestLog, health.isDraining, [...guards, createRouting(routers)]);
}

function compose(requestLog: RequestLog, isDraining: () => boolean, middleware: readonly Middleware[]): Koa {
  const app = new Koa();
  app.use(createResponder(requestLog, isDraining));
  for (const step of middleware) app.use(step);
  // Only what happens after the answer was begun arrives here: the client went away, or the socket broke.
  app.on('error', (error) => requestLog.broken(error));
  return app;
}

/** RFC 9110 §11.7. */
const PROXY_AUTHENTICATION = [['proxy-authorization'], 'PROXY_AUTHENTICATION_REQUIRED'] as const;
const letPass: Middleware = (_ctx, next) => next();

/** Every public route there is. */
export function createRouters(parts: Omit<AppParts, 'requestLog'>): Router[] {
  const { secrets, limits, createToken, identify, sink, proxy, proxyToken, isProduction, readStatus, publicUrl } =
    parts;
  const needsToken = createToken !== undefined;
  const guard: Middleware = needsToken ? requireBearer(createToken) : letPass;
  const sinkGuard = isProduction ? requireBearer(proxyToken, ['authorization', 'proxy-authorization']) : letPass;
  const proxyGuard = proxyToken === undefined ? letPass : requireBearer(proxyToken, ...PROXY_AUTHENTICATION);
  const web = createWeb({ limits, publicUrl, needsToken });
  return [
    secretRoutes({ secrets, limits, guard, identify, showPage: web.showSecretPage, showErrorPage: web.showErrorPage }),
    ...(sink ? [sinkRoutes({ sink, guard: sinkGuard })] : []),
    ...(sink && proxy ? [proxyRoutes({ ...proxy, guard: proxyGuard, receive: sink.receive })] : []),
    web.routes,
    healthRoutes(parts),
    statusRoutes({ readStatus, showPage: web.showStatusPage, showErrorPage: web.showStatusErrorPage }),
    documentRoutes(() => createDocument({ limits, needsToken, publicUrl })),
  ];
}
