import { z } from 'zod';
import { bodyLimitBytes } from '../http/body-limit.ts';
import type { ApiPart } from '../http/openapi.ts';
import { instant, json, operation } from '../http/operation.ts';
import { TRY_BURST, TRY_REFILL_MS } from './budget.ts';
import { BASE64URL_32, checkJwe, FILES_TYPE, type JweAlg, jweMaxLength } from './jwe.ts';
import { isPhraseTooLong, PHRASE_MAX_BYTES } from './phrases.ts';
import { MAX_READS, REREAD_MS } from './reading.ts';
import { RECEIPT_MS } from './store.ts';

export const IDEMPOTENCY_KEY = /^[\x20-\x7e]{22,128}$/;
const NOTIFY_MAX_LENGTH = 2048;

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 60 * MINUTE_SECONDS;
const DAY_SECONDS = 24 * HOUR_SECONDS;
const RECEIPT_DAYS = RECEIPT_MS / 1000 / DAY_SECONDS;
const REFILL_HOURS = TRY_REFILL_MS / 1000 / HOUR_SECONDS;

export type SecretLimits = { secretMaxBytes: number; ttlMaxSeconds: number };

const CREATED_AT = '2026-11-21T00:00:00.000Z';
const EXPIRES_AT = '2026-11-24T04:05:00.000Z';
const SECRET_KEY = 'awUM7NPCPrt1t6HnvLS644X6szXOo18S9n5ChXlDiN4IZkao';
const WEBHOOK_SECRET = `whsec_${Buffer.alloc(64, 'an example, not a secret').toString('base64')}`;
const RECEIPT_KEY = 'receipt_awUM7ESVWhZnsrN7P4_8tEMnmaIiFiGQJJqEo4_eieUo_waEg6LBygp44DYB1Wie';

/** What another JOSE library (jwcrypto) sealed under the key 0sE89nwH9zEzWXYlRQCvpab6VpIkoqifrxLzD6dCIms. */
const KID = 'riX2ZeCbDs8y4OxRwbmW9LpCSieRtRLkq5yqeBoZhNg';
const PROOF = '0r2oHm8LlzH3bNprVTWVQIgqw_XJsr5w0_1lyRVx4mI';
const PROOF_HASH = 'gkAt7IBjiozPQGCS7NVXnFGdwz6MoYpErRy6akPFrFg';
const JWE =
  'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoicmlYMlplQ2JEczh5NE94UndibVc5THBDU2llUnRSTGtxNXlxZUJvWmhOZyJ9..ntmCsurtchZLKHTO.a54e8jS38c4hhng.6WQvnEluNILpCeUfZlwCgQ';

const secretKey = z.string().meta({
  description:
    '48 base64url characters, of which the last is a letter or digit: the second of expiry, then 32 random bytes.',
  example: SECRET_KEY,
});
const receiptKey = z.string().meta({
  description:
    '`receipt_` and 64 base64url characters, of which the last is a letter or digit. It shows what became of a secret, and can never read it.',
  example: RECEIPT_KEY,
});

const Text = z
  .string({ error: 'must be text' })
  .refine((value) => value.isWellFormed(), { error: 'must not hold lone surrogates' });

/** JSON Schema counts characters, which cannot bound the bytes after NFC. */
const Phrase = Text.refine((phrase) => !isPhraseTooLong(phrase), {
  error: `must not be longer than ${PHRASE_MAX_BYTES} bytes of UTF-8`,
});
const PHRASE = `At most ${PHRASE_MAX_BYTES} bytes of UTF-8, measured and compared after Unicode normalisation (NFC).`;

const ProofHash = z
  .string({ error: 'must be text' })
  .regex(BASE64URL_32, { error: 'must be 32 bytes in base64url, in 43 characters' })
  .meta({ example: PROOF_HASH });

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
      receipt: z
        .boolean({ error: 'must be true or false' })
        .default(false)
        .describe('Whether to answer with a `receipt_key` too.'),
      notify: Text.max(NOTIFY_MAX_LENGTH, { error: `must not be longer than ${NOTIFY_MAX_LENGTH} characters` })
        .refine(isCallable, { error: 'must be an http or https URL without blanks and credentials' })
        .meta({
          format: 'uri',
          description:
            'An https URL that is called when the secret ends: see the webhooks `secret.read`, `secret.burned` and `secret.expired`. Plain http and special addresses are allowed only if the server lists them (otherwise `DESTINATION_FORBIDDEN`). In production this works only if creating needs a token (otherwise `NOTIFY_FORBIDDEN`).',
        })
        .optional(),
    })
    .superRefine(checkContent(secretMaxBytes, 'dir'))
    .superRefine(({ sealed, proof_hash }, context) => {
      if (proof_hash !== undefined && !sealed) refuse(context, 'proof_hash', 'needs `sealed`');
    })
    .meta({ id: 'NewSecret' });
}

