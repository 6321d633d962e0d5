import { createHmac, timingSafeEqual } from 'node:crypto';
import { NONCE_BYTES, open, seal, TAG_BYTES } from '../sealing/aead.ts';
import { createHead, HEAD_BYTES, masterKeyIdIn } from '../sealing/head.ts';
import { hkdf } from '../sealing/hkdf.ts';
import type { KeyRing, MasterKey } from '../sealing/key-ring.ts';

/**
 * Envelope, format 1:
 *
 *     0  1  format = 1
 *     1  1  flags: bit 0 = a phrase is needed, bit 1 = a copy for rereading
 *     2  8  id of the master key
 *    10 16  salt of the phrase      } only with a phrase
 *    26 60  sealed phrase verifier  }
 *     …     sealed text
 *
 * "sealed" is AES-256-GCM: nonce (12), ciphertext, tag (16). Every key is HKDF-SHA-256 (RFC 5869) with
 *
 *     salt = master key
 *     IKM  = secret key (36) [‖ phrase key (32)] [‖ HMAC-SHA-256(secret key, Idempotency-Key) (32)]
 *     info = "hushbox v1 " + purpose: "verifier", "text", "text+phrase", "copy", "copy+phrase" or "claim tag"
 *
 * where the phrase key is argon2id(phrase, salt). Both bracketed parts have a fixed length, and the purpose says which
 * of them are there. The additional data is the purpose, the envelope up to the sealed part, and the record's id,
 * creation and expiry, so that nobody with access to the database can exchange any of them.
 */
const FLAG_PHRASE = 1;
const FLAG_COPY = 2;
export const SALT_BYTES = 16;
const KEY_BYTES = 32;
const PURPOSES = ['verifier', 'text', 'text+phrase', 'copy', 'copy+phrase', 'claim tag'] as const;
type Purpose = (typeof PURPOSES)[number];
const INFO = labelsEndingIn('');
const DATA_LABEL = labelsEndingIn('\0');
const VERIFIER_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/** What a record is. If any of it changes, the envelope no longer opens. */
export type Identity = { id: Uint8Array; createdAt: number; expiresAt: number };
/** A phrase after argon2id, and the salt that was used. */
export type PhraseKey = { salt: Uint8Array; key: Uint8Array };

export type Opener = {
  /** undefined when no phrase is needed. */
  salt: Uint8Array | undefined;
  /** What a copy is claimed with. Only a party with both secret key and master key can try a header against it. */
  claimTag: Buffer | undefined;
  /** Compares in constant time. @throws Error when the verifier does not open: tampered or damaged. */
  isRightPhrase(phraseKey: Uint8Array): boolean;
  /** @throws Error when the envelope does not open: tampered, damaged, or a copy under another header. */
  open(phraseKey: Uint8Array | undefined): Buffer;
  /** The same text sealed again, so that opening it takes the header too. */
  sealCopy(text: Uint8Array, phraseKey: Uint8Array | undefined): Buffer;
};

/** Everything that an envelope's keys and additional data are made of. */
type KeyContext = { masterKey: MasterKey; secretKey: Uint8Array; identity: Identity; prefix: Uint8Array };
type TextContext = KeyContext & { phraseKey: Uint8Array | undefined; headerKey: Uint8Array | undefined };

/** Whether opening the envelope takes a phrase. Needs no key. */
export function needsPhrase(envelope: Uint8Array): boolean {
  return (flagsOf(envelope) & FLAG_PHRASE) !== 0;
}

/** Seals a new secret with the ring's current master key. */
export function sealSecret(
  ring: KeyRing,
  secretKey: Uint8Array,
  identity: Identity,
  text: Uint8Array,
  phrase?: PhraseKey,
): Buffer {
  const masterKey = ring.current;
  const header = createHead(phrase ? FLAG_PHRASE : 0, masterKey);
  if (!phrase) {
    return sealText(
      { masterKey, secretKey, identity, prefix: header, phraseKey: undefined, headerKey: undefined },
      text,
    );
  }
  const salted = Buffer.concat([header, phrase.salt]);
  const prefix = Buffer.concat([salted, sealVerifier({ masterKey, secretKey, identity, prefix: salted }, phrase.key)]);
  return sealText({ masterKey, secretKey, identity, prefix, phraseKey: phrase.key, headerKey: undefined }, text);
}

/**
 * Prepares to open an envelope.
 * @param idempotencyKey the header's value; needed to open a copy and to make one.
 * @returns undefined when the format or the master key is unknown.
 */
