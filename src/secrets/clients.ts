import { createHmacKey, type HmacKey, hkdf, hmac } from '../sealing/hkdf.ts';
import type { KeyRing, MasterKey } from '../sealing/key-ring.ts';

const CLIENT_BYTES = 16;
/** Ids that are kept, for the next request of the same client. */
const MAX_KEPT = 10_000;

/**
 * What a client is known by in the store: an HMAC of its network, so that who has the store alone cannot tell who
 * created what. The key for it comes from the current master key: with a new one every client begins anew.
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
