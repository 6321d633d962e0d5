import { hash } from 'node:crypto';

const BLOCK_BYTES = 64;
const FIRST_BLOCK = Buffer.of(1);

/** A key for HMAC-SHA-256, padded once for all its uses (RFC 2104 §2). */
export type HmacKey = { inner: Uint8Array; outer: Uint8Array };

/** @param key at most 64 bytes: a longer one would need to be hashed first. */
export function createHmacKey(key: Uint8Array): HmacKey {
  if (key.length > BLOCK_BYTES) throw new TypeError('the key is longer than a block');
  return { inner: pad(key, 0x36), outer: pad(key, 0x5c) };
}

/** HMAC-SHA-256 (RFC 2104). */
export function hmac({ inner, outer }: HmacKey, message: Uint8Array): Buffer {
  return sha256(outer, sha256(inner, message));
}

/**
 * HKDF-SHA-256 (RFC 5869) with one block, 32 bytes, of output. It uses one-shot hashes, because every request derives
 * a key, and in Node a Hmac or HKDF object costs several times as much as the hashing. Tests compare it with the RFC's
 * vectors and with node:crypto.
 */
export function hkdf(salt: HmacKey, inputKey: Uint8Array, info: Uint8Array): Buffer {
  const pseudoRandomKey = hmac(salt, inputKey);
  return hmac(createHmacKey(pseudoRandomKey), Buffer.concat([info, FIRST_BLOCK]));
}

/** Through a string: in Node a hash that comes as a buffer allocates memory for it, which costs twice the hashing. */
export function sha256(first: Uint8Array, second: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', Buffer.concat([first, second]), 'binary'), 'latin1');
}

function pad(key: Uint8Array, value: number): Uint8Array {
  const padded = new Uint8Array(BLOCK_BYTES).fill(value);
  for (let index = 0; index < key.length; index++) padded[index] = (padded[index] as number) ^ (key[index] as number);
  return padded;
}
