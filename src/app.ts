import type { IncomingMessage } from 'node:http';
import Koa from 'koa';
import { type AccountRouteParts, accountRoutes } from './auth/accounts/routes.ts';
import { type BrowserRouteParts, browserRoutes } from './auth/sessions/browser-routes.ts';
import { type SessionRouteParts, sessionRoutes, validationRoute } from './auth/sessions/routes.ts';
import { type BusinessParts, businessRoutes } from './business/routes.ts';
import { basic, bearer, requireToken } from './http/bearer.ts';
import type { BodyRoom } from './http/body-room.ts';
import {
  type Admit,
  createAdmission,
  createBaseFinder,
  createCookieAdmission,
  createMailBaseFinder,
  type Site,
} from './http/origin.ts';
import { createResponder, type ErrorPage, type RequestLog } from './http/respond.ts';
import { createRouting, type Handler, type Route } from './http/routing.ts';
import { createDocument, type Served } from './openapi.ts';
import type { Samples } from './ops/metrics/families.ts';
import { documentRoutes, type HealthParts, healthRoutes, metricsRoute, statusRoute } from './ops/routes.ts';
import type { Status } from './ops/status.ts';
import { forwardProxy, type ProxyParts, proxyRoute } from './proxy/routes.ts';
import { requestRoutes } from './secrets/request-routes.ts';
import { secretRoutes } from './secrets/routes.ts';
import type { SecretLimits } from './secrets/schemas.ts';
import type { Secrets } from './secrets/secrets.ts';
import { sinkRoutes } from './sink/routes.ts';
import type { Sink } from './sink/sink.ts';
import { VERSION } from './version.ts';
import type { AccountPagesParts } from './web/account-pages.ts';
import type { Operator } from './web/operator.ts';
import { createWeb } from './web/routes.ts';

export type AppParts = HealthParts & {
  site: Site;
  /** Undefined where they are not served; then neither are their pages. */
  secrets: Secrets | undefined;
  limits: SecretLimits;
  createToken: string | undefined;
  /** The client whose limits a request counts against; undefined if none do. */
  identify(request: IncomingMessage): Uint8Array | undefined;
  /** Undefined without a key to verify with. */
  sink: Sink | undefined;
  /** Signs requests and sends them on; undefined where that is not served. */
  proxy: Omit<ProxyParts, 'guards'> | undefined;
  proxyToken: string | undefined;
  /** Undefined where that is not served. */
  business: Omit<BusinessParts, 'baseOf'> | undefined;
  /** Log-ins and sessions; undefined where they are not served. */
  auth: AuthParts | undefined;
  isProduction: boolean;
  /** What pages show of whoever runs this. */
  operator: Operator;
  readStatus(): Promise<Status>;
  requestLog: RequestLog;
  /** For large bodies and answers. */
  room: BodyRoom;
};

/** The public application, composed from ready-made parts. Its only I/O is to read the pages. */
export function createApp(parts: AppParts): Koa {
  const admit = createAdmission(parts.site);
  const { routes, pageOfNoRoute } = createRoutes(parts);
  const forward = createForwarding(parts, admit);
  const routing = createRouting(routes, admit);
  return compose((ctx) => forward(ctx) ?? routing(ctx), { ...parts, pageOfNoRoute });
}

type AuthParts = Omit<
  SessionRouteParts & BrowserRouteParts & AccountRouteParts & AccountPagesParts,
  'baseOf' | 'mailBaseOf' | 'admitCookies' | 'activationPage'
>;

export type InternalAppParts = HealthParts & {
  site: Site;
  token: string | undefined;
  /** Says whether a token is good; undefined where that is not served. */
  auth: Pick<SessionRouteParts, 'sessions'> | undefined;
  requestLog: RequestLog;
  room: BodyRoom;
  /** What all workers counted. */
  readTotals(): Promise<Samples>;
};

/** The application of the internal listener. */
export function createInternalApp({ token, readTotals, site, auth, ...health }: InternalAppParts): Koa {
  const routes = [
    metricsRoute(readTotals, VERSION),
    ...(auth ? [validationRoute(auth.sessions)] : []),
    ...healthRoutes(health),
  ];
  const admit = createAdmission(site);
  const guard = token === undefined ? () => {} : requireToken(token);
  const admitWithToken: Admit = (ctx) => {
    admit(ctx);
    guard(ctx);
  };
  return compose(createRouting(routes, admitWithToken), health);
}

