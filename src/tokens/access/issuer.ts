import { hkdf } from '../../sealing/hkdf.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';

const INFO = Buffer.from('hushbox v1 installation');
const NAME_BYTES = 8;
const NOTHING = Buffer.alloc(0);

/**
 * The `iss` of access tokens: `PUBLIC_URL`, or a name that all workers and hosts with the same master key have, and that
 * reveals nothing about it.
 */
export function createIssuer(publicUrl: string | undefined, ring: Pick<KeyRing, 'current'>): () => string {
  return () => publicUrl ?? `hushbox-${hkdf(ring.current.salt, NOTHING, INFO).subarray(0, NAME_BYTES).toString('hex')}`;
}
