import { type ApiPart, errorAnswers, jsonAnswer, type Operation } from '../http/openapi.ts';
import { CLAIMS_MAX_BYTES, LIST_LENGTH } from './sink.ts';
import { KEPT_MS } from './store.ts';

const KEPT_DAYS = KEPT_MS / 1000 / 86_400;
const CLAIMS = {
  iat: 1_795_219_200,
  jti: 'q3Vb0m0yV9dQkq4J2m0Jrg',
  payload: { user: 'username', date: '2026-11-21' },
};

/** The default destination of calls out. */
export function describeSink(): ApiPart {
  return {
    tag: { name: 'sink', description: 'Where calls out go that name no other destination: shows who sent them.' },
    paths: { '/server': { post: receiveCall, get: listCalls } },
    schemas: {
      Claims,
      ClaimsList: { type: 'array', maxItems: LIST_LENGTH, items: { $ref: '#/components/schemas/Claims' } },
    },
  };
}

const Claims = {
  type: 'object',
  required: ['iat', 'jti', 'payload'],
  properties: {
    iat: { type: 'number', description: 'When the token was made, in seconds since the epoch.' },
    jti: { type: 'string', minLength: 1, maxLength: 256, description: 'Of this token alone.' },
    payload: {
      type: 'object',
      required: ['user', 'date'],
      properties: { user: { type: 'string' }, date: { type: 'string', description: 'YYYY-MM-DD, in UTC.' } },
    },
  },
};

const receiveCall: Operation = {
  operationId: 'receiveCall',
  tags: ['sink'],
  summary: 'Receive a signed call',
  description: [
    `Takes the token in \`x-my-jwt\`: a JWT under HS512 and this server's key, with \`iat\`, \`jti\` (up to 256 characters) and \`payload\` with \`user\` and \`date\`, all of it up to ${CLAIMS_MAX_BYTES} bytes. \`UNAUTHORIZED\` where there is none or it is not such a one, also where \`iat\` is more than 5 minutes off, counted in whole seconds; \`exp\` and \`nbf\` hold where they are there, and a token with an \`aud\` is for somebody else.`,
    `Each \`jti\` is taken once, over all workers and hosts that share a database, for as long as its claims are kept: ${KEPT_DAYS} days. \`payload\` is kept with whatever else is in it; other claims are not.`,
    'The body may be anything, up to 16 MiB: it is read and dropped.',
  ].join('\n\n'),
  parameters: [
    {
      name: 'x-my-jwt',
      in: 'header',
      required: true,
      description: 'The token.',
      schema: { type: 'string' },
    },
  ],
  responses: {
    201: jsonAnswer('The claims, as they are kept.', 'Claims', CLAIMS),
    ...errorAnswers(['UNAUTHORIZED', 'TOKEN_REPLAYED', 'TOO_LARGE', 'STORAGE_UNAVAILABLE', 'STORAGE_FULL']),
  },
};

const listCalls: Operation = {
  operationId: 'listCalls',
  tags: ['sink'],
  summary: `List the newest ${LIST_LENGTH} calls`,
  description:
    'The last one first. In production only for who sends the `PROXY_TOKEN` as `Authorization: Bearer` or `Proxy-Authorization: Bearer`, and for nobody where the server was given none; otherwise for everybody.',
  security: [{}, { proxyToken: [] }],
  responses: {
    200: jsonAnswer('What they claimed.', 'ClaimsList', [CLAIMS]),
    ...errorAnswers(['UNAUTHORIZED', 'STORAGE_UNAVAILABLE']),
  },
};