type Common = Pick<AppParts, 'requestLog' | 'isDraining' | 'room'> & { pageOfNoRoute?: ErrorPage };

function compose(handle: Handler, { requestLog, isDraining, room, pageOfNoRoute }: Common): Koa {
  const respond = createResponder(requestLog, isDraining, room, pageOfNoRoute);
  const app = new Koa();
  app.use((ctx) => respond(ctx, handle));
  // Only failures after an answer was begun arrive here: the client went away, or the socket broke.
  app.on('error', (error) => requestLog.broken(error));
  return app;
}

/** RFC 9110 §11.7. */
const PROXY_AUTHENTICATION = { headers: ['proxy-authorization'], code: 'PROXY_AUTHENTICATION_REQUIRED' } as const;

/** What clients send that use this server as their proxy; they send its password as `Basic`. */
function createForwarding({ proxy, sink, proxyToken, site }: AppParts, admit: Admit): ReturnType<typeof forwardProxy> {
  const schemes = [bearer, basic];
  const guards = proxyToken === undefined ? [] : [requireToken(proxyToken, { ...PROXY_AUTHENTICATION, schemes })];
  return forwardProxy(sink && proxy ? { ...proxy, guards } : undefined, site.publicUrl, admit);
}

/** Every public route, and the page for browsers that take none of them. */
export function createRoutes(parts: Omit<AppParts, 'requestLog' | 'room'>): {
  routes: Route[];
  pageOfNoRoute: ErrorPage;
} {
  const { secrets, limits, createToken, identify, sink, proxy, proxyToken, auth, business } = parts;
  const { isProduction, readStatus, site, operator } = parts;
  const { publicUrl } = site;
  const needsToken = createToken !== undefined;
  const createGuards = needsToken ? [requireToken(createToken)] : [];
  const sinkGuards = isProduction
    ? [requireToken(proxyToken, { headers: ['authorization', 'proxy-authorization'] })]
    : [];
  const proxyGuards = proxyToken === undefined ? [] : [requireToken(proxyToken, PROXY_AUTHENTICATION)];
  let document: ReturnType<typeof createDocument> | undefined; // it takes a while, and is made for the first request
  const describe = (): ReturnType<typeof createDocument> => {
    document ??= createDocument({ limits, needsToken, publicUrl, served: servedBy(parts) });
    return document;
  };
  const baseOf = createBaseFinder(site);
  const web = createWeb({ limits, publicUrl, needsToken, operator, accounts: auth, baseOf, describe });
  const admitCookies = createCookieAdmission(site);
  const ofSecrets = { limits, guards: createGuards, identify, pages: web };
  const ofAccounts = { baseOf, admitCookies, mailBaseOf: createMailBaseFinder(site) };
  const routes = [
    ...(secrets ? secretRoutes({ ...ofSecrets, secrets, baseOf }) : []),
    ...(secrets ? requestRoutes({ ...ofSecrets, secrets }) : []),
    ...(auth ? sessionRoutes({ ...auth, baseOf, admitCookies }) : []),
    ...(auth ? browserRoutes({ ...auth, baseOf, admitCookies }) : []),
    ...(auth ? accountRoutes({ ...auth, ...ofAccounts, activationPage: web.activationPage }) : []),
    ...(sink ? sinkRoutes(sink, sinkGuards) : []),
    ...(sink && proxy ? [proxyRoute({ ...proxy, guards: proxyGuards, receive: sink.receive })] : []),
    ...(secrets ? web.createRoutes : []),
    ...web.accountRoutes,
    ...web.assetRoutes,
    ...(business ? businessRoutes({ ...business, baseOf }) : []),
    ...healthRoutes(parts),
    statusRoute(readStatus, web.statusPage),
    ...documentRoutes(describe, web.showReference),
  ];
  return { routes, pageOfNoRoute: web.showNoRoute };
}

/** What the document describes. */
function servedBy({ secrets, auth, sink, proxy, business }: Pick<AppParts, keyof Served>): Served {
  return { secrets: !!secrets, auth: !!auth, sink: !!sink, proxy: !!(sink && proxy), business: !!business };
}
