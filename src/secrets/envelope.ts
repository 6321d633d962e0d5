import { createHmac, timingSafeEqual } from 'node:crypto';
import { NONCE_BYTES, open, seal, TAG_BYTES } from '../sealing/aead.ts';
import { createHead, type Format, formatOf, HEAD_BYTES, masterKeyIdIn } from '../sealing/head.ts';
import { hkdf } from '../sealing/hkdf.ts';
import type { KeyRing, MasterKey } from '../sealing/key-ring.ts';
import { release } from '../sealing/release.ts';
import { encodeIdentity, type Identity } from './identity.ts';
import { decodeLabel, encodeLabel, LABEL_BYTES, type Label } from './label.ts';
import { pad, unpad } from './padding.ts';
import { agreeAgain, agreeWith, PUBLIC_KEY_BYTES } from './request-keys.ts';

/**
 * Envelope, format 2:
 *
 *     0  1  format = 2
 *     1  1  flags: bit 0 = a phrase is needed, 1 = a copy for rereading, 2 = a JWE that the client sealed,
 *           3 = the answer to a request
 *     2  8  id of the master key
 *     … 32  public key made for this answer  } only of an answer
 *     … 16  salt of the phrase      } only with a phrase
 *     … 60  sealed phrase verifier  }
 *     … 93  sealed label            } only of a JWE: see label.ts
 *     …     sealed text
 *
 * "sealed" is AES-256-GCM: nonce (12), ciphertext, tag (16). Every key is HKDF-SHA-256 (RFC 5869) with
 *
 *     salt = master key
 *     IKM  = base [‖ phrase key (32)] [‖ HMAC-SHA-256(secret key, Idempotency-Key) (32)]
 *     info = "hushbox v2 " + purpose: "verifier", "label", "text", "text+phrase", "copy", "copy+phrase" or "claim tag"
 *
 * where the base is the secret key (36), or of an answer what request-keys.ts agrees on (96), and the phrase key is
 * argon2id(phrase, salt). All of these have a fixed length, and the purpose says which of them are there. The additional
 * data is the purpose, the envelope up to the sealed part, and the record's id, creation and expiry, so that nobody with
 * access to the database can exchange any of them. The text is padded: see padding.ts.
 *
 * Format 1 is the same with "hushbox v1 ", no padding, and only the bits 0 and 1. Nothing new is sealed with it but the
 * copy of a secret that has it.
 */
const FLAG_PHRASE = 1;
const FLAG_COPY = 2;
const FLAG_JWE = 4;
const FLAG_ANSWER = 8;
export const SALT_BYTES = 16;
const KEY_BYTES = 32;
const PURPOSES = ['verifier', 'label', 'text', 'text+phrase', 'copy', 'copy+phrase', 'claim tag'] as const;
type Purpose = (typeof PURPOSES)[number];
const INFO = { 1: labelsOf(1, ''), 2: labelsOf(2, '') } as const;
const DATA_LABEL = { 1: labelsOf(1, '\0'), 2: labelsOf(2, '\0') } as const;
const SEAL_BYTES = NONCE_BYTES + TAG_BYTES;
const VERIFIER_BYTES = KEY_BYTES + SEAL_BYTES;
const SEALED_LABEL_BYTES = LABEL_BYTES + SEAL_BYTES;

/** A phrase after argon2id, and the salt that was used. */
export type PhraseKey = { salt: Uint8Array; key: Uint8Array };

/** What is sealed: a text, and of one that is a JWE its label. */
export type Content = { text: Uint8Array; label?: Label | undefined };

export type Opener = {
  /** undefined when no phrase is needed. */
  salt: Uint8Array | undefined;
  /** What a copy is claimed with. Only a party with both secret key and master key can try a header against it. */
  claimTag: Buffer | undefined;
  /** @returns undefined unless the text is a JWE. @throws Error when it does not open: tampered or damaged. */
  openLabel(): Label | undefined;
  /** Compares in constant time. @throws Error when the verifier does not open: tampered or damaged. */
  isRightPhrase(phraseKey: Uint8Array): boolean;
  /** @throws Error when the envelope does not open: tampered, damaged, or a copy under another header. */
  open(phraseKey: Uint8Array | undefined): Buffer;
  /** The same text sealed again, so that opening it takes the header too. */
  sealCopy(text: Uint8Array, phraseKey: Uint8Array | undefined): Buffer;
};

