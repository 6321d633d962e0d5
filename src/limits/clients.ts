import { createHmacKey, type HmacKey, hkdf, hmac } from '../sealing/hkdf.ts';
import type { KeyRing, MasterKey } from '../sealing/key-ring.ts';

const CLIENT_BYTES = 16;
/** How many ids are kept for further requests of the same clients. */
const MAX_KEPT = 10_000;

/**
 * The id of a client in the store: an HMAC of its network, so that the database alone does not reveal who created what.
 * Its key is derived from the current master key: with a new master key every client starts with fresh limits.
 */
export function createClientIds(ring: Pick<KeyRing, 'current'>): (network: string) => Uint8Array {
  const kept = new Map<string, Uint8Array>();
  let madeFrom: MasterKey | undefined;
  let key: HmacKey;

  return (network) => {
    const { current } = ring;
    if (current !== madeFrom) {
      key = createHmacKey(hkdf(current.salt, Buffer.alloc(0), Buffer.from('hushbox v1 client')));
      madeFrom = current;
      kept.clear();
    }
    const known = kept.get(network);
    if (known) return known;
    const id = hmac(key, Buffer.from(network)).subarray(0, CLIENT_BYTES);
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(network, id);
    return id;
  };
}
