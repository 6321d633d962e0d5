import { z } from 'zod';
import { bodyLimitBytes } from '../http/body-limit.ts';
import type { ApiPart } from '../http/openapi.ts';
import { instant, json, operation } from '../http/operation.ts';
import { TRY_BURST, TRY_REFILL_MS } from './budget.ts';
import { BASE64URL_32, FILES_TYPE } from './jwe.ts';
import { MAX_READS, REREAD_MS } from './reading.ts';
import {
  CREATED_AT,
  Created,
  checkContent,
  contentMembers,
  DAY_SECONDS,
  EXPIRES_AT,
  HOUR_SECONDS,
  idempotencyKey,
  JWE,
  KID,
  lifetimeSchema,
  notifySchema,
  PHRASE,
  Phrase,
  PROOF,
  PROOF_HASH,
  Proof,
  ProofHash,
  RECEIPT_KEY,
  ReceiptWish,
  receiptKey,
  refuse,
  SECRET_KEY,
  type SecretLimits,
  secretKey,
  WEBHOOK_SECRET,
} from './schemas.ts';
import { RECEIPT_MS } from './store.ts';

const RECEIPT_DAYS = RECEIPT_MS / 1000 / DAY_SECONDS;
const REFILL_HOURS = TRY_REFILL_MS / 1000 / HOUR_SECONDS;

function newSecretSchema({ secretMaxBytes, ttlMaxSeconds }: SecretLimits) {
  return z
    .strictObject({
      ...contentMembers(secretMaxBytes),
      proof_hash: ProofHash.describe(
        'Only with `sealed`: a read then needs the `proof` of which this is the SHA-256. Whoever knows only the path of a link can neither read nor use up the secret.',
      ).optional(),
      phrase: Phrase.min(1, { error: 'must not be empty' })
        .meta({ description: `Needed to read the secret. ${PHRASE}` })
        .optional(),
      ttl: lifetimeSchema(ttlMaxSeconds).optional(),
      receipt: ReceiptWish,
      notify: notifySchema(
        'when the secret ends: see the webhooks `secret.read`, `secret.burned` and `secret.expired`',
      ),
    })
    .superRefine(checkContent(secretMaxBytes, 'dir'))
    .superRefine(({ sealed, proof_hash }, context) => {
      if (proof_hash !== undefined && !sealed) refuse(context, 'proof_hash', 'needs `sealed`');
    })
    .meta({ id: 'NewSecret' });
}

const Reading = z
  .strictObject({ phrase: Phrase.meta({ description: PHRASE }).optional(), proof: Proof.optional() })
  .meta({ id: 'Reading' });

const CreatedSecret = z
  .object({
    secret_key: Created.secretKey.describe('The server does not keep it.'),
    expires_at: instant('The secret is gone from this instant on.'),
    receipt_key: Created.receiptKey,
    webhook_secret: Created.webhookSecret,
  })
  .meta({ id: 'CreatedSecret' });

const Sealed = z
  .object({
    alg: z.enum(['dir', 'ECDH-ES']).describe('`ECDH-ES` for the answer to a request.'),
    kid: z.string().regex(BASE64URL_32).meta({
      description:
        'The RFC 7638 thumbprint of the key that opens the secret. A client reads only if its own key has this thumbprint, and looks at it again in the header of the JWE.',
      example: KID,
    }),
    cty: z.literal(FILES_TYPE).describe('The plaintext holds files.').optional(),
    proof: z.boolean().describe('Whether a read needs a `proof`.'),
  })
  .meta({ id: 'Sealed', description: 'Of a secret that its client sealed.' });

const WaitingSecret = z
  .object({
    phrase: z.boolean().describe('Whether a phrase is needed.'),
    answered: z
      .literal(false)
      .describe('Only of a request that is not answered yet: then there is nothing to read.')
      .optional(),
    note: z.string().describe('Only of a request that is not answered yet: what was asked for.').optional(),
    expires_at: instant('The secret, or the request, is gone from this instant on.'),
    sealed: Sealed.optional(),
  })
  .meta({ id: 'WaitingSecret' });