/** Everything that an envelope's keys and additional data are made of. */
type KeyContext = { masterKey: MasterKey; base: Uint8Array; identity: Identity; prefix: Buffer };
type TextContext = KeyContext & { phraseKey: Uint8Array | undefined; headerKey: Uint8Array | undefined };

/** Whether opening the envelope takes a phrase. Needs no key. */
export function needsPhrase(envelope: Uint8Array): boolean {
  return hasFlag(envelope, FLAG_PHRASE);
}

/** Whether the text is a JWE. Needs no key. */
export function holdsJwe(envelope: Uint8Array): boolean {
  return hasFlag(envelope, FLAG_JWE);
}

/** Seals a new secret with the ring's current master key. */
export function sealSecret(
  ring: Pick<KeyRing, 'current'>,
  secretKey: Uint8Array,
  identity: Identity,
  { text, label }: Content,
  phrase?: PhraseKey,
): Buffer {
  const masterKey = ring.current;
  const head = createHead(2, (phrase ? FLAG_PHRASE : 0) | (label ? FLAG_JWE : 0), masterKey);
  const context = { masterKey, base: secretKey, identity, prefix: head };
  if (phrase) {
    context.prefix = Buffer.concat([head, phrase.salt]);
    context.prefix = Buffer.concat([context.prefix, sealVerifier(context, phrase.key)]);
  }
  return sealContent(context, { text, label }, phrase?.key);
}

/** Seals the answer to a request, for whoever has the secret key. */
export function sealAnswer(
  ring: Pick<KeyRing, 'current'>,
  publicKey: Uint8Array,
  identity: Identity,
  content: Content,
): Buffer {
  const masterKey = ring.current;
  const { ephemeral, base } = agreeWith(publicKey);
  const head = createHead(2, FLAG_ANSWER | (content.label ? FLAG_JWE : 0), masterKey);
  return sealContent({ masterKey, base, identity, prefix: Buffer.concat([head, ephemeral]) }, content);
}

/**
 * Prepares to open an envelope.
 * @param idempotencyKey the header's value; needed to open a copy and to make one.
 * @returns undefined when the format or the master key is unknown.
 * @throws Error for an answer whose public key is not one: tampered or damaged.
 */
