import { open, seal } from '../sealing/aead.ts';
import { createHead, formatOf, HEAD_BYTES, masterKeyIdIn } from '../sealing/head.ts';
import { hkdf } from '../sealing/hkdf.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { encodeIdentity, type Identity } from './identity.ts';
import { decodeLabel, encodeLabel, LABEL_BYTES, type Label } from './label.ts';
import { pad, unpad } from './padding.ts';
import { PUBLIC_KEY_BYTES, publicKeyOf, requestTokenOf } from './request-keys.ts';

/**
 * An open request at rest, in format 2 of the envelope:
 *
 *     0 10  head: format = 2, flags = bit 4, id of the master key
 *    10 32  public key for the answer: see request-keys.ts
 *    42  …  sealed: 1 if the answer has to be a JWE, else 0 (1); its label, or zeros (65); the note, in UTF-8; all padded
 *
 * "sealed" is AES-256-GCM as in envelope.ts, under HKDF-SHA-256 with salt = master key, IKM = request token, info =
 * "hushbox v2 request". The additional data is that text, a zero, the envelope up to the sealed part, and the record's id,
 * creation and expiry. Who opens it with a request key knows that all of these are the asker's: nobody else can have made
 * it with the database alone, nor with the master key.
 */
const FLAG_REQUEST = 16;
const INFO = Buffer.from('hushbox v2 request');
const DATA_LABEL = Buffer.from('hushbox v2 request\0');
const SEALED_AT = HEAD_BYTES + PUBLIC_KEY_BYTES;
const NO_LABEL = Buffer.alloc(LABEL_BYTES);

/** What is asked for. With a `label`, the answer has to be a JWE for its `kid`. */
export type Asked = { note?: string | undefined; label?: Label | undefined };

/** Seals a new request with the ring's current master key. */
export function sealRequest(
  { current }: Pick<KeyRing, 'current'>,
  secretKey: Uint8Array,
  identity: Identity,
  { note = '', label }: Asked,
): Buffer {
  const prefix = Buffer.concat([createHead(2, FLAG_REQUEST, current), publicKeyOf(secretKey)]);
  const content = Buffer.concat([Buffer.of(label ? 1 : 0), label ? encodeLabel(label) : NO_LABEL, Buffer.from(note)]);
  const key = hkdf(current.salt, requestTokenOf(secretKey), INFO);
  return Buffer.concat([prefix, ...seal(key, dataOf(prefix, identity), pad(content))]);
}

/**
 * @returns undefined when the format or the master key is unknown.
 * @throws Error when it does not open: tampered with, damaged, or another request's.
 */
export function openRequest(
  ring: Pick<KeyRing, 'find'>,
  requestToken: Uint8Array,
  identity: Identity,
  envelope: Uint8Array,
): (Asked & { publicKey: Buffer }) | undefined {
  const masterKeyId = formatOf(envelope) === 2 ? masterKeyIdIn(envelope) : undefined;
  const masterKey = masterKeyId && ring.find(masterKeyId);
  if (!masterKey) return undefined;
  const prefix = Buffer.from(envelope.subarray(0, SEALED_AT));
  const key = hkdf(masterKey.salt, requestToken, INFO);
  const content = unpad(open(key, dataOf(prefix, identity), envelope.subarray(SEALED_AT)));
  const note = content.toString('utf8', 1 + LABEL_BYTES);
  return {
    publicKey: prefix.subarray(HEAD_BYTES),
    ...(note && { note }),
    ...(content[0] === 1 && { label: decodeLabel(content.subarray(1, 1 + LABEL_BYTES)) }),
  };
}

function dataOf(prefix: Uint8Array, identity: Identity): Buffer {
  return Buffer.concat([DATA_LABEL, prefix, encodeIdentity(identity)]);
}
