import { z } from 'zod';
import { bodyLimitBytes } from '../http/body-limit.ts';
import type { ApiPart } from '../http/openapi.ts';
import { instant, json, operation } from '../http/operation.ts';
import { BASE64URL_32 } from './jwe.ts';
import { REPEAT_MS } from './requests.ts';
import {
  ASKED_KID,
  Created,
  checkContent,
  contentMembers,
  EXPIRES_AT,
  idempotencyKey,
  lifetimeSchema,
  notifySchema,
  PROOF,
  Proof,
  ProofHash,
  RECEIPT_KEY,
  REQUEST_KEY,
  ReceiptWish,
  refuse,
  SECRET_KEY,
  type SecretLimits,
  secretKey,
  Text,
  WEBHOOK_SECRET,
} from './schemas.ts';

const NOTE_MAX_CHARACTERS = 500;
/** Of JSON with escapes, and plenty of room for the rest. */
const ASKING_MAX_BYTES = 65_536;
const WITHDRAWAL_MAX_BYTES = 65_536;

const requestKey = z.string().meta({
  description:
    '`request_` and 64 base64url characters, of which the last is a letter or digit. Whoever has it can answer, once, and can never read the answer.',
  example: REQUEST_KEY,
});

const Kid = z
  .string({ error: 'must be text' })
  .regex(BASE64URL_32, { error: 'must be 32 bytes in base64url, in 43 characters' });
const KID =
  "The RFC 7638 thumbprint of the asker's public key (X25519, RFC 8037). The answer has to be sealed for it; without a `kid` it must not be sealed.";

function newRequestSchema({ ttlMaxSeconds }: SecretLimits) {
  return z
    .strictObject({
      ttl: lifetimeSchema(ttlMaxSeconds).optional(),
      note: Text.refine((note) => [...note].length <= NOTE_MAX_CHARACTERS, {
        error: `must not be longer than ${NOTE_MAX_CHARACTERS} characters`,
      })
        .meta({
          maxLength: NOTE_MAX_CHARACTERS,
          description:
            'What is asked for. It is sealed at rest, but the server sees it: unlike the answer, it is not end-to-end.',
        })
        .optional(),
      kid: Kid.meta({ description: KID, example: ASKED_KID }).optional(),
      proof_hash: ProofHash.describe(
        'Only with `kid`: reading the answer, and withdrawing the request, then needs the `proof` of which this is the SHA-256.',
      ).optional(),
      notify: notifySchema(
        'when the request is answered or expires, and when the secret ends later: see the webhooks `request.answered`, `request.expired`, `secret.read`, `secret.burned` and `secret.expired`',
      ),
    })
    .superRefine(({ kid, proof_hash }, context) => {
      if (proof_hash !== undefined && kid === undefined) refuse(context, 'proof_hash', 'needs `kid`');
    })
    .meta({ id: 'NewRequest' });
}

const CreatedRequest = z
  .object({
    request_key: z
      .string()
      .regex(/^request_[A-Za-z0-9_-]{63}[A-Za-z0-9]$/)
      .describe('For the link to send: `/requests/` and this key; after it, with a `kid`, `#` and the public `x`.'),
    secret_key: Created.secretKey.describe(
      'For the link to keep: `/secrets/` and this key; after it, with a `kid`, `#` and the private `d`. The server does not keep it.',
    ),
    expires_at: instant('The request, and the answer too, is gone from this instant on.'),
    webhook_secret: Created.webhookSecret,
  })
  .meta({ id: 'CreatedRequest' });

const OpenRequest = z
  .object({
    note: z.string().describe('What is asked for.').optional(),
    kid: z.string().regex(BASE64URL_32).meta({ description: KID, example: ASKED_KID }).optional(),
    expires_at: instant('The request is gone from this instant on.'),
  })
  .meta({ id: 'OpenRequest' });

function answerSchema({ secretMaxBytes }: SecretLimits) {
  return z
    .strictObject({ ...contentMembers(secretMaxBytes), receipt: ReceiptWish })
    .superRefine(checkContent(secretMaxBytes, 'ECDH-ES'))
    .meta({ id: 'Answer' });
}

const AnsweredRequest = z
  .object({
    expires_at: instant('The secret is gone from this instant on: that of the request.'),
    receipt_key: Created.receiptKey,
  })
  .meta({ id: 'AnsweredRequest' });

const Withdrawal = z.strictObject({ proof: Proof.optional() }).meta({ id: 'Withdrawal' });

