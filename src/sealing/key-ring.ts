import { createHmacKey, type HmacKey, hmac } from './hkdf.ts';

export const MASTER_KEY_ID_BYTES = 8;

/** A master key and the id by which envelopes name it. The id is a one-way function of the key. */
export type MasterKey = { id: Buffer; salt: HmacKey };

/** The keys that a server has: it seals with `current` and opens with any of them. */
export type KeyRing = {
  readonly current: MasterKey;
  /** Looks for new keys before it returns undefined. */
  find(id: Uint8Array): MasterKey | undefined;
  /** Adds new keys if there are any; the first of them seals from now on. Keeps the keys it has. */
  refresh(): void;
};

/** 32 bytes each; the first seals. */
type Keys = readonly [Buffer, ...Buffer[]];

/** @param lookForChange returns the keys if they changed since its last call. */
export function createKeyRing(keys: Keys, lookForChange: () => Keys | undefined = () => undefined): KeyRing {
  let current = createMasterKey(keys[0]);
  let all = keys.map(createMasterKey);

  function refresh(): void {
    const changed = lookForChange();
    if (!changed) return;
    const fresh = changed.map(createMasterKey);
    current = fresh[0] as MasterKey;
    all = [...fresh, ...all.filter(({ id }) => !fresh.some((key) => key.id.equals(id)))];
  }
  const findHeld = (id: Uint8Array): MasterKey | undefined => all.find((masterKey) => masterKey.id.equals(id));

  return {
    get current() {
      return current;
    },
    find(id) {
      const held = findHeld(id);
      if (held) return held;
      refresh();
      return findHeld(id);
    },
    refresh,
  };
}

/** The id by which envelopes name this key. */
export function masterKeyIdOf(key: Buffer): Buffer {
  return createMasterKey(key).id;
}

function createMasterKey(bytes: Buffer): MasterKey {
  const salt = createHmacKey(bytes);
  return { id: hmac(salt, Buffer.from('hushbox master key id v1')).subarray(0, MASTER_KEY_ID_BYTES), salt };
}
