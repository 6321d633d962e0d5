import { z } from 'zod';
import { dropBody } from '../http/body.ts';
import type { ApiPart } from '../http/openapi.ts';
import { type Guard, json, operation, route } from '../http/operation.ts';
import type { Route } from '../http/routing.ts';
import { CLAIMS_MAX_BYTES, LIST_LENGTH, type Sink } from './sink.ts';
import { KEPT_MS } from './store.ts';

const KEPT_DAYS = KEPT_MS / 1000 / 86_400;
const EXAMPLE = {
  iat: 1_795_219_200,
  jti: 'q3Vb0m0yV9dQkq4J2m0Jrg',
  payload: { user: 'username', date: '2026-11-21' },
};

const Claims = z
  .object({
    iat: z.number().describe('When the token was made, in seconds since the epoch.'),
    jti: z.string().min(1).max(256).describe('Unique to this token.'),
    payload: z.looseObject({ user: z.string(), date: z.string().describe('YYYY-MM-DD, in UTC.') }),
  })
  .meta({ id: 'Claims' });

const receiveCall = operation('receiveCall', 'POST', '/server', {
  summary: 'Receive a signed call',
  description: [
    `Takes the token in \`x-my-jwt\`: a JWT signed with HS512 and this server's key, with \`iat\`, \`jti\` (up to 256 characters) and \`payload\` with \`user\` and \`date\`, together at most ${CLAIMS_MAX_BYTES} bytes. \`UNAUTHORIZED\` if the token is missing or anything about it is wrong, including an \`iat\` that is more than 5 minutes off (in whole seconds), an \`exp\` or \`nbf\` that does not hold, and any \`aud\`: such a token is meant for another service.`,
    `Each \`jti\` is accepted once, over all workers and hosts that share a database, for as long as its claims are kept: ${KEPT_DAYS} days. \`payload\` is kept with everything in it; other claims are not.`,
    'The body may be anything, up to 16 MiB: it is read and dropped.',
  ].join('\n\n'),
  headers: { 'x-my-jwt': z.string().describe('The token.') },
  answer: json(201, 'The claims, as they are kept.', Claims, EXAMPLE),
  errors: ['UNAUTHORIZED', 'TOKEN_REPLAYED', 'TOO_LARGE', 'STORAGE_UNAVAILABLE', 'STORAGE_FULL'],
});

const listCalls = operation('listCalls', 'GET', '/server', {
  summary: `List the newest ${LIST_LENGTH} calls`,
  description:
    'The newest call comes first. In production this needs the `PROXY_TOKEN` as `Authorization: Bearer` or `Proxy-Authorization: Bearer`; if the server has none, nobody gets the list. Outside of production everybody does.',
  security: ['none', 'proxyToken'],
  answer: json(200, 'The claims of these calls.', z.array(Claims).max(LIST_LENGTH).meta({ id: 'ClaimsList' }), [
    EXAMPLE,
  ]),
  errors: ['UNAUTHORIZED', 'STORAGE_UNAVAILABLE'],
});

export const sinkApi: ApiPart = {
  tag: { name: 'sink', description: 'The default destination of calls out: shows who sent them.' },
  operations: [receiveCall, listCalls],
};

/** @param guards decide who may list what was received. */
export function sinkRoutes(sink: Sink, guards: readonly Guard[]): Route[] {
  return [
    route(receiveCall, [], async ({ request }) => {
      await dropBody(request);
      return sink.receive(request.headers['x-my-jwt'] as string | undefined);
    }),
    route(listCalls, guards, () => sink.list()),
  ];
}
