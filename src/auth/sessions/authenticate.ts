import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { AppError } from '../../errors.ts';
import { readCredentials } from '../../http/caller.ts';
import { countBadToken, type Limiter } from '../../limits/limiter.ts';
import { CHALLENGE } from './proofs.ts';
import type { Sessions } from './sessions.ts';
import type { Session } from './store.ts';

export type AuthenticateParts = {
  sessions: Pick<Sessions, 'validate'>;
  limiter: Limiter;
  networkOf(request: IncomingMessage): string;
  /** The URL of the service, as the client sees it. */
  baseOf(request: IncomingMessage): string;
};

/**
 * @returns the session whose token a request carries.
 * @throws AppError UNAUTHORIZED, also without a token; REPLAY_DETECTED; RATE_LIMITED after too many bad ones.
 */
export type Authenticate = (ctx: Context) => Promise<Session>;

export function createAuthenticate({ sessions, limiter, networkOf, baseOf }: AuthenticateParts): Authenticate {
  return async (ctx) => {
    const credentials = readCredentials(ctx.req);
    if (!credentials) throw new AppError('UNAUTHORIZED');
    const { token, scheme, cookie, proof = '' } = credentials;
    const network = networkOf(ctx.req); // now: the connection may be gone later
    const isProven = scheme === 'dpop';
    const validation = await sessions.validate({
      ...{ token, cookie, requestId: ctx.state.requestId },
      proof: isProven ? { proof, method: ctx.method, url: urlOf(ctx, baseOf) } : undefined,
    });
    if (validation.authenticated) return validation.session;
    if (isProven) ctx.state.challenge = CHALLENGE;
    const refusal = await countBadToken(limiter, network);
    throw refusal && validation.code === 'UNAUTHORIZED' ? refusal : new AppError(validation.code);
  };
}

/** The URL of a request, without its query. */
export function urlOf({ req, path }: Context, baseOf: (request: IncomingMessage) => string): string {
  return baseOf(req) + path;
}
