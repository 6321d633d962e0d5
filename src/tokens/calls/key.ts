import { createSecretKey, type KeyObject } from 'node:crypto';

/** The header of every token, byte for byte. */
export const HEADER = '{"alg":"HS512","typ":"JWT"}';
export const HEADER_PART = Buffer.from(HEADER).toString('base64url');
/** RFC 7518 §3.2: no key may be shorter than the hash. */
const KEY_MIN_BYTES = 64;

/** Signs and verifies. An object, because every signature with the bytes costs seven times as much. */
export type TokenKey = KeyObject;

/** @throws TypeError for less than 64 bytes. */
export function createTokenKey(bytes: Uint8Array): TokenKey {
  if (bytes.length < KEY_MIN_BYTES) throw new TypeError(`the key of a token has less than ${KEY_MIN_BYTES} bytes`);
  return createSecretKey(bytes);
}
