import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { AppError } from '../../errors.ts';
import { type Credentials, readCredentials } from '../../http/caller.ts';
import type { Admit } from '../../http/origin.ts';
import { countBadToken, type Limiter } from '../../limits/limiter.ts';
import type { Networks } from '../accounts/password-check.ts';
import { CHALLENGE } from './proofs.ts';
import type { Sessions, Validation } from './sessions.ts';
import type { Session } from './store.ts';

export type AuthenticateParts = {
  sessions: Pick<Sessions, 'validate' | 'validateBrowser'>;
  limiter: Limiter;
  networksOf(request: IncomingMessage): Networks;
  /** The URL of the service, as the client sees it. */
  baseOf(request: IncomingMessage): string;
  /** Refuses requests of foreign pages where cookies authenticate. */
  admitCookies: Admit;
};

/**
 * @returns the session whose token or cookies a request carries.
 * @throws AppError UNAUTHORIZED, also without a token; REPLAY_DETECTED; RATE_LIMITED after too many bad ones.
 *   For cookies: CSRF_FAILED, FOREIGN_ORIGIN, HTTPS_REQUIRED.
 */
export type Authenticate = (ctx: Context) => Promise<Session>;

export type AuthenticateOptions = {
  /**
   * Requires the cookies of a browser and its `X-CSRFToken`, whatever else it sends: CSRF_FAILED for a client that is
   * logged in without cookies.
   */
  isOnlyForBrowsers?: boolean;
};

export function createAuthenticate(
  parts: AuthenticateParts,
  { isOnlyForBrowsers = false }: AuthenticateOptions = {},
): Authenticate {
  const { sessions, limiter, networksOf, baseOf, admitCookies } = parts;

  async function validate(ctx: Context, credentials: Credentials): Promise<Validation> {
    const { requestId } = ctx.state;
    if (credentials.scheme === 'cookie') {
      admitCookies(ctx);
      ctx.state.isByCookie = true;
      const { cookie, csrfToken } = credentials;
      return sessions.validateBrowser({ cookie, csrfToken, method: ctx.method, url: urlOf(ctx, baseOf), requestId });
    }
    const { token, scheme, cookie, proof = '' } = credentials;
    return sessions.validate({
      ...{ token, cookie, requestId, isOnlyForBrowsers },
      proof: scheme === 'dpop' ? { proof, method: ctx.method, url: urlOf(ctx, baseOf) } : undefined,
    });
  }

  return async (ctx) => {
    const credentials = readCredentials(ctx.req);
    if (!credentials) throw new AppError('UNAUTHORIZED');
    const { network } = networksOf(ctx.req); // now: the connection may be gone later
    const validation = await validate(ctx, credentials);
    if (validation.authenticated) return validation.session;
    if (credentials.scheme === 'dpop') ctx.state.challenge = CHALLENGE;
    const refusal = await countBadToken(limiter, network);
    throw refusal && validation.code === 'UNAUTHORIZED' ? refusal : new AppError(validation.code);
  };
}

/** The URL of a request, without its query. */
export function urlOf({ req, path }: Context, baseOf: (request: IncomingMessage) => string): string {
  return baseOf(req) + path;
}
