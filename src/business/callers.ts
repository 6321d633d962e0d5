import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { AppError } from '../errors.ts';
import { type Caller, type Credentials, type MayBeOurs, readCredentials } from '../http/caller.ts';
import type { Admit } from '../http/origin.ts';
import { isWholeUrl } from '../http/whole-url.ts';
import { countBadToken, type Limiter } from '../limits/limiter.ts';
import { type AuthClient, ForeignToken } from './auth-client.ts';

export type CallersParts = {
  ask: AuthClient['ask'];
  limiter: Limiter;
  networkOf(request: IncomingMessage): string;
  /** The URL of the service, as the client sees it. */
  baseOf(request: IncomingMessage): string;
  /** Refuses requests of foreign pages where cookies authenticate. */
  admitCookies: Admit;
};

export type Callers = {
  /**
   * @throws AppError UNAUTHORIZED, also without a token; REPLAY_DETECTED; RATE_LIMITED after too many bad ones;
   *   AUTH_UNAVAILABLE. For cookies: CSRF_FAILED, FOREIGN_ORIGIN, HTTPS_REQUIRED.
   */
  require(ctx: Context): Promise<Caller>;
  /**
   * As `require`, but without a token of ours there is no caller: tokens of others mean nothing here.
   * @param mayBe whether a token may be one of ours; the service that knows tokens says whether it is.
   */
  find(ctx: Context, mayBe: MayBeOurs): Promise<Caller | undefined>;
};

/** Who sends a request. */
export function createCallers({ ask, limiter, networkOf, baseOf, admitCookies }: CallersParts): Callers {
  /** @param isLenient for a token that is not one of ours there is no caller. */
  async function check(ctx: Context, credentials: Credentials, isLenient: boolean): Promise<Caller | undefined> {
    const network = networkOf(ctx.req); // now: the connection may be gone later
    if (credentials.scheme === 'cookie') admitCookies(ctx);
    try {
      return await ask(credentials, { method: ctx.method, url: urlOf(ctx, baseOf) });
    } catch (error) {
      if (credentials.scheme === 'dpop') ctx.state.challenge = 'DPoP'; // RFC 9449 §7.1
      const isBad = error instanceof AppError && error.code === 'UNAUTHORIZED';
      if (isLenient && error instanceof ForeignToken) return undefined;
      throw (isBad && (await countBadToken(limiter, network))) || error;
    }
  }

  return {
    async require(ctx) {
      const credentials = readCredentials(ctx.req);
      if (!credentials) throw new AppError('UNAUTHORIZED');
      return (await check(ctx, credentials, false)) as Caller;
    },
    async find(ctx, mayBe) {
      const credentials = readCredentials(ctx.req, mayBe);
      // Of a request for another server's URL the cookies are that server's.
      if (!credentials || (credentials.scheme === 'cookie' && isWholeUrl(ctx.req))) return undefined;
      return check(ctx, credentials, true);
    },
  };
}

/** The URL of a request; of one whose target is another server's URL, that. */
function urlOf({ req, path }: Context, baseOf: CallersParts['baseOf']): string {
  return isWholeUrl(req) ? (req.url as string) : baseOf(req) + path;
}
