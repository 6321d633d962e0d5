import { z } from 'zod';
import type { ApiPart, Webhook } from '../http/openapi.ts';
import { instant } from '../http/operation.ts';
import { ANSWER_MAX_BYTES, LIMITS, TOKEN_SECONDS, USER_AGENT } from './attempt.ts';
import { EVENT_NAMES } from './payload.ts';

const SecretEvent = z
  .object({
    type: z.enum(Object.values(EVENT_NAMES)),
    timestamp: instant('When the secret ended, or the request was answered or expired.'),
    data: z.object({
      secret_id: z
        .string()
        .regex(/^[0-9a-f]{32}$/)
        .describe("The first 32 hex digits of SHA-256 over the secret key's text. It opens nothing."),
    }),
  })
  .meta({ id: 'SecretEvent' });

type EventName = z.infer<typeof SecretEvent>['type'];

function webhook(id: string, type: EventName, summary: string): Webhook {
  const example: z.infer<typeof SecretEvent> = {
    type,
    timestamp: '2026-11-21T09:30:00.000Z',
    data: { secret_id: '6f6d7ddca03bc453bed3c561bfad81eb' },
  };
  return {
    id,
    summary,
    description: [
      'In the form of Standard Webhooks 1.0. A secret has at most one such event: `secret.read`, `secret.burned` or `secret.expired`. A request has one before that, with a `webhook-id` of its own: `request.answered` or `request.expired`. Each is delivered at least once, in no order with the events of other secrets, and always with the same `webhook-id` and the same bytes as its body.',
      `The event counts as delivered when the answer is 2xx and comes within ${LIMITS.totalMs / 1000} s. Redirects are not followed. Any other answer except 410, and no answer, is a failure: the event is sent again, at most ten times in 24 hours. The body of an answer is not used; up to ${ANSWER_MAX_BYTES} bytes of it are read.`,
    ].join('\n\n'),
    headers: HEADERS,
    body: {
      description: 'JSON; the signature covers exactly these bytes.',
      schema: z.intersection(SecretEvent, z.object({ type: z.literal(type) })),
      example,
    },
    answers: ANSWERS,
  };
}

const HEADERS = {
  'webhook-id': z
    .string()
    .regex(/^msg_[A-Za-z0-9_-]{24}$/)
    .describe('Names the event: the same at every attempt. A receiver that remembers it acts on no event twice.'),
  'webhook-timestamp': z.int().describe('The time of the attempt, in seconds since the epoch.'),
  'webhook-signature': z
    .string()
    .regex(/^v1,[A-Za-z0-9+/]{43}=$/)
    .describe(
      '`v1,` and the base64 of HMAC-SHA-256 over `webhook-id`, `.`, `webhook-timestamp`, `.` and the body. The key is the 64 bytes of the `webhook_secret`: what follows its `whsec_`, decoded from base64.',
    ),
  'x-my-jwt': z
    .string()
    .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    .describe(
      `A JWT with HS512 and the same key: \`iat\`, \`exp\` (${TOKEN_SECONDS} s later), \`aud\` (the origin of the URL), \`jti\`, and \`payload\` with \`user\` and \`date\`. It does not cover the body.`,
    ),
  'user-agent': z.literal(USER_AGENT).describe('The sender.'),
};

const tryLater = {
  description: 'A failure: the event is sent again, no sooner than asked for, but within the 24 hours.',
  headers: {
    'retry-after': z
      .string()
      .describe('Seconds, or an HTTP date. It can make the wait longer than planned, never shorter.')
      .optional(),
  },
};

const ANSWERS: Webhook['answers'] = {
  '2XX': { description: 'The event is delivered.' },
  410: { description: 'Nobody wants the event any more: it is not sent again.' },
  429: tryLater,
  503: tryLater,
  default: { description: 'A failure: the event is sent again.' },
};

/** Requests to the URL that a secret, or a request for one, was created with as `notify`. */
export const webhooksApi: ApiPart = {
  tag: {
    name: 'webhooks',
    description: 'What is sent to the URL that a secret, or a request for one, was created with as `notify`.',
  },
  operations: [],
  webhooks: {
    'secret.read': webhook('secretRead', 'secret.read', 'A secret was read'),
    'secret.burned': webhook('secretBurned', 'secret.burned', 'A secret was burned with its receipt key'),
    'secret.expired': webhook('secretExpired', 'secret.expired', 'A secret expired unread'),
    'request.expired': webhook('requestExpired', 'request.expired', 'A request expired unanswered'),
    'request.answered': webhook(
      'requestAnswered',
      'request.answered',
      'A request was answered: there is a secret to read',
    ),
  },
};
