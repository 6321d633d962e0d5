import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto';
import { randomBytes } from './random.ts';

export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/**
 * AES-256-GCM under a random nonce. A random nonce is safe for 2^32 texts under one key (SP 800-38D §8.3).
 * @param data authenticated with the text, and needed to open it.
 * @returns nonce, ciphertext, tag.
 */
export function seal(key: Uint8Array, data: Uint8Array, plain: Uint8Array): Buffer[] {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', createSecretKey(key), nonce).setAAD(data);
  const sealed = cipher.update(plain);
  cipher.final(); // returns nothing, because GCM is a stream cipher
  return [nonce, sealed, cipher.getAuthTag()];
}

/** @throws Error unless every bit is as it was sealed, with this key and this data. */
export function open(key: Uint8Array, data: Uint8Array, sealed: Uint8Array): Buffer {
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(key), sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(data).setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, end));
  decipher.final(); // throws if the tag is wrong
  return plain;
}