export function createOpener(
  ring: KeyRing,
  secretKey: Uint8Array,
  identity: Identity,
  envelope: Uint8Array,
  idempotencyKey?: string,
): Opener | undefined {
  const masterKeyId = masterKeyIdIn(envelope);
  const masterKey = masterKeyId && ring.find(masterKeyId);
  if (!masterKey) return undefined;
  const salted = envelope.subarray(0, needsPhrase(envelope) ? HEAD_BYTES + SALT_BYTES : HEAD_BYTES);
  const prefix = envelope.subarray(0, needsPhrase(envelope) ? salted.length + VERIFIER_BYTES : HEAD_BYTES);
  const context = { masterKey, secretKey, identity, prefix };
  const headerKey = idempotencyKey === undefined ? undefined : headerKeyOf(secretKey, idempotencyKey);
  const isCopy = (flagsOf(envelope) & FLAG_COPY) !== 0;
  return {
    salt: needsPhrase(envelope) ? salted.subarray(HEAD_BYTES) : undefined,
    claimTag: headerKey && derive(masterKey, 'claim tag', [secretKey, headerKey]),
    isRightPhrase: (phraseKey) =>
      timingSafeEqual(
        openVerifier({ ...context, prefix: salted }, envelope.subarray(salted.length, prefix.length)),
        verifierOf(phraseKey),
      ),
    open: (phraseKey) =>
      openText({ ...context, phraseKey, headerKey: isCopy ? headerKey : undefined }, envelope.subarray(prefix.length)),
    sealCopy(text, phraseKey) {
      const copyPrefix = Buffer.from(prefix);
      copyPrefix[1] = flagsOf(prefix) | FLAG_COPY;
      return sealText({ ...context, prefix: copyPrefix, phraseKey, headerKey }, text);
    },
  };
}

function sealText(context: TextContext, text: Uint8Array): Buffer {
  const purpose = textPurpose(context);
  return Buffer.concat([context.prefix, ...seal(textKey(context, purpose), additionalData(purpose, context), text)]);
}

function openText(context: TextContext, sealed: Uint8Array): Buffer {
  const purpose = textPurpose(context);
  return open(textKey(context, purpose), additionalData(purpose, context), sealed);
}

function textPurpose({ phraseKey, headerKey }: TextContext): Purpose {
  if (headerKey) return phraseKey ? 'copy+phrase' : 'copy';
  return phraseKey ? 'text+phrase' : 'text';
}

function textKey({ masterKey, secretKey, phraseKey, headerKey }: TextContext, purpose: Purpose): Buffer {
  const input = [secretKey];
  if (phraseKey) input.push(phraseKey);
  if (headerKey) input.push(headerKey);
  return derive(masterKey, purpose, input);
}

// A copy takes the verifier over from the secret, so the additional data of the verifier leaves out the copy's flag.
function sealVerifier(context: KeyContext, phraseKey: Uint8Array): Buffer {
  return Buffer.concat(seal(verifierKey(context), verifierData(context), verifierOf(phraseKey)));
}

function openVerifier(context: KeyContext, sealed: Uint8Array): Buffer {
  return open(verifierKey(context), verifierData(context), sealed);
}

function verifierKey({ masterKey, secretKey }: KeyContext): Buffer {
  return derive(masterKey, 'verifier', [secretKey]);
}

function verifierData(context: KeyContext): Buffer {
  const prefix = Buffer.from(context.prefix);
  prefix[1] = flagsOf(prefix) & ~FLAG_COPY;
  return additionalData('verifier', { ...context, prefix });
}

function verifierOf(phraseKey: Uint8Array): Buffer {
  return createHmac('sha256', phraseKey).update('hushbox phrase verifier v1').digest();
}

function headerKeyOf(secretKey: Uint8Array, idempotencyKey: string): Buffer {
  return createHmac('sha256', secretKey).update(idempotencyKey).digest();
}

function derive({ salt }: MasterKey, purpose: Purpose, input: readonly Uint8Array[]): Buffer {
  return hkdf(salt, Buffer.concat(input), INFO[purpose]);
}

function labelsEndingIn(end: string): Readonly<Record<Purpose, Buffer>> {
  const labels = PURPOSES.map((purpose) => [purpose, Buffer.from(`hushbox v1 ${purpose}${end}`)]);
  return Object.fromEntries(labels) as Record<Purpose, Buffer>;
}

function additionalData(purpose: Purpose, { prefix, identity }: KeyContext): Buffer {
  const instants = Buffer.allocUnsafe(16);
  instants.writeDoubleBE(identity.createdAt, 0);
  instants.writeDoubleBE(identity.expiresAt, 8);
  return Buffer.concat([DATA_LABEL[purpose], prefix, identity.id, instants]);
}

function flagsOf(envelope: Uint8Array): number {
  return envelope[1] ?? 0;
}
