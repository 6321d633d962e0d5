import { hash } from 'node:crypto';
import type { Context } from 'koa';
import { AppError } from '../../errors.ts';
import { formatInstant } from '../../http/instant.ts';
import { route } from '../../http/operation.ts';
import type { Admit } from '../../http/origin.ts';
import { addHeaders } from '../../http/respond.ts';
import type { Route } from '../../http/routing.ts';
import { per, reserveOrRefuse } from '../../limits/limiter.ts';
import { JWKS_MAX_AGE_MS, type SigningKeys } from '../../tokens/access/signing-keys.ts';
import { type AuthenticateParts, createAuthenticate } from './authenticate.ts';
import type { BrowserSessions, Issued } from './browser.ts';
import { clearCookies, readSessionCookie } from './browser-cookies.ts';
import { getJwks, refreshSession, signIn, signOut, testSession, verifyToken } from './browser-operations.ts';
import type { LogIn } from './log-in.ts';
import { isSecureAt } from './routes.ts';
import type { Sessions } from './sessions.ts';
import type { Session } from './store.ts';

const REFRESH_LIMIT = per(60_000, 300);
const VERIFY_LIMIT = per(60_000, 300);

export type BrowserRouteParts = Omit<AuthenticateParts, 'sessions'> & {
  sessions: Sessions;
  browser: BrowserSessions;
  keys: Pick<SigningKeys, 'load'>;
  /** @throws AppError STORAGE_UNAVAILABLE while it is unknown whether the database was restored, and the keys are old. */
  refusedUntil(): number;
  logIn: LogIn;
};

/** Sign in and out with a browser; tokens that others verify. */
export function browserRoutes(parts: BrowserRouteParts): Route[] {
  const { sessions, browser, keys, limiter, networksOf, baseOf, admitCookies } = parts;
  const requireBrowser = createAuthenticate(parts, { isOnlyForBrowsers: true });
  return [
    route(signIn, [], async ({ ctx, request, readBody }) => {
      const networks = networksOf(request); // before the body: the connection may be gone after it
      const isSecure = admitCookie(ctx, baseOf, admitCookies);
      const { email: username, password } = await readBody();
      const { 'user-agent': userAgent } = request.headers;
      const { requestId } = ctx.state;
      const attempt = {
        kind: 'browser',
        username,
        password,
        networks,
        userAgent,
        proof: undefined,
        requestId,
      } as const;
      const { session } = await parts.logIn(attempt);
      return answerWith(ctx, await browser.begin(session, isSecure));
    }),

    route(refreshSession, [], async ({ ctx, request }) => {
      const { network } = networksOf(request);
      const isSecure = admitCookie(ctx, baseOf, admitCookies);
      const token = readSessionCookie(request.headers.cookie, 'refresh', isSecure);
      if (token === undefined) throw new AppError('UNAUTHORIZED');
      const use = { name: `refresh from ${network}`, limit: REFRESH_LIMIT };
      await reserveOrRefuse(limiter, [use], 'Too many refreshes in a short time');
      const { cookie } = request.headers;
      const { requestId } = ctx.state;
      return answerWith(ctx, await browser.refresh({ token, cookie, isSecure, requestId }));
    }),

    route(verifyToken, [], async ({ request, readBody }) => {
      const { network } = networksOf(request);
      const { token } = await readBody();
      const use = { name: `verify from ${network}`, limit: VERIFY_LIMIT };
      await reserveOrRefuse(limiter, [use], 'Too many tokens to verify in a short time');
      const found = await sessions.look(token);
      if (!found) throw new AppError('UNAUTHORIZED');
      return userUntil(found.session, found.until);
    }),

    route(testSession, [], async ({ ctx }) => userOf(await requireBrowser(ctx))),

    route(signOut, [], async ({ ctx, request }) => {
      await sessions.logOut(await requireBrowser(ctx), ctx.state.requestId);
      addHeaders(ctx, { 'set-cookie': clearCookies(isSecureAt(baseOf(request))) });
      return undefined;
    }),

    route(getJwks, [], async ({ ctx, request }) => {
      parts.refusedUntil();
      const body = { keys: (await keys.load()).all.map(({ jwk }) => jwk) };
      const etag = `"${hash('sha256', JSON.stringify(body), 'base64url')}"`;
      addHeaders(ctx, { 'cache-control': `public, max-age=${JWKS_MAX_AGE_MS / 1000}`, etag });
      if (!hasTag(request.headers['if-none-match'], etag)) return body;
      ctx.status = 304;
      return undefined;
    }),
  ];
}

/** @returns whether the cookies that are about to be set are for HTTPS. @throws AppError FOREIGN_ORIGIN, HTTPS_REQUIRED. */
function admitCookie(ctx: Context, baseOf: AuthenticateParts['baseOf'], admitCookies: Admit): boolean {
  admitCookies(ctx);
  return isSecureAt(baseOf(ctx.req));
}

/** RFC 9110 §13.1.2, with its weak comparison. */
function hasTag(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  return tags.includes(etag) || tags.includes('*');
}

function answerWith(ctx: Context, { session, cookies, expiresAt }: Issued) {
  addHeaders(ctx, { 'set-cookie': cookies });
  return userUntil(session, expiresAt);
}

type Owned = Pick<Session, 'accountId' | 'email' | 'role' | 'id'>;

/** Whose a token is, and until when that holds (ms), as the API and Kafka say it. */
export function userUntil(session: Owned, until: number) {
  return { ...userOf(session), expires_at: formatInstant(until) };
}

function userOf({ accountId, email, role, id }: Owned) {
  return { user_id: accountId, email, role, session_id: id };
}