export function createOpener(
  ring: Pick<KeyRing, 'find'>,
  secretKey: Uint8Array,
  identity: Identity,
  envelope: Uint8Array,
  idempotencyKey?: string,
): Opener | undefined {
  const masterKeyId = masterKeyIdIn(envelope);
  const masterKey = masterKeyId && ring.find(masterKeyId);
  if (!masterKey) return undefined;
  const { beforeSalt, salted, beforeLabel, prefix } = partsOf(envelope);
  const isAnswer = hasFlag(envelope, FLAG_ANSWER);
  const base = isAnswer ? agreeAgain(secretKey, beforeSalt.subarray(HEAD_BYTES)) : secretKey;
  const context = { masterKey, base, identity, prefix };
  const headerKey = idempotencyKey === undefined ? undefined : headerKeyOf(secretKey, idempotencyKey);
  const isCopy = hasFlag(envelope, FLAG_COPY);
  return {
    salt: needsPhrase(envelope) ? salted.subarray(beforeSalt.length) : undefined,
    claimTag: headerKey && derive(context, 'claim tag', [headerKey]),
    openLabel: () =>
      holdsJwe(envelope)
        ? decodeLabel(openPart('label', { ...context, prefix: beforeLabel }, prefix.subarray(beforeLabel.length)))
        : undefined,
    isRightPhrase: (phraseKey) =>
      timingSafeEqual(
        openPart('verifier', { ...context, prefix: salted }, beforeLabel.subarray(salted.length)),
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

/** Where the parts of an envelope end, each with all that comes before it. */
function partsOf(envelope: Uint8Array): Record<'beforeSalt' | 'salted' | 'beforeLabel' | 'prefix', Buffer> {
  const saltAt = HEAD_BYTES + (hasFlag(envelope, FLAG_ANSWER) ? PUBLIC_KEY_BYTES : 0);
  const verifierAt = saltAt + (needsPhrase(envelope) ? SALT_BYTES : 0);
  const labelAt = verifierAt + (needsPhrase(envelope) ? VERIFIER_BYTES : 0);
  const textAt = labelAt + (holdsJwe(envelope) ? SEALED_LABEL_BYTES : 0);
  const prefix = Buffer.from(envelope.subarray(0, textAt));
  return {
    beforeSalt: prefix.subarray(0, saltAt),
    salted: prefix.subarray(0, verifierAt),
    beforeLabel: prefix.subarray(0, labelAt),
    prefix,
  };
}

function sealContent(context: KeyContext, { text, label }: Content, phraseKey?: Uint8Array): Buffer {
  const labelled = label
    ? Buffer.concat([context.prefix, sealPart('label', context, encodeLabel(label))])
    : context.prefix;
  return sealText({ ...context, prefix: labelled, phraseKey, headerKey: undefined }, text);
}

function sealText(context: TextContext, text: Uint8Array): Buffer {
  const purpose = textPurpose(context);
  const content = formatIn(context) === 1 ? text : pad(text);
  const sealed = seal(textKey(context, purpose), additionalData(purpose, context), content);
  const envelope = Buffer.concat([context.prefix, ...sealed]);
  for (const part of [content, ...sealed]) if (part !== text) release(part);
  return envelope;
}

function openText(context: TextContext, sealed: Uint8Array): Buffer {
  const purpose = textPurpose(context);
  const content = open(textKey(context, purpose), additionalData(purpose, context), sealed);
  return formatIn(context) === 1 ? content : unpad(content);
}

function textPurpose({ phraseKey, headerKey }: TextContext): Purpose {
  if (headerKey) return phraseKey ? 'copy+phrase' : 'copy';
  return phraseKey ? 'text+phrase' : 'text';
}

function textKey(context: TextContext, purpose: Purpose): Buffer {
  const more = [context.phraseKey, context.headerKey].filter((key) => key !== undefined);
  return derive(context, purpose, more);
}

// A copy takes verifier and label over from the secret, so their additional data leaves out the copy's flag.
function sealPart(purpose: 'verifier' | 'label', context: KeyContext, content: Uint8Array): Buffer {
  return Buffer.concat(seal(derive(context, purpose), partData(purpose, context), content));
}

function openPart(purpose: 'verifier' | 'label', context: KeyContext, sealed: Uint8Array): Buffer {
  return open(derive(context, purpose), partData(purpose, context), sealed);
}

function sealVerifier(context: KeyContext, phraseKey: Uint8Array): Buffer {
  return sealPart('verifier', context, verifierOf(phraseKey));
}

function partData(purpose: 'verifier' | 'label', context: KeyContext): Buffer {
  const prefix = Buffer.from(context.prefix);
  prefix[1] = flagsOf(prefix) & ~FLAG_COPY;
  return additionalData(purpose, { ...context, prefix });
}

function verifierOf(phraseKey: Uint8Array): Buffer {
  return createHmac('sha256', phraseKey).update('hushbox phrase verifier v1').digest();
}

function headerKeyOf(secretKey: Uint8Array, idempotencyKey: string): Buffer {
  return createHmac('sha256', secretKey).update(idempotencyKey).digest();
}

function derive(context: KeyContext, purpose: Purpose, more: readonly Uint8Array[] = []): Buffer {
  const { masterKey, base } = context;
  return hkdf(masterKey.salt, Buffer.concat([base, ...more]), INFO[formatIn(context)][purpose]);
}

function labelsOf(format: Format, end: string): Readonly<Record<Purpose, Buffer>> {
  const labels = PURPOSES.map((purpose) => [purpose, Buffer.from(`hushbox v${format} ${purpose}${end}`)]);
  return Object.fromEntries(labels) as Record<Purpose, Buffer>;
}

function additionalData(purpose: Purpose, context: Pick<KeyContext, 'prefix' | 'identity'>): Buffer {
  return Buffer.concat([DATA_LABEL[formatIn(context)][purpose], context.prefix, encodeIdentity(context.identity)]);
}

function formatIn({ prefix }: Pick<KeyContext, 'prefix'>): Format {
  return formatOf(prefix) as Format;
}

function flagsOf(envelope: Uint8Array): number {
  return envelope[1] ?? 0;
}

function hasFlag(envelope: Uint8Array, flag: number): boolean {
  return (flagsOf(envelope) & flag) !== 0;
}
