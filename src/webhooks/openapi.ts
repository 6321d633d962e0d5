import type { Answer, ApiPart, Operation, PathItem, Schema } from '../http/openapi.ts';
import type { EventType } from '../webhooks/store.ts';
import { ANSWER_MAX_BYTES, LIMITS, TOKEN_SECONDS, USER_AGENT } from './attempt.ts';

const ANSWER_SECONDS = LIMITS.totalMs / 1000;
const FINGERPRINT = '6f6d7ddca03bc453bed3c561bfad81eb';
const MEANINGS: Readonly<Record<EventType, string>> = {
  read: 'A secret was read',
  burned: 'A secret was burned with its receipt key',
  expired: 'A secret expired unread',
};

const TYPES = Object.keys(MEANINGS) as EventType[];

/** What receivers get that were named as `notify`. */
export function describeWebhooks(): ApiPart {
  return {
    tag: { name: 'webhooks', description: 'What is sent to the URL that a secret was created with as `notify`.' },
    paths: {},
    webhooks: Object.fromEntries(TYPES.map((type) => [`secret.${type}`, eventOf(type)])),
    schemas: { SecretEvent },
  };
}

function eventOf(type: EventType): PathItem {
  return {
    post: {
      operationId: `secret${type[0]?.toUpperCase()}${type.slice(1)}`,
      tags: ['webhooks'],
      summary: MEANINGS[type],
      description: [
        'In the form of Standard Webhooks 1.0. A secret has one such event at most: `secret.read`, `secret.burned` or `secret.expired`. It comes at least once, in no order with those of other secrets, and always under the same `webhook-id` and with the same bytes for a body.',
        `Delivered is what is answered with 2xx within ${ANSWER_SECONDS} s. Redirects are not followed. Any other answer than 2xx and 410, and none, is a failure: it is tried again ten times at most, for 24 hours. Of an answer's body nothing is used, and up to ${ANSWER_MAX_BYTES} bytes are read.`,
      ].join('\n\n'),
      parameters: PARAMETERS,
      requestBody: {
        required: true,
        description: 'JSON; what the signature covers is these very bytes.',
        content: {
          'application/json': {
            schema: {
              allOf: [
                { $ref: '#/components/schemas/SecretEvent' },
                { properties: { type: { const: `secret.${type}` } } },
              ],
            },
            examples: { event: { value: exampleOf(type) } },
          },
        },
      },
      responses: RESPONSES,
    },
  };
}

function exampleOf(type: EventType): Schema {
  return { type: `secret.${type}`, timestamp: '2026-11-21T09:30:00.000Z', data: { secret_id: FINGERPRINT } };
}

const SecretEvent: Schema = {
  type: 'object',
  required: ['type', 'timestamp', 'data'],
  properties: {
    type: { enum: TYPES.map((type) => `secret.${type}`) },
    timestamp: { type: 'string', format: 'date-time', description: 'When the secret ended.' },
    data: {
      type: 'object',
      required: ['secret_id'],
      properties: {
        secret_id: {
          type: 'string',
          pattern: '^[0-9a-f]{32}$',
          description: "The first 32 hex digits of SHA-256 over the secret key's text. It opens nothing.",
        },
      },
    },
  },
};

const header = (name: string, schema: Schema, description: string): Schema => ({
  name,
  in: 'header',
  required: true,
  description,
  schema,
});

const PARAMETERS: NonNullable<Operation['parameters']> = [
  header(
    'webhook-id',
    { type: 'string', pattern: '^msg_[A-Za-z0-9_-]{24}$' },
    'Of the event: the same at every attempt. Who remembers it acts on no event twice.',
  ),
  header('webhook-timestamp', { type: 'integer' }, 'Of the attempt, in seconds since the epoch.'),
  header(
    'webhook-signature',
    { type: 'string', pattern: '^v1,[A-Za-z0-9+/]{43}=$' },
    '`v1,` and the base64 of HMAC-SHA-256 over `webhook-id`, `.`, `webhook-timestamp`, `.` and the body, under the 64 bytes of the `webhook_secret`: what follows its `whsec_`, decoded from base64.',
  ),
  header(
    'x-my-jwt',
    { type: 'string', pattern: '^[\\w-]+\\.[\\w-]+\\.[\\w-]+$' },
    `A JWT under HS512 and the same bytes: \`iat\`, \`exp\` (${TOKEN_SECONDS} s later), \`aud\` (the origin of the URL), \`jti\`, and \`payload\` with \`user\` and \`date\`. It does not cover the body.`,
  ),
  header('user-agent', { const: USER_AGENT }, 'Who calls.'),
];

const patient: Answer = {
  description: 'A failure, which is tried again no sooner than asked for; within the 24 hours.',
  headers: {
    'retry-after': {
      description: 'Seconds, or an HTTP date. It can make the wait longer than planned, never shorter.',
      required: false,
      schema: { type: 'string' },
    },
  },
};

const RESPONSES: Operation['responses'] = {
  '2XX': { description: 'The event is delivered.', headers: {} },
  410: { description: 'Nobody wants it any more: it is not tried again.', headers: {} },
  429: patient,
  503: patient,
  default: { description: 'A failure: it is tried again.', headers: {} },
};
