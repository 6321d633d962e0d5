import { createHmac } from 'node:crypto';

export const MASTER_KEY_ID_BYTES = 8;

/** A master key and the id by which envelopes name it. The id is a one-way function of the key. */
export type MasterKey = { id: Buffer; bytes: Buffer };

/** The keys a server holds: it seals with `current` and opens with any. */
export type KeyRing = { current: MasterKey; find(id: Uint8Array): MasterKey | undefined };

/** @param keys 32 bytes each; the first seals. */
export function createKeyRing([first, ...previous]: readonly [Buffer, ...Buffer[]]): KeyRing {
  const current = createMasterKey(first);
  const all = [current, ...previous.map(createMasterKey)];
  return { current, find: (id) => all.find((masterKey) => masterKey.id.equals(id)) };
}

function createMasterKey(bytes: Buffer): MasterKey {
  const id = createHmac('sha256', bytes).update('hushbox master key id v1').digest().subarray(0, MASTER_KEY_ID_BYTES);
  return { id, bytes };
}
