import { z } from 'zod';
import type { ApiPart } from '../../http/openapi.ts';
import { instant, json, operation } from '../../http/operation.ts';
import { Text, UNAUTHORISED } from './operations.ts';

/** Of every body of `/api/v1/`. */
export const FORM_MAX_BYTES = 65_536;

const EXAMPLE_USER = {
  user_id: 'mJ1cB0x8Qm2n4vT6yKp3sA',
  email: 'some@email.ee',
  role: 'member',
  session_id: 'Yk3vJ2n0T1mQ8r5sXw7aBg',
  expires_at: '2026-11-21T00:05:00.000Z',
} as const;

const User = z
  .object({
    user_id: z.string(),
    email: z.string(),
    role: z.enum(['admin', 'member']),
    session_id: z.string(),
    expires_at: instant('Until when the token is good, unless its session ends before.'),
  })
  .meta({ id: 'User' });

const COOKIES =
  'The cookies `access_token` and `refresh_token` are HttpOnly; scripts read `csrftoken`, and send its value as `X-CSRFToken`. Over HTTPS their names begin with `__Host-`. Over plain HTTP they are set on a loopback address only.';

export const signIn = operation('signIn', 'POST', '/api/v1/login', {
  summary: 'Sign in with a browser',
  description: `Sets the cookies of a session. The same limits as of \`POST /login\` hold. ${COOKIES}`,
  body: {
    schema: z.strictObject({ email: Text, password: Text }).meta({ id: 'SignIn' }),
    limitBytes: FORM_MAX_BYTES,
    examples: { credentials: { email: 'some@email.ee', password: 'ghbdtn007' } },
    isFormToo: true,
  },
  answer: json(200, 'Who signed in.', User, EXAMPLE_USER),
  errors: ['INVALID_CREDENTIALS', 'HTTPS_REQUIRED', 'RATE_LIMITED', 'BUSY', 'STORAGE_UNAVAILABLE'],
});

export const refreshSession = operation('refreshSession', 'POST', '/api/v1/login/refresh', {
  summary: 'Get new cookies for old ones',
  description:
    'The cookie `refresh_token` alone is needed, and of a session that is bound to a cookie (`/session_cookie_experiment`) that one too: without it the session ends. A refresh token that is used again gives the same successor, until that is used or 60 s have passed; after that its use ends the session: `REPLAY_DETECTED`.',
  security: ['refreshCookie'],
  answer: json(200, 'Who is signed in.', User, EXAMPLE_USER),
  errors: [
    'UNAUTHORIZED',
    'REPLAY_DETECTED',
    'FOREIGN_ORIGIN',
    'HTTPS_REQUIRED',
    'RATE_LIMITED',
    'STORAGE_UNAVAILABLE',
  ],
});

export const verifyToken = operation('verifyToken', 'POST', '/api/v1/verify', {
  summary: 'Whether a token is good',
  description:
    'For services that were sent a token: of `POST /login`, or an access token. Cookies are ignored; nothing is extended. A token that is bound to a key or to a cookie is not good here.',
  body: {
    schema: z.strictObject({ token: Text }).meta({ id: 'TokenToVerify' }),
    limitBytes: FORM_MAX_BYTES,
    examples: { token: { token: 'hushbox_an-example-not-a-token' } },
    isFormToo: true,
  },
  answer: json(200, 'It is good, and whose.', User, EXAMPLE_USER),
  errors: ['UNAUTHORIZED', 'RATE_LIMITED', 'STORAGE_UNAVAILABLE'],
});

const COOKIE = ['sessionCookie'] as const;

export const testSession = operation('testSession', 'POST', '/api/v1/test', {
  summary: 'Whether a browser is signed in, and sends its `X-CSRFToken`',
  security: COOKIE,
  answer: json(200, 'Who is signed in.', User.omit({ expires_at: true }), {
    user_id: EXAMPLE_USER.user_id,
    email: EXAMPLE_USER.email,
    role: EXAMPLE_USER.role,
    session_id: EXAMPLE_USER.session_id,
  }),
  errors: UNAUTHORISED,
});

export const signOut = operation('signOut', 'POST', '/api/v1/logout', {
  summary: 'Sign out',
  description: 'Clears the cookies and ends the session, and with it all its tokens.',
  security: COOKIE,
  answer: { status: 204, description: 'The session has ended.' },
  errors: UNAUTHORISED,
});

const Jwks = z
  .object({ keys: z.array(z.record(z.string(), z.unknown())) })
  .meta({ id: 'Jwks', description: 'RFC 7517.' });

export const getJwks = operation('getJwks', 'GET', '/.well-known/jwks.json', {
  summary: 'The keys that access tokens are verified with',
  description:
    'Access tokens are JWTs under ES256 (RFC 9068): `iss`, `aud` (`hushbox`), `sub` (the account), `sid` (the session), `exp`. The next key is here before it signs. Whoever verifies a token with these keys alone does not see that its session has ended; `POST /api/v1/verify/` does.',
  answer: json(200, 'The keys. May be kept for five minutes.', Jwks, {
    keys: [{ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig', kid: '…', x: '…', y: '…' }],
  }),
  errors: ['STORAGE_UNAVAILABLE'],
});

export const browserApi: ApiPart = {
  tag: { name: 'browser sessions', description: 'Sign in with a browser; tokens that other services verify.' },
  operations: [signIn, refreshSession, verifyToken, testSession, signOut, getJwks],
};
