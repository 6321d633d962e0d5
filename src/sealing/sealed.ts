import { open, seal } from './aead.ts';
import { createHead, HEAD_BYTES, masterKeyIdIn } from './head.ts';
import { hkdf } from './hkdf.ts';
import type { KeyRing, MasterKey } from './key-ring.ts';

/**
 * Something at rest, format 1:
 *
 *     0 10  head: format = 1, flags = 0, id of the master key
 *    10 12  nonce
 *    22  …  AES-256-GCM of the content
 *     … 16  tag
 *
 * The key is HKDF-SHA-256 (RFC 5869) with salt = master key, IKM = id of the record, info = what it is for; the additional
 * data is that text, a zero, the head and the id: opened under another record's id it fails.
 * @param info unique to a kind of record.
 */
export function sealRecord(masterKey: MasterKey, info: Uint8Array, id: Uint8Array, plain: Uint8Array): Buffer {
  const head = createHead(1, 0, masterKey);
  return Buffer.concat([head, ...seal(hkdf(masterKey.salt, id, info), additionalData(info, head, id), plain)]);
}

/**
 * @returns undefined if the format or the master key is unknown.
 * @throws Error if it does not open: tampered with, damaged, or another record's.
 */
export function openRecord(
  ring: Pick<KeyRing, 'find'>,
  info: Uint8Array,
  id: Uint8Array,
  sealed: Uint8Array,
): Buffer | undefined {
  const masterKeyId = masterKeyIdIn(sealed);
  const masterKey = masterKeyId && ring.find(masterKeyId);
  if (!masterKey) return undefined;
  const head = sealed.subarray(0, HEAD_BYTES);
  const key = hkdf(masterKey.salt, id, info);
  return open(key, additionalData(info, head, id), sealed.subarray(HEAD_BYTES));
}

function additionalData(info: Uint8Array, head: Uint8Array, id: Uint8Array): Buffer {
  return Buffer.concat([info, Buffer.of(0), head, id]);
}
