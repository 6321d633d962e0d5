import { timingSafeEqual } from 'node:crypto';
import { createHmacKey, hkdf, hmac } from './hkdf.ts';
import { type KeyRing, MASTER_KEY_ID_BYTES, type MasterKey } from './key-ring.ts';

const MAC_BYTES = 32;
/** Of what `sign` returns. */
export const SIGNED_BYTES = MASTER_KEY_ID_BYTES + MAC_BYTES;
const NOTHING = Buffer.alloc(0);

/**
 * The id of the master key and an HMAC-SHA-256 of a message, under a key that is HKDF-SHA-256 with salt = master key, no
 * IKM, info = what it is for.
 */
export function sign(masterKey: MasterKey, info: Uint8Array, message: Uint8Array): Buffer {
  const key = createHmacKey(hkdf(masterKey.salt, NOTHING, info));
  return Buffer.concat([masterKey.id, hmac(key, message)]);
}

/** Whether the master key that `signed` names is here. */
export function isSignerKnown(ring: Pick<KeyRing, 'find'>, signed: Uint8Array): boolean {
  return ring.find(signed.subarray(0, MASTER_KEY_ID_BYTES)) !== undefined;
}

/** @returns the master key that a message was signed under; undefined if it was not, or that key is unknown. */
export function signerOf(
  ring: Pick<KeyRing, 'find'>,
  info: Uint8Array,
  message: Uint8Array,
  signed: Uint8Array,
): MasterKey | undefined {
  if (signed.length !== SIGNED_BYTES) return undefined;
  const masterKey = ring.find(signed.subarray(0, MASTER_KEY_ID_BYTES));
  return masterKey && timingSafeEqual(sign(masterKey, info, message), signed) ? masterKey : undefined;
}
