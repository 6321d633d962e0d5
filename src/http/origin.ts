import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Context } from 'koa';
import { AppError } from '../errors.ts';
import { isUnspecified } from '../network/addresses.ts';
import { isLoopbackName } from './cookies.ts';
import { addHeaders, varyOn } from './respond.ts';
import { isHost, withoutZone } from './server.ts';
import { isWholeUrl } from './whole-url.ts';

/** How clients reach a listener. */
export type Site = {
  publicUrl: string | undefined;
  /** The address that the listener was told to listen on. */
  listenHost: string;
  /** Other websites whose pages may use the service. */
  corsOrigins: readonly string[];
  /** Whether the peer of this request is a trusted proxy. */
  isProxy(request: IncomingMessage): boolean;
};

/** @throws AppError for a request that no route may see. */
export type Admit = (ctx: Context) => void;

const CHANGES: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
/** Values of `Sec-Fetch-Site` that are not foreign; and where a cookie is concerned. */
const OWN_SITES: ReadonlySet<unknown> = new Set(['same-origin', 'same-site', 'none']);
const OWN_PAGES: ReadonlySet<unknown> = new Set(['same-origin', 'none']);
const IPV4_OR_LOCALHOST = /^(?:\d{1,3}(?:\.\d{1,3}){3}|localhost)(?::\d{0,5})?$/i;
const LOOPBACK = /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/i;
const ORIGIN = /^https?:\/\/[^/?#@\\\s]+$/i;

const UNKNOWN_HOST =
  'This server does not answer for this host name: use its IP address, or set PUBLIC_URL on the server';

const NO_HOST = 'The Host header is not the host and port of a URL';

const PREFLIGHT = {
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': 'Authorization, Content-Type, Destination, DPoP, Idempotency-Key, Token',
  'access-control-max-age': '600',
};
/** What a page may read of an answer, beside what every page may (Fetch, "CORS-safelisted response-header name"). */
const EXPOSED = 'Allow, Link, Retry-After, WWW-Authenticate, X-Request-Id';

/**
 * Keeps out what other websites make a browser send: by a name that they point at a loopback address (DNS rebinding,
 * `MISDIRECTED`), or from their own pages (`FOREIGN_ORIGIN`). Looks at the head only, before anything is used up.
 */
export function createAdmission(site: Site): Admit {
  const publicPlace = site.publicUrl === undefined ? undefined : new URL(site.publicUrl);
  const listed = new Set(site.corsOrigins);
  const knows = createHostCheck(site, publicPlace?.hostname.replace(/\.$/, ''));
  const isOwn = createOriginCheck(site, OWN_SITES);
  return (ctx) => {
    const { req, method } = ctx;
    if (!knows(req)) throw new AppError('MISDIRECTED', { detail: UNKNOWN_HOST });
    const { host } = req.headers;
    if (host !== undefined && !isHost(host)) throw new AppError('INVALID_REQUEST', { detail: NO_HOST });
    const { origin } = req.headers;
    if (listed.size > 0) varyOn(ctx, 'origin');
    if (origin !== undefined && listed.has(origin)) allow(ctx, origin);
    else if (CHANGES.has(method) && !isOwn(req)) throw new AppError('FOREIGN_ORIGIN');
  };
}

/**
 * Where a cookie authenticates a request that changes something, or is set: other pages of the same site, and those of
 * `CORS_ORIGINS`, are foreign too.
 */
export function createCookieAdmission(site: Site): Admit {
  const isOwn = createOriginCheck(site, OWN_PAGES);
  return ({ req, method }) => {
    if (CHANGES.has(method) && !isOwn(req)) throw new AppError('FOREIGN_ORIGIN');
  };
}

/** The headers of CORS. Never `Allow-Credentials`: no cookie is for another website. */
function allow(ctx: Context, origin: string): void {
  const isPreflight = ctx.method === 'OPTIONS' && ctx.req.headers['access-control-request-method'] !== undefined;
  addHeaders(ctx, {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED,
    ...(isPreflight && PREFLIGHT),
  });
}

/** On a listener of a loopback address, a request must name an address, `localhost` or the public name. */
function createHostCheck({ listenHost, isProxy }: Site, publicName: string | undefined) {
  const isOnAllAddresses = isUnspecified(listenHost);
  return (request: IncomingMessage): boolean => {
    const { host } = request.headers;
    if (host === undefined || IPV4_OR_LOCALHOST.test(host) || isOnAllAddresses || isWholeUrl(request)) return true;
    if (!LOOPBACK.test(request.socket.localAddress ?? '')) return true; // that of a unix socket is undefined
    const name = URL.parse(`http://${withoutZone(host)}`)?.hostname;
    if (name === undefined) return isProxy(request);
    const bare = name.replace(/^\[|\]$|\.$/g, '');
    return bare === 'localhost' || isIP(bare) !== 0 || bare === publicName || isProxy(request);
  };
}

/** Whether a request comes from a page of our own, or from no browser. */
function createOriginCheck({ isProxy, publicUrl }: Site, passing: ReadonlySet<unknown>) {
  const publicPlace = publicUrl === undefined ? undefined : new URL(publicUrl);
  return (request: IncomingMessage): boolean => {
    const { origin, 'sec-fetch-site': sentFrom, host } = request.headers;
    if (sentFrom !== undefined) return passing.has(sentFrom);
    if (origin === undefined) return true;
    const page = ORIGIN.test(origin) ? URL.parse(origin) : null;
    if (!page) return false;
    // A host without a port has the port of the page's scheme: a proxy may end TLS.
    const ours = [host, ...(isProxy(request) ? forwarded(request, 'x-forwarded-host') : [])]
      .filter((name) => name !== undefined && isHost(name))
      .map((name) => URL.parse(`${page.protocol}//${name}`));
    return [publicPlace, ...ours].some(
      (place) => place && place.hostname === page.hostname && portOf(place) === portOf(page),
    );
  };
}

function portOf({ port, protocol }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80');
}

export type BaseFinder = (request: IncomingMessage) => string;

/** The base of links, without a slash at the end: `PUBLIC_URL`, or the address that the client used. */
export function createBaseFinder({ publicUrl, isProxy }: Site): BaseFinder {
  return (request) => {
    if (publicUrl !== undefined) return publicUrl;
    const isForwarded = isProxy(request);
    const [scheme] = isForwarded ? forwarded(request, 'x-forwarded-proto') : [];
    const [name] = isForwarded ? forwarded(request, 'x-forwarded-host') : [];
    const host = name !== undefined && isHost(name) ? name : (request.headers.host ?? ownHost(request));
    return `${scheme?.toLowerCase() === 'https' ? 'https' : 'http'}://${withoutZone(host)}`;
  };
}

/**
 * The base of links that somebody else gets in a mail: `PUBLIC_URL`, or an address of this server. Without `PUBLIC_URL`,
 * what the client wrote into `Host` counts only if it names this machine: another name could be a trap.
 */
export function createMailBaseFinder(site: Site): (request: IncomingMessage) => string {
  const baseOf = createBaseFinder(site);
  const publicBase = site.publicUrl === undefined ? undefined : new URL(site.publicUrl).href.replace(/\/$/, ''); // in ASCII
  return (request) => {
    if (publicBase !== undefined) return publicBase;
    const base = baseOf(request);
    return isLoopbackName(URL.parse(base)?.hostname ?? '') ? base : `http://${ownHost(request)}`;
  };
}

/** For HTTP/1.0, where a client need not send `Host`. */
function ownHost({ socket: { localAddress = 'localhost', localPort } }: IncomingMessage): string {
  const host = isIP(localAddress) === 6 ? `[${localAddress}]` : localAddress;
  return localPort === undefined ? host : `${host}:${localPort}`;
}

/** The values of a header that proxies set, the first of a row of proxies first. */
function forwarded({ headers }: IncomingMessage, name: string): string[] {
  const values = headers[name];
  return values === undefined
    ? []
    : String(values)
        .split(',')
        .map((value) => value.trim());
}
