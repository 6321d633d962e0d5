import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import { dropBody } from '../http/body.ts';
import type { ApiPart } from '../http/openapi.ts';
import { type Guard, json, operation, route } from '../http/operation.ts';
import type { Admit } from '../http/origin.ts';
import type { Route } from '../http/routing.ts';
import { findOtherServer } from '../http/whole-url.ts';
import { type ForwardParts, forward } from './forward.ts';
import { addedToAnswers, isLoop, valuesOf } from './headers.ts';

const forwardRequest = operation('forwardRequest', 'POST', '/proxy', {
  summary: 'Sign a request and send it on',
  description: [
    'The body is passed on unchanged, whatever its type and length, as a POST to `Destination`, or to `/server` without one. `x-my-jwt` is added: a JWT with the header `{"alg":"HS512","typ":"JWT"}` and the claims `iat` (seconds), `jti` (128 random bits) and `payload` with `user` and `date` (YYYY-MM-DD, UTC). `user` is the email address of the account that is logged in, if the request carries a token of `POST /login` (one that is not valid is `UNAUTHORIZED`; any other `token` or `Authorization` is ignored), and otherwise the same for all. Nothing is sent twice, and redirects are not followed.',
    'Not passed on: hop-by-hop headers, `Proxy`, `Proxy-…`, `Destination`, `Cookie`, `Authorization`, `token`, `DPoP`, `X-CSRFToken`, `Forwarded`, `X-Forwarded-…`, `X-Real-IP`, an `x-my-jwt` of the client, and any of these with `_` or `.` in place of `-`. `Expect: 100-continue` is passed on, and the body is asked for once the destination asks. `Via` is added, with a name of this installation (`hushbox-` and 8 hex digits); if that name is already in it, the answer is `LOOP_DETECTED`.',
    "The destination's status, headers and body come back. Not passed back: hop-by-hop headers, `Set-Cookie`, `Clear-Site-Data`, `Alt-Svc`, `Strict-Transport-Security`, `NEL`, `Report-To`, `Access-Control-…`, `X-Accel-…`, `X-Sendfile`, `Accept-CH`, `Set-Login`, `Sec-Session-Registration` and their like, `WWW-Authenticate: Basic`, trailers, and every header that this server sets in all its answers; `Content-Security-Policy` is `sandbox`. An answer that breaks off breaks off here too.",
    'The same as a proxy of HTTP (RFC 9110 §3.7): a POST whose request target is the whole URL of another server, as `curl -x` sends it, goes there. `Proxy-Authorization` may then be `Basic`, with the token as the password. Any other method is 405; where no proxy is served, such a request is 421.',
    'Loopback, private, link-local and other special addresses are `DESTINATION_FORBIDDEN`, however they are written or looked up, unless the server is configured to allow them. `UPSTREAM_FAILED` stands for every other failure at the destination; `UPSTREAM_TIMEOUT` for no connection within 5 s, 30 s of silence, or 60 s in all.',
  ].join('\n\n'),
  security: ['none', 'proxyAuthorization'],
  headers: {
    Destination: z
      .string()
      .meta({ format: 'uri', description: 'An http or https URL without credentials, once.' })
      .optional(),
  },
  anyBody: true,
  answer: json(
    201,
    'Without a destination: what `POST /server` answers.',
    z.unknown().meta({ $ref: '#/components/schemas/Claims' }),
    {
      iat: 1_795_219_200,
      jti: 'q3Vb0m0yV9dQkq4J2m0Jrg',
      payload: { user: 'username', date: '2026-11-21' },
    },
  ),
  passedOn: 'What the destination answered, with any status.',
  errors: [
    'UNAUTHORIZED',
    'REPLAY_DETECTED',
    'DESTINATION_FORBIDDEN',
    'PROXY_AUTHENTICATION_REQUIRED',
    'UPSTREAM_FAILED',
    'DESTINATION_BUSY',
    'RATE_LIMITED',
    'AUTH_UNAVAILABLE',
    'DRAINING',
    'STORAGE_UNAVAILABLE',
    'UPSTREAM_TIMEOUT',
    'STORAGE_FULL',
    'LOOP_DETECTED',
  ],
});

export const proxyApi: ApiPart = {
  tag: { name: 'proxy', description: 'Signs requests with `x-my-jwt` and sends them on.' },
  operations: [forwardRequest],
};

export type ProxyParts = ForwardParts & {
  /** Decide who may have requests signed. */
  guards: readonly Guard[];
  /** Makes the token of one request. @param user who sends it; undefined for somebody who is not known. */
  sign(user: string | undefined): string;
  /** @returns who is logged in, if anybody. @throws AppError for credentials that are not valid. */
  findUser(ctx: Context): Promise<string | undefined>;
};
export type ProxyRouteParts = ProxyParts & {
  /** Takes the token of a request without a destination; its answer, or the error it throws, comes back. */
  receive(token: string): Promise<object>;
};

/** Signs requests and sends them on. */
export function proxyRoute({ guards, sign, findUser, receive, ...parts }: ProxyRouteParts): Route {
  const added = addedToAnswers(parts.ownName);
  return route(forwardRequest, guards, async ({ ctx, request }) => {
    if (isLoop(request, parts.ownName)) throw new AppError('LOOP_DETECTED');
    const destination = findDestination(request);
    const user = await findUser(ctx);
    if (destination !== undefined) {
      await forward(ctx, destination, sign(user), parts);
      return undefined;
    }
    await dropBody(request, Number.POSITIVE_INFINITY);
    const received = await receive(sign(user));
    for (let index = 0; index < added.length; index += 2) ctx.set(added[index] as string, added[index + 1] as string);
    return received;
  });
}

/**
 * As the route, for a request whose target is the URL of another server: so clients ask a server that they know as their
 * proxy.
 * @param parts undefined where that is not served.
 * @param admit what every request has to pass.
 * @returns a function that returns undefined for any other request.
 */
export function forwardProxy(
  parts: ProxyParts | undefined,
  publicUrl: string | undefined,
  admit: Admit,
): (ctx: Context) => Promise<void> | undefined {
  async function run(ctx: Context, url: string): Promise<void> {
    admit(ctx);
    if (!parts) throw new AppError('MISDIRECTED', { detail: 'This server is not a proxy for other servers' });
    ctx.state.route = forwardRequest.path;
    if (ctx.method !== forwardRequest.method) {
      ctx.set('allow', forwardRequest.method);
      throw new AppError('METHOD_NOT_ALLOWED');
    }
    for (const guard of parts.guards) await guard(ctx);
    if (isLoop(ctx.req, parts.ownName)) throw new AppError('LOOP_DETECTED');
    const user = await parts.findUser(ctx);
    await forward(ctx, url, parts.sign(user), parts);
  }

  return (ctx) => {
    const url = findOtherServer(ctx.req, publicUrl);
    return url === undefined ? undefined : run(ctx, url);
  };
}

/** @throws AppError INVALID_REQUEST when there are two, or one that is not text. */
function findDestination(request: IncomingMessage): string | undefined {
  const [destination, ...more] = valuesOf(request, 'destination');
  if (more.length > 0) throw new AppError('INVALID_REQUEST', { detail: 'Destination must be given once' });
  if (destination === undefined || /^[\x20-\x7e]*$/.test(destination)) return destination;
  // The client sends UTF-8, and Node takes each of its bytes for a character.
  const bytes = Buffer.from(destination, 'latin1');
  if (!isUtf8(bytes)) throw new AppError('INVALID_REQUEST', { detail: 'Destination must be UTF-8' });
  return bytes.toString();
}
