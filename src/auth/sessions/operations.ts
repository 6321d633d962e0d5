import { z } from 'zod';
import { REFUSALS } from '../../http/caller.ts';
import type { ApiPart } from '../../http/openapi.ts';
import { instant, json, operation, SESSION } from '../../http/operation.ts';
import { ALGORITHMS } from './proofs.ts';
import { BIND_MS } from './store.ts';

const LOGIN_MAX_BYTES = 65_536;
/** A token, a `Cookie` header and a proof, each at most as long as the head of a request; escaped. */
const VALIDATION_MAX_BYTES = 262_144;

const SESSION_ID = 'Yk3vJ2n0T1mQ8r5sXw7aBg';
const TOKEN = `hushbox_${'an-example-not-a-token'.padEnd(43, '0')}`;

export const Text = z
  .string({ error: 'must be text' })
  .refine((value) => value.isWellFormed(), { error: 'must not hold lone surrogates' });

const Credentials = z
  .strictObject({
    username: Text.describe("The account's email address. Capital letters make no difference."),
    password: Text,
  })
  .meta({ id: 'Credentials' });

const Token = z
  .object({
    token: z
      .string()
      .regex(/^hushbox_[\w-]{43}$/)
      .describe('Send it as `token: …` or as `Authorization: Bearer …`. The server does not keep it.'),
  })
  .meta({ id: 'Token' });

const SessionItem = z
  .object({
    id: z.string(),
    created_at: instant('When the client logged in.'),
    last_used_at: instant('When its token was last used, at most a tenth of the idle time too early.'),
    expires_at: instant('When it ends if its token is not used.'),
    refreshes: z.int().min(0).describe('How often its end was moved.'),
    user_agent: z.string().describe('What the client called itself at log-in.'),
    current: z.boolean().describe('Whether this request came with its token.'),
  })
  .meta({ id: 'Session' });

/** What a request that needs a session can be refused with. */
export const UNAUTHORISED = ['UNAUTHORIZED', 'REPLAY_DETECTED', 'RATE_LIMITED', 'STORAGE_UNAVAILABLE'] as const;

export const logIn = operation('logIn', 'POST', '/login', {
  summary: 'Log in',
  description: [
    'Answers with a token that lives as long as it is used. An unknown or disabled account and a wrong password give the same answer after the same time.',
    `With a proof in the header \`DPoP\` (RFC 9449; ${ALGORITHMS.join(', ')}), the token is bound to the key of the proof: from then on it is only good as \`Authorization: DPoP …\`, each time with another proof.`,
    'Limits of failed log-ins: 30 a minute from one network (an IPv4 address, or an IPv6 /64), 300 a minute from an IPv6 /48, 100 an hour for one account. An account has 10 a minute of its own from each network that it logged in from within 30 days. 60 log-ins of an account may succeed in a minute, and it has up to 100 sessions; the oldest makes room for another.',
  ].join('\n\n'),
  headers: { DPoP: z.string().describe('A proof of possession, for a token that is bound to a key.').optional() },
  body: {
    schema: Credentials,
    limitBytes: LOGIN_MAX_BYTES,
    examples: { credentials: { username: 'demo@example.com', password: 'demo-password' } },
  },
  answer: json(200, 'The token.', Token, { token: TOKEN }),
  errors: ['INVALID_DPOP_PROOF', 'INVALID_CREDENTIALS', 'RATE_LIMITED', 'BUSY', 'STORAGE_UNAVAILABLE'],
});

export const logOut = operation('logOut', 'DELETE', '/logout', {
  summary: 'Log out',
  description: 'Ends the session. From then on its token is refused everywhere, at once.',
  security: SESSION,
  answer: { status: 204, description: 'The session has ended.' },
  errors: UNAUTHORISED,
});