/** What is stored, as far as its members can be checked one by one. */
function contentMembers(secretMaxBytes: number) {
  return {
    secret: Text.min(1, { error: 'must not be empty' }).meta({
      maxLength: jweMaxLength(secretMaxBytes), // characters, of which a text never has more than bytes
      description: `At most ${secretMaxBytes} bytes of UTF-8, without lone surrogates. With \`sealed\`, a JWE in compact form whose ciphertext has at most as many bytes. A longer one is 413.`,
    }),
    sealed: z
      .boolean({ error: 'must be true or false' })
      .default(false)
      .describe(
        'Whether the client has sealed the secret: then `secret` is a JWE (RFC 7516) as docs/sealing.md describes it, and the server never has its key.',
      ),
  };
}

type Refining = Pick<z.RefinementCtx, 'addIssue'>;

function refuse(context: Refining, member: string, message: string, params?: Record<string, unknown>): void {
  context.addIssue({ code: 'custom', path: [member], message, ...(params && { params }) });
}

function checkContent(maxBytes: number, alg: JweAlg) {
  return ({ secret, sealed }: { secret: string; sealed: boolean }, context: Refining): void => {
    const jwe = sealed ? checkJwe(secret, alg) : undefined;
    if (sealed && !jwe)
      refuse(context, 'secret', `must be a JWE with "alg": "${alg}", as docs/sealing.md describes it`);
    else if ((jwe?.ciphertextBytes ?? Buffer.byteLength(secret)) > maxBytes) {
      const what = sealed ? 'bytes of ciphertext' : 'bytes of UTF-8';
      refuse(context, 'secret', `must not be longer than ${maxBytes} ${what}`, { tooLarge: true });
    }
  };
}

/** The output is in milliseconds. */
function lifetimeSchema(maxSeconds: number) {
  const count = (unitSeconds: number) =>
    z
      .int({ error: 'must be a whole number' })
      .nonnegative({ error: 'must not be negative' })
      .meta({ maximum: Math.floor(maxSeconds / unitSeconds) })
      .optional();
  return z
    .strictObject(
      { days: count(DAY_SECONDS), hours: count(HOUR_SECONDS), minutes: count(MINUTE_SECONDS) },
      { error: 'must be an object' },
    )
    .meta({
      id: 'Lifetime',
      minProperties: 1,
      description: `Any of the three. Their sum is at least one minute and at most ${maxSeconds} seconds, which is also the default.`,
    })
    .transform(({ days = 0, hours = 0, minutes = 0 }) => ((days * 24 + hours) * 60 + minutes) * 60_000)
    .refine((ttlMs) => ttlMs >= 60_000, { error: 'must be at least one minute in all' })
    .refine((ttlMs) => ttlMs <= maxSeconds * 1000, { error: `must be at most ${maxSeconds} seconds in all` });
}

/** Whether a URL can be called at all; whether it may be called is checked later. */
function isCallable(text: string): boolean {
  const url = /[\0- ]/.test(text) ? null : URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password;
}

const Proof = Text.meta({
  description:
    'Needed if the look says `proof`: 32 bytes of HKDF-SHA-256 (RFC 5869) over the part after the # of the link, empty salt, info `hushbox proof v1`, in base64url. An unnecessary one is ignored.',
  example: PROOF,
});

const Reading = z
  .strictObject({ phrase: Phrase.meta({ description: PHRASE }).optional(), proof: Proof.optional() })
  .meta({ id: 'Reading' });

const CreatedSecret = z
  .object({
    secret_key: z
      .string()
      .regex(/^[A-Za-z0-9_-]{47}[A-Za-z0-9]$/)
      .describe('The server does not keep it.'),
    expires_at: instant('The secret is gone from this instant on.'),
    receipt_key: z
      .string()
      .regex(/^receipt_[A-Za-z0-9_-]{63}[A-Za-z0-9]$/)
      .describe('Only if `receipt` was true.')
      .optional(),
    webhook_secret: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]{86}==$/)
      .describe('Only with `notify`: 64 bytes with which the receiver verifies that an event comes from here.')
      .optional(),
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
    expires_at: instant('The secret is gone from this instant on.'),
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
    'This never reads the secret, and neither do HEAD and OPTIONS. A browser (`Accept: text/html`) gets the page that asks before it reads. A key that is unknown, malformed, expired, read or burned is always the same 404.',
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
      'Idempotency-Key': z
        .string()
        .min(22)
        .max(128)
        .regex(IDEMPOTENCY_KEY)
        .meta({
          description:
            'Makes the read safe to repeat. Use a fresh value of at least 128 random bits for each read, for example `openssl rand -hex 16`: anyone who has it and the secret key can read the secret too.',
          example: 'e13f0c3a9b6d4f7c8a52d0917be4c6f8',
        })
        .optional(),
    },
    body: {
      schema: Reading,
      limitBytes: bodyLimitBytes(limits.secretMaxBytes),
      examples: { without: {}, with: { phrase: 'some phrase' }, sealed: { proof: PROOF } },
    },
    asText: 'The secret alone, byte for byte; of a sealed one the JWE.',
    answer: json(200, 'The secret, byte for byte as it was given.', Secret, { secret: 'some secret' }),
    errors: [
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
