import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';
import { ACCESS_COOKIE, HOST_PREFIX, pairsOf } from './cookies.ts';

/** Who sent a request: an account, and its session. */
export type Caller = { userId: string; email: string; role: 'admin' | 'member'; sessionId: string };

/** Why the credentials of a request are not good. */
export const REFUSALS = ['UNAUTHORIZED', 'REPLAY_DETECTED', 'CSRF_FAILED', 'HTTPS_REQUIRED'] as const;
export type Refusal = (typeof REFUSALS)[number];

/** What a request carries as credentials: read once, for whoever asks about them. */
export type Credentials = TokenCredentials | CookieCredentials;

export type TokenCredentials = {
  token: string;
  scheme: 'token' | 'bearer' | 'dpop';
  /** The whole `Cookie` header. */
  cookie: string | undefined;
  /** The `DPoP` header. */
  proof: string | undefined;
};

/** Of a browser that is signed in. */
export type CookieCredentials = {
  scheme: 'cookie';
  /** The whole `Cookie` header. */
  cookie: string;
  /** The `X-CSRFToken` header. */
  csrfToken: string | undefined;
};

/** What may be a token of ours, as far as that can be seen. */
export type MayBeOurs = {
  isToken(token: string): boolean;
  /** Whether there is one somewhere in an `Authorization` of another form. */
  isIn(text: string): boolean;
};

type Carried = Pick<TokenCredentials, 'token' | 'scheme'>;

/** RFC 6750 §2.1, RFC 9449 §7.1. */
const AUTHORIZATION = /^(?<scheme>bearer|dpop) +(?<token>\S+)$/i;

/**
 * A token in a header counts before cookies, which never replace it.
 * @param mayBe which tokens count; others are as if they were not there. By default all do, and so does an
 *   `Authorization` that carries none. Cookies always count.
 * @returns undefined without any.
 * @throws AppError UNAUTHORIZED when `token` and `Authorization` differ, or one of them is there twice and differs.
 */
export function readCredentials(request: IncomingMessage, mayBe?: MayBeOurs): Credentials | undefined {
  const { headers } = request;
  if (headers.token === undefined && headers.authorization === undefined) return readCookies(request);
  const { token = [], authorization = [] } = request.headersDistinct; // Node drops all but the first `Authorization`
  const isHidden = authorization.some((text) => !AUTHORIZATION.test(text) && mayBe?.isIn(text));
  if (isHidden) throw new AppError('UNAUTHORIZED');
  const carried = [
    ...token.filter((text) => text !== '').map((text): Carried => ({ token: text, scheme: 'token' })),
    ...authorization.filter((text) => text !== '').map(parseAuthorization),
  ].filter((found) => !mayBe || mayBe.isToken(found.token));
  const last = carried.at(-1);
  if (carried.some((found) => found.token !== last?.token)) throw new AppError('UNAUTHORIZED');
  if (!last) return readCookies(request);
  if (!last.token) return undefined;
  return { ...last, cookie: headers.cookie, proof: headers.dpop as string | undefined };
}

/** Its token is empty if it carries none. */
function parseAuthorization(text: string): Carried {
  const { scheme = 'bearer', token = '' } = AUTHORIZATION.exec(text)?.groups ?? {};
  return { token, scheme: scheme.toLowerCase() as 'bearer' | 'dpop' };
}

/** Which of the two names counts depends on how the client came: whoever knows tokens decides. */
function readCookies({ headers }: IncomingMessage): CookieCredentials | undefined {
  const names = [`${HOST_PREFIX}${ACCESS_COOKIE}=`, `${ACCESS_COOKIE}=`];
  const isThere = pairsOf(headers.cookie).some((pair) => names.some((name) => pair.startsWith(name)));
  if (!isThere) return undefined;
  return {
    scheme: 'cookie',
    cookie: headers.cookie as string,
    csrfToken: headers['x-csrftoken'] as string | undefined,
  };
}
