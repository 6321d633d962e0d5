import { createHmacKey, type HmacKey, hmac } from './hkdf.ts';

export const MASTER_KEY_ID_BYTES = 8;

/** A master key and the id by which envelopes name it. The id is a one-way function of the key. */
export type MasterKey = { id: Buffer; salt: HmacKey };

/** The keys a server holds: it seals with `current` and opens with any. */
export type KeyRing = { current: MasterKey; find(id: Uint8Array): MasterKey | undefined };

/** @param keys 32 bytes each; the first seals. */
export function createKeyRing([first, ...previous]: readonly [Buffer, ...Buffer[]]): KeyRing {
  const current = createMasterKey(first);
  const all = [current, ...previous.map(createMasterKey)];
  return { current, find: (id) => all.find((masterKey) => masterKey.id.equals(id)) };
}

function createMasterKey(bytes: Buffer): MasterKey {
  const salt = createHmacKey(bytes);
  return { id: hmac(salt, Buffer.from('hushbox master key id v1')).subarray(0, MASTER_KEY_ID_BYTES), salt };
}
