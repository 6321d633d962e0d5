import { AppError } from '../../errors.ts';
import { readCredentials } from '../../http/caller.ts';
import { cookieModeOf } from '../../http/cookies.ts';
import { formatInstant } from '../../http/instant.ts';
import { route } from '../../http/operation.ts';
import { addHeaders } from '../../http/respond.ts';
import type { Route } from '../../http/routing.ts';
import type { AuthenticateParts } from './authenticate.ts';
import { createAuthenticate, urlOf } from './authenticate.ts';
import { clearCookies } from './browser-cookies.ts';
import type { LogIn } from './log-in.ts';
import { bindSession, endOtherSessions, endSession, listSessions, logIn, logOut, validateToken } from './operations.ts';
import type { Sessions } from './sessions.ts';

export type SessionRouteParts = Omit<AuthenticateParts, 'sessions'> & {
  sessions: Sessions;
  logIn: LogIn;
};

/** Log in and out; sessions. */
export function sessionRoutes(parts: SessionRouteParts): Route[] {
  const { sessions, networksOf, baseOf } = parts;
  const authenticate = createAuthenticate(parts);
  return [
    route(logIn, [], async ({ ctx, request, readBody }) => {
      const networks = networksOf(request); // before the body: the connection may be gone after it
      const { username, password } = await readBody();
      const { dpop, 'user-agent': userAgent } = request.headers;
      const proof = dpop === undefined ? undefined : { proof: String(dpop), method: 'POST', url: urlOf(ctx, baseOf) };
      const { requestId } = ctx.state;
      const opened = await parts.logIn({ kind: 'token', username, password, networks, userAgent, proof, requestId });
      return { token: opened.token };
    }),

    route(logOut, [], async ({ ctx, request }) => {
      await sessions.logOut(await authenticate(ctx), ctx.state.requestId);
      if (ctx.state.isByCookie) addHeaders(ctx, { 'set-cookie': clearCookies(isSecureAt(baseOf(request))) });
      return undefined;
    }),

    route(listSessions, [], async ({ ctx }) => {
      const current = await authenticate(ctx);
      return (await sessions.list(current)).map((session) => ({
        id: session.id,
        created_at: formatInstant(session.createdAt),
        last_used_at: formatInstant(session.usedAt),
        expires_at: formatInstant(session.expiresAt),
        refreshes: session.refreshes,
        user_agent: session.userAgent,
        current: session.id === current.id,
      }));
    }),

    route(endSession, [], async ({ ctx, params }) => {
      await sessions.end(await authenticate(ctx), params.id, ctx.state.requestId);
      return undefined;
    }),

    route(endOtherSessions, [], async ({ ctx }) => {
      await sessions.endOthers(await authenticate(ctx), ctx.state.requestId);
      return undefined;
    }),

    route(bindSession, [], async ({ ctx, request }) => {
      // Before the token: a request that is refused extends nothing.
      const isSecure = readCredentials(request) && isSecureAt(baseOf(request));
      const session = await authenticate(ctx);
      const cookie = await sessions.offerCookie(session, isSecure === true);
      if (cookie !== undefined) addHeaders(ctx, { 'set-cookie': cookie });
      return { session_id: session.id };
    }),
  ];
}

/** For the internal listener: what services ask that take tokens. */
export function validationRoute(sessions: Pick<Sessions, 'validate' | 'validateBrowser' | 'claimsOurs'>): Route {
  return route(validateToken, [], async ({ ctx, request, readBody }) => {
    const { token = '', cookie, dpop: proof, browser } = await readBody();
    const { requestId } = ctx.state;
    const callId = request.headers['hushbox-call-id'] as string | undefined;
    const validation = browser
      ? await sessions.validateBrowser({ ...browser, cookie, csrfToken: browser.csrf_token, requestId })
      : await sessions.validate({ token, cookie, proof, callId, requestId });
    if (!validation.authenticated) {
      const isForeign = !browser && !(await sessions.claimsOurs(token));
      return { ...validation, ...(isForeign && { is_ours: false as const }) };
    }
    const { accountId, email, role, id } = validation.session;
    return { authenticated: true, user_id: accountId, email, role, session_id: id };
  });
}

/**
 * Whether cookies are set and read under their names for HTTPS.
 * @throws AppError HTTPS_REQUIRED: elsewhere than on a loopback address, a cookie needs HTTPS.
 */
export function isSecureAt(base: string): boolean {
  const mode = cookieModeOf(base);
  if (mode === 'none') throw new AppError('HTTPS_REQUIRED');
  return mode === 'secure';
}
