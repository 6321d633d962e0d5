import { type ApiPart, errorAnswers, jsonAnswer, type Operation, type Schema } from '../http/openapi.ts';

/** Requests that are signed and sent on. */
export function describeProxy(): ApiPart {
  return {
    tag: { name: 'proxy', description: 'Signs requests with `x-my-jwt` and sends them on.' },
    paths: { '/proxy': { post: forwardRequest } },
    schemas: {},
  };
}

const anyBody = { 'application/octet-stream': { schema: {} } } as const satisfies Schema;

const forwardRequest: Operation = {
  operationId: 'forwardRequest',
  tags: ['proxy'],
  summary: 'Sign a request and send it on',
  description: [
    'The body goes on as it comes, of any type and length, as a POST to `Destination`, or to `/server` without one. `x-my-jwt` is added: a JWT with the header `{"alg":"HS512","typ":"JWT"}`, and `iat` (seconds), `jti` (128 random bits) and `payload` with `user` and `date` (YYYY-MM-DD, UTC) for claims. Nothing is sent twice, no redirect is followed.',
    "Not passed on: hop-by-hop headers, `Proxy-…`, and `Destination`, `Cookie`, `Authorization`, `token`, `DPoP`, `X-CSRFToken`, `Expect` and an `x-my-jwt` of the client's. `Via` is added; where this server is in it already, the answer is `LOOP_DETECTED`.",
    'Status, headers and body of the answer come back. Not passed back: hop-by-hop headers, `Set-Cookie`, `Clear-Site-Data`, `Alt-Svc`, `Strict-Transport-Security`, `NEL`, `Report-To`, `Access-Control-…`, `X-Accel-…`, trailers, and what every answer of this server says itself; `Content-Security-Policy` is `sandbox`. An answer that breaks off breaks off here too.',
    'Loopback, private, link-local and other special addresses are `DESTINATION_FORBIDDEN`, however they are written or looked up, unless the server was told to allow them. `UPSTREAM_FAILED` stands for whatever else went wrong there; `UPSTREAM_TIMEOUT` for no connection within 5 s, 30 s of silence, or 60 s in all.',
  ].join('\n\n'),
  security: [{}, { proxyAuthorization: [] }],
  parameters: [
    {
      name: 'Destination',
      in: 'header',
      required: false,
      description: 'An http or https URL without credentials, once.',
      schema: { type: 'string', format: 'uri' },
    },
  ],
  requestBody: { required: false, description: 'Anything.', content: anyBody },
  responses: {
    201: jsonAnswer('Without a destination: what `POST /server` answers.', 'Claims', {
      iat: 1_795_219_200,
      jti: 'q3Vb0m0yV9dQkq4J2m0Jrg',
      payload: { user: 'username', date: '2026-11-21' },
    }),
    default: {
      description: 'What the destination answered, with any status.',
      headers: { 'x-request-id': { $ref: '#/components/headers/RequestId' } },
      content: anyBody,
    },
    ...errorAnswers([
      'DESTINATION_FORBIDDEN',
      'PROXY_AUTHENTICATION_REQUIRED',
      'UPSTREAM_FAILED',
      'DESTINATION_BUSY',
      'DRAINING',
      'STORAGE_UNAVAILABLE',
      'UPSTREAM_TIMEOUT',
      'STORAGE_FULL',
      'LOOP_DETECTED',
    ]),
  },
};