export const listSessions = operation('listSessions', 'GET', '/sessions', {
  summary: "List the account's sessions",
  description: 'The newest one comes first.',
  security: SESSION,
  answer: json(200, 'The sessions that live.', z.array(SessionItem).meta({ id: 'Sessions' }), [
    {
      id: SESSION_ID,
      created_at: '2026-11-21T00:00:00.000Z',
      last_used_at: '2026-11-21T00:20:00.000Z',
      expires_at: '2026-11-21T00:50:00.000Z',
      refreshes: 3,
      user_agent: 'curl/8.14.1',
      current: true,
    },
  ]),
  errors: UNAUTHORISED,
});

export const endSession = operation('endSession', 'DELETE', '/sessions/:id', {
  summary: 'End a session',
  description: 'Any session of the same account, also the current one.',
  security: SESSION,
  params: { id: z.string().meta({ description: 'From the list of sessions.', example: SESSION_ID }) },
  answer: { status: 204, description: 'The session has ended.' },
  errors: [...UNAUTHORISED, 'UNKNOWN_ID'],
});

export const endOtherSessions = operation('endOtherSessions', 'DELETE', '/sessions', {
  summary: 'End all other sessions',
  description: 'All sessions of the account but the current one.',
  security: SESSION,
  answer: { status: 204, description: 'They have ended.' },
  errors: UNAUTHORISED,
});

export const bindSession = operation('bindSession', 'GET', '/session_cookie_experiment', {
  summary: 'Bind the session to a cookie',
  description: [
    `Sets an HttpOnly cookie. The session is bound to it when the cookie is first seen, or ${BIND_MS / 1000} s after the first answer; until then the request may be repeated. From then on the token without that cookie, or with a wrong one, is \`REPLAY_DETECTED\`, and ends the session.`,
    'Over HTTPS the cookie is `Secure`, and its name begins with `__Host-`. Over plain HTTP it is set on a loopback address only.',
  ].join('\n\n'),
  security: SESSION,
  answer: json(
    200,
    'The session is bound, or will be.',
    z.object({ session_id: z.string() }).meta({ id: 'BoundSession' }),
    { session_id: SESSION_ID },
  ),
  errors: UNAUTHORISED,
});

export const sessionsApi: ApiPart = {
  tag: { name: 'sessions', description: 'Log in, log out, and what an account is logged in with.' },
  operations: [logIn, logOut, listSessions, endSession, endOtherSessions, bindSession],
};

const Validation = z.object({
  authenticated: z.boolean(),
  code: z.enum(REFUSALS).optional(),
  is_ours: z.literal(false).optional().describe('The token does not even claim to be one of ours.'),
  user_id: z.string().optional(),
  email: z.string().optional(),
  role: z.enum(['admin', 'member']).optional(),
  session_id: z.string().optional(),
});

const OBJECT = { error: 'must be an object' };
const Url = Text.refine((text) => URL.canParse(text), { error: 'must be a URL' });

/** Of the internal listener. */
export const validateToken = operation('validateToken', 'POST', '/validateToken', {
  summary: 'Whether a token is good',
  body: {
    schema: z
      .strictObject({
        token: Text.optional(),
        cookie: Text.optional(),
        dpop: z.strictObject({ proof: Text, method: Text, url: Text }, OBJECT).optional(),
        browser: z
          .strictObject({ method: Text, url: Url, csrf_token: Text.optional() }, OBJECT)
          .optional()
          .describe('The request of a browser that came without a token: its cookies count.'),
      })
      .superRefine(({ token, browser }, context) => {
        if ((token === undefined) === (browser === undefined)) {
          context.addIssue({ code: 'custom', path: ['token'], message: 'must be text' });
        }
      }),
    limitBytes: VALIDATION_MAX_BYTES,
    examples: { token: { token: TOKEN } },
  },
  answer: json(200, 'Whether it is, and whose.', Validation, { authenticated: false, code: 'UNAUTHORIZED' }),
  errors: ['STORAGE_UNAVAILABLE'],
});
