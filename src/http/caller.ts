import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';

/** Who sent a request: an account, and its session. */
export type Caller = { userId: string; email: string; role: 'admin' | 'member'; sessionId: string };

/** What a request carries as credentials: read once, for whoever asks about them. */
export type Credentials = {
  token: string;
  scheme: 'token' | 'bearer' | 'dpop';
  /** The whole `Cookie` header. */
  cookie: string | undefined;
  /** The `DPoP` header. */
  proof: string | undefined;
};

type Carried = Pick<Credentials, 'token' | 'scheme'>;

/** RFC 6750 §2.1, RFC 9449 §7.1. */
const AUTHORIZATION = /^(?<scheme>bearer|dpop) +(?<token>\S+)$/i;

/**
 * @param counts which tokens do; others are as if they were not there. By default all do, and so does an `Authorization`
 *   that carries none.
 * @returns undefined without any.
 * @throws AppError UNAUTHORIZED when `token` and `Authorization` differ, or one of them is there twice and differs.
 */
export function readCredentials(
  request: IncomingMessage,
  counts?: (token: string) => boolean,
): Credentials | undefined {
  const { headers } = request;
  if (headers.token === undefined && headers.authorization === undefined) return undefined;
  const { token = [], authorization = [] } = request.headersDistinct; // Node drops all but the first `Authorization`
  if (authorization.some((text) => !AUTHORIZATION.test(text) && counts?.(text))) throw new AppError('UNAUTHORIZED');
  const carried = [
    ...token.filter((text) => text !== '').map((text): Carried => ({ token: text, scheme: 'token' })),
    ...authorization.filter((text) => text !== '').map(parseAuthorization),
  ].filter((found) => !counts || counts(found.token));
  const last = carried.at(-1);
  if (carried.some((found) => found.token !== last?.token)) throw new AppError('UNAUTHORIZED');
  if (!last?.token) return undefined;
  return { ...last, cookie: headers.cookie, proof: headers.dpop as string | undefined };
}

/** Its token is empty if it carries none. */
function parseAuthorization(text: string): Carried {
  const { scheme = 'bearer', token = '' } = AUTHORIZATION.exec(text)?.groups ?? {};
  return { token, scheme: scheme.toLowerCase() as 'bearer' | 'dpop' };
}
