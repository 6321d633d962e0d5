import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';

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

/** RFC 6750 §2.1, RFC 9449 §7.1. */
const AUTHORIZATION = /^(?<scheme>bearer|dpop) +(?<token>\S+)$/i;

/** @returns undefined without any; throws UNAUTHORIZED where `token` and `Authorization` differ. */
export function readCredentials({ headers }: IncomingMessage): Credentials | undefined {
  const own = typeof headers.token === 'string' && headers.token !== '' ? headers.token : undefined;
  const { scheme, token } = AUTHORIZATION.exec(headers.authorization ?? '')?.groups ?? {};
  if (own !== undefined && headers.authorization !== undefined && own !== token) throw new AppError('UNAUTHORIZED');
  const carried = { cookie: headers.cookie, proof: headers.dpop as string | undefined };
  if (scheme !== undefined && token !== undefined) {
    return { token, scheme: scheme.toLowerCase() as 'bearer' | 'dpop', ...carried };
  }
  return own === undefined ? undefined : { token: own, scheme: 'token', ...carried };
}