export const createRequest = (limits: SecretLimits, needsToken: boolean) =>
  operation('createRequest', 'POST', '/requests', {
    summary: 'Ask somebody for a secret',
    description: [
      'Makes two keys: one for a link to send, where somebody fills in the secret, and one for a link to keep, the only one that opens it. A request takes one place of its client, and counts as a creation, like `/generate`.',
      'With a `kid`, the answer is sealed for the client that asks (docs/sealing.md). Without it the server seals the answer for the key to keep: database, master key and the link to send together cannot read it.',
    ].join('\n\n'),
    security: needsToken ? ['createToken'] : ['none', 'createToken'],
    body: {
      schema: newRequestSchema(limits),
      limitBytes: ASKING_MAX_BYTES,
      examples: {
        least: {},
        noted: { note: 'The password of the printer, please', ttl: { days: 1 } },
        sealed: { kid: ASKED_KID },
      },
    },
    answer: json(201, 'The request is stored.', CreatedRequest, {
      request_key: REQUEST_KEY,
      secret_key: SECRET_KEY,
      expires_at: EXPIRES_AT,
      webhook_secret: WEBHOOK_SECRET,
    }),
    links: {
      lookAtRequest: ['lookAtRequest', 'request_key'],
      answer: ['answerRequest', 'request_key'],
      look: ['lookAtSecret', 'secret_key'],
      read: ['readSecret', 'secret_key'],
      withdraw: ['withdrawRequest', 'secret_key'],
    },
    errors: [
      'UNAUTHORIZED',
      'NOTIFY_FORBIDDEN',
      'DESTINATION_FORBIDDEN',
      'RATE_LIMITED',
      'QUOTA_EXCEEDED',
      'DESTINATION_BUSY',
      'STORAGE_UNAVAILABLE',
      'STORAGE_FULL',
    ],
  });

export const lookAtRequest = operation('lookAtRequest', 'GET', '/requests/:key', {
  summary: 'Look at a request',
  description:
    'A browser (`Accept: text/html`) gets the page to fill in. A key that is unknown, malformed, answered, withdrawn or expired is always the same 404.',
  params: { key: requestKey },
  answer: json(200, 'The request is open.', OpenRequest, {
    note: 'The password of the printer, please',
    kid: ASKED_KID,
    expires_at: EXPIRES_AT,
  }),
  isPageToo: true,
  errors: ['KEY_NOT_FOUND', 'STORAGE_UNAVAILABLE', 'MASTER_KEY_UNAVAILABLE'],
});

export const answerRequest = (limits: SecretLimits) =>
  operation('answerRequest', 'POST', '/requests/:key', {
    summary: 'Answer a request, once',
    description: [
      'Exactly one of any number of answers wins; the others get 404. The answer is durable before it is acknowledged. From then on the key to keep is that of an ordinary secret.',
      `With \`Idempotency-Key\`, the same answer (the same key, header and body) gets the same result again for ${REPEAT_MS / 1000} s, the \`receipt_key\` included, whatever became of the secret meanwhile.`,
      'The bytes of an answer count towards the space of the client that asked, its rate against the client that answers. After any 4xx except 404, any 503 and 507 the request is still open.',
    ].join('\n\n'),
    params: { key: requestKey },
    headers: {
      'Idempotency-Key': idempotencyKey(
        'Makes the answer safe to repeat. Use a fresh value of at least 128 random bits for each answer.',
      ),
    },
    body: {
      schema: answerSchema(limits),
      limitBytes: bodyLimitBytes(limits.secretMaxBytes),
      examples: { least: { secret: 'some secret' }, most: { secret: 'some secret', receipt: true } },
    },
    answer: json(201, 'The request is answered.', AnsweredRequest, {
      expires_at: EXPIRES_AT,
      receipt_key: RECEIPT_KEY,
    }),
    links: { receipt: ['getReceipt', 'receipt_key'], burn: ['burnSecret', 'receipt_key'] },
    errors: [
      'KEY_NOT_FOUND',
      'RATE_LIMITED',
      'QUOTA_EXCEEDED',
      'BUSY',
      'STORAGE_UNAVAILABLE',
      'MASTER_KEY_UNAVAILABLE',
      'STORAGE_FULL',
    ],
  });

export const withdrawRequest = operation('withdrawRequest', 'DELETE', '/secrets/:key', {
  summary: 'Withdraw a request that is not answered yet',
  description:
    'With the key to keep. Nobody can answer after this. A secret that waits is never removed so (409): its receipt key burns it.',
  params: { key: secretKey },
  body: {
    schema: Withdrawal,
    limitBytes: WITHDRAWAL_MAX_BYTES,
    examples: { without: {}, sealed: { proof: PROOF } },
  },
  answer: { status: 204, description: 'The request was open, and is gone now.' },
  errors: ['PROOF_REQUIRED', 'KEY_NOT_FOUND', 'STILL_WAITING', 'STORAGE_UNAVAILABLE', 'MASTER_KEY_UNAVAILABLE'],
});

/** With the limits of this server. */
export function requestsApi(limits: SecretLimits, needsToken: boolean): ApiPart {
  return {
    tag: { name: 'requests', description: 'Secrets that somebody asks for.' },
    operations: [createRequest(limits, needsToken), lookAtRequest, answerRequest(limits), withdrawRequest],
  };
}