const Secret = z.object({ secret: z.string(), sealed: Sealed.optional() }).meta({ id: 'Secret' });

const Receipt = z
  .object({
    state: z.enum(['waiting', 'read', 'burned', 'expired']),
    created_at: instant('When the secret was stored.'),
    expires_at: instant('When the secret expires, or would have expired.'),
    ended_at: instant('When the secret stopped waiting; absent while it waits.').optional(),
    wrong_tries: z.int().min(0).describe('Wrong phrases so far, including one that is being checked.'),
    reads: z.int().min(0).max(MAX_READS).describe('How often the secret was handed over.'),
  })
  .meta({ id: 'Receipt' });

export const createSecret = (limits: SecretLimits, needsToken: boolean) =>
  operation('createSecret', 'POST', '/generate', {
    summary: 'Store a secret',
    description: [
      'The answer is sent once the secret is durable. If the answer is lost, send the request again: a secret whose key nobody has stays unread until it expires.',
      'A server may limit how many secrets one client (an IPv4 address, or an IPv6 /64) creates in a minute (`RATE_LIMITED`), how many of them wait, and how many bytes they take (`QUOTA_EXCEEDED`). A request that is not valid or not authorised does not count; a secret that is read, burned or expired frees its share. `STORAGE_FULL` means that all clients together have filled the server.',
    ].join('\n\n'),
    security: needsToken ? ['createToken'] : ['none', 'createToken'],
    body: {
      schema: newSecretSchema(limits),
      limitBytes: bodyLimitBytes(limits.secretMaxBytes),
      examples: {
        least: { secret: 'some secret' },
        most: { secret: 'some secret', phrase: 'some phrase', ttl: { days: 3, hours: 4, minutes: 5 }, receipt: true },
        sealed: { secret: JWE, sealed: true, proof_hash: PROOF_HASH },
        notified: { secret: 'some secret', notify: 'https://hooks.example/hushbox' },
      },
    },
    asText:
      "The link alone, without a line end; of a sealed secret without its part after the #. It begins with the server's `PUBLIC_URL`, or else with the address that the client used.",
    answer: json(201, 'The secret is stored.', CreatedSecret, {
      secret_key: SECRET_KEY,
      expires_at: EXPIRES_AT,
      receipt_key: RECEIPT_KEY,
      webhook_secret: WEBHOOK_SECRET,
    }),
    links: {
      look: ['lookAtSecret', 'secret_key'],
      read: ['readSecret', 'secret_key'],
      receipt: ['getReceipt', 'receipt_key'],
      burn: ['burnSecret', 'receipt_key'],
    },
    errors: [
      'UNAUTHORIZED',
      'NOTIFY_FORBIDDEN',
      'DESTINATION_FORBIDDEN',
      'RATE_LIMITED',
      'QUOTA_EXCEEDED',
      'BUSY',
      'DESTINATION_BUSY',
      'STORAGE_UNAVAILABLE',
      'STORAGE_FULL',
    ],
  });

export const lookAtSecret = operation('lookAtSecret', 'GET', '/secrets/:key', {
  summary: 'Ask whether a secret is waiting',
  description:
    'This never reads the secret, and neither do HEAD and OPTIONS. A browser (`Accept: text/html`) gets the page that asks before it reads. A key that is unknown, malformed, expired, read or burned is always the same 404. With `answered: false` it is the key of a request, and there is nothing to read yet.',
  params: { key: secretKey },
  answer: json(200, 'The secret is waiting.', WaitingSecret, { phrase: true, expires_at: EXPIRES_AT }),
  isPageToo: true,
  errors: ['KEY_NOT_FOUND', 'STORAGE_UNAVAILABLE', 'MASTER_KEY_UNAVAILABLE'],
});

