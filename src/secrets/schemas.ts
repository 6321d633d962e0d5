import { z } from 'zod';
import { BASE64URL_32, checkJwe, type JweAlg, jweMaxLength } from './jwe.ts';
import { isPhraseTooLong, PHRASE_MAX_BYTES } from './phrases.ts';

// The members that operations share.

/** HTTP takes blanks at both ends away (RFC 9110 §5.5). */
export const IDEMPOTENCY_KEY = /^[\x21-\x7e][\x20-\x7e]{20,126}[\x21-\x7e]$/;
const NOTIFY_MAX_LENGTH = 2048;

const MINUTE_SECONDS = 60;
export const HOUR_SECONDS = 60 * MINUTE_SECONDS;
export const DAY_SECONDS = 24 * HOUR_SECONDS;

export type SecretLimits = { secretMaxBytes: number; ttlMaxSeconds: number };

export const CREATED_AT = '2026-11-21T00:00:00.000Z';
export const EXPIRES_AT = '2026-11-24T04:05:00.000Z';
export const SECRET_KEY = 'awUM7NPCPrt1t6HnvLS644X6szXOo18S9n5ChXlDiN4IZkao';
export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(64, 'an example, not a secret').toString('base64')}`;
export const RECEIPT_KEY = 'receipt_awUM7ESVWhZnsrN7P4_8tEMnmaIiFiGQJJqEo4_eieUo_waEg6LBygp44DYB1Wie';
export const REQUEST_KEY = 'request_awUM7ESVWhZnsrN7P4_8tEMnmaIiFiGQV-7PZ9AhHPC8I0kxcsmWLzSIewjtSW2h';
/** The thumbprint of the key in RFC 8037, appendix A.6. */
export const ASKED_KID = 'giQqigT_IKcuzHl0FVJ3k5ts3_TWNAxvsC08UZsfcM8';

/** What another JOSE library (jwcrypto) sealed under the key 0sE89nwH9zEzWXYlRQCvpab6VpIkoqifrxLzD6dCIms. */
export const KID = 'riX2ZeCbDs8y4OxRwbmW9LpCSieRtRLkq5yqeBoZhNg';
export const PROOF = '0r2oHm8LlzH3bNprVTWVQIgqw_XJsr5w0_1lyRVx4mI';
export const PROOF_HASH = 'gkAt7IBjiozPQGCS7NVXnFGdwz6MoYpErRy6akPFrFg';
export const JWE =
  'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoicmlYMlplQ2JEczh5NE94UndibVc5THBDU2llUnRSTGtxNXlxZUJvWmhOZyJ9..ntmCsurtchZLKHTO.a54e8jS38c4hhng.6WQvnEluNILpCeUfZlwCgQ';

export const secretKey = z.string().meta({
  description:
    '48 base64url characters, of which the last is a letter or digit: the second of expiry, then 32 random bytes.',
  example: SECRET_KEY,
});
export const receiptKey = z.string().meta({
  description:
    '`receipt_` and 64 base64url characters, of which the last is a letter or digit. It shows what became of a secret, and can never read it.',
  example: RECEIPT_KEY,
});

export function idempotencyKey(description: string) {
  return z
    .string()
    .min(22)
    .max(128)
    .regex(IDEMPOTENCY_KEY)
    .meta({ description, example: 'e13f0c3a9b6d4f7c8a52d0917be4c6f8' })
    .optional();
}

export const Text = z
  .string({ error: 'must be text' })
  .refine((value) => value.isWellFormed(), { error: 'must not hold lone surrogates' });

/** JSON Schema counts characters, which cannot bound the bytes after NFC. */
export const Phrase = Text.refine((phrase) => !isPhraseTooLong(phrase), {
  error: `must not be longer than ${PHRASE_MAX_BYTES} bytes of UTF-8`,
});
export const PHRASE = `At most ${PHRASE_MAX_BYTES} bytes of UTF-8, measured and compared after Unicode normalisation (NFC).`;

export const ProofHash = z
  .string({ error: 'must be text' })
  .regex(BASE64URL_32, { error: 'must be 32 bytes in base64url, in 43 characters' })
  .meta({ example: PROOF_HASH });

export const Proof = Text.meta({
  description:
    'Needed if the look says `proof`: 32 bytes of HKDF-SHA-256 (RFC 5869) over the 32 bytes that the part after the # of the link stands for, empty salt, info `hushbox proof v1`, in base64url. An unnecessary one is ignored.',
  example: PROOF,
});

/** What is stored, as far as its members can be checked one by one. */
export function contentMembers(secretMaxBytes: number) {
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

export function refuse(context: Refining, member: string, message: string, params?: Record<string, unknown>): void {
  context.addIssue({ code: 'custom', path: [member], message, ...(params && { params }) });
}

export function checkContent(maxBytes: number, alg: JweAlg) {
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

export const ReceiptWish = z
  .boolean({ error: 'must be true or false' })
  .default(false)
  .describe('Whether to answer with a `receipt_key` too.');

/** The output is in milliseconds. */
export function lifetimeSchema(maxSeconds: number) {
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

/** @param events which of them the address hears. */
export function notifySchema(events: string) {
  return Text.max(NOTIFY_MAX_LENGTH, { error: `must not be longer than ${NOTIFY_MAX_LENGTH} characters` })
    .refine(isCallable, { error: 'must be an http or https URL without blanks and credentials' })
    .meta({
      format: 'uri',
      description: `An https URL that is called ${events}. Plain http and special addresses are allowed only if the server lists them (otherwise \`DESTINATION_FORBIDDEN\`). In production this works only if creating needs a token (otherwise \`NOTIFY_FORBIDDEN\`).`,
    })
    .optional();
}

/** Whether a URL can be called at all; whether it may be called is checked later. */
function isCallable(text: string): boolean {
  const url = /[\0- ]/.test(text) ? null : URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password;
}

export const Created = {
  receiptKey: z
    .string()
    .regex(/^receipt_[A-Za-z0-9_-]{63}[A-Za-z0-9]$/)
    .describe('Only if `receipt` was true.')
    .optional(),
  webhookSecret: z
    .string()
    .regex(/^whsec_[A-Za-z0-9+/]{86}==$/)
    .describe('Only with `notify`: 64 bytes with which the receiver verifies that an event comes from here.')
    .optional(),
  secretKey: z.string().regex(/^[A-Za-z0-9_-]{47}[A-Za-z0-9]$/),
};