export const readSecret = (limits: SecretLimits) =>
  operation('readSecret', 'POST', '/secrets/:key', {
    summary: 'Read a secret: the one and only time',
    description: [
      'Exactly one of any number of readers gets the secret. The read is durable before the answer is sent.',
      `Without \`Idempotency-Key\` a lost answer is a lost secret. With it, the same key, header and phrase get the same answer again: at most ${MAX_READS} times in all, for ${REREAD_MS / 1000} s after the first read, even past \`expires_at\`. Anyone else gets 404.`,
      `A wrong phrase leaves the secret in place and costs one of ${TRY_BURST} tries; one try comes back every ${REFILL_HOURS === 1 ? 'hour' : `${REFILL_HOURS} hours`}. A missing phrase costs no try, an unnecessary one is ignored, and an empty one counts as missing.`,
      'A secret that its client sealed with a `proof_hash` needs the `proof`. Without it, or with a wrong one, nothing is used up and no try is taken, whatever the phrase. The answer is the JWE; only the client can open it.',
      'A 503 never uses a secret up, with one exception: `STORAGE_UNAVAILABLE` can mean that storage failed during the read itself, and the secret may then have been read. With the header, repeat the request to find out.',
    ].join('\n\n'),
    params: { key: secretKey },
    headers: {
      'Idempotency-Key': idempotencyKey(
        'Makes the read safe to repeat. Use a fresh value of at least 128 random bits for each read, for example `openssl rand -hex 16`: anyone who has it and the secret key can read the secret too.',
      ),
    },
    body: {
      schema: Reading,
      limitBytes: bodyLimitBytes(limits.secretMaxBytes),
      examples: { without: {}, with: { phrase: 'some phrase' }, sealed: { proof: PROOF } },
    },
    asText: 'The secret alone, byte for byte; of a sealed one the JWE.',
    answer: json(200, 'The secret, byte for byte as it was given.', Secret, { secret: 'some secret' }),
    errors: [
      'NOT_ANSWERED',
      'PROOF_REQUIRED',
      'PHRASE_REQUIRED',
      'WRONG_PHRASE',
      'KEY_NOT_FOUND',
      'TOO_MANY_TRIES',
      'BUSY',
      'STORAGE_UNAVAILABLE',
      'MASTER_KEY_UNAVAILABLE',
    ],
    errorMembers: {
      WRONG_PHRASE: {
        tries_left: z
          .int()
          .min(0)
          .meta({ description: 'Only with `WRONG_PHRASE`: the tries that are left now.', example: TRY_BURST - 1 }),
      },
    },
  });

export const getReceipt = operation('getReceipt', 'GET', '/receipts/:key', {
  summary: 'Ask what became of a secret',
  description: `A receipt is kept for ${RECEIPT_DAYS} days after its secret ends, and is 404 after that. It is also 404 if the database was restored from an older state and nobody knows whether the secret was read.`,
  params: { key: receiptKey },
  answer: json(200, 'What became of the secret.', Receipt, {
    state: 'read',
    created_at: CREATED_AT,
    expires_at: EXPIRES_AT,
    ended_at: '2026-11-21T09:30:00.000Z',
    wrong_tries: 1,
    reads: 1,
  }),
  isPageToo: true,
  errors: ['KEY_NOT_FOUND', 'STORAGE_UNAVAILABLE'],
});

export const burnSecret = operation('burnSecret', 'DELETE', '/receipts/:key', {
  summary: 'Burn a waiting secret',
  description:
    'Nobody can read the secret after this. 409 means that it was already read, burned or expired; a copy kept for a repeated read is removed all the same.',
  params: { key: receiptKey },
  answer: { status: 204, description: 'The secret was waiting, and is burned now.' },
  errors: ['KEY_NOT_FOUND', 'NOT_WAITING', 'STORAGE_UNAVAILABLE'],
});

/** With the limits of this server. */
export function secretsApi(limits: SecretLimits, needsToken: boolean): ApiPart {
  return {
    tag: { name: 'secrets', description: 'Stored once, handed over once.' },
    operations: [createSecret(limits, needsToken), lookAtSecret, readSecret(limits), getReceipt, burnSecret],
  };
}
