import { randomBytes } from '../../sealing/random.ts';
import type { SigningKeyStore } from './store.ts';

const NAME_BYTES = 8;
const NAME = /^hushbox-[0-9a-f]{16}$/;

/**
 * The `iss` of access tokens: `PUBLIC_URL`, or a name that was made once for everything that shares the storage. It stays
 * when keys are replaced and when the database is restored.
 */
export function createIssuer(publicUrl: string | undefined, store: Pick<SigningKeyStore, 'nameOnce'>) {
  let name = publicUrl;
  return async (): Promise<string> => {
    name ??= await store.nameOnce(`hushbox-${randomBytes(NAME_BYTES).toString('hex')}`);
    return name;
  };
}

/** Whether a token with this issuer may be ours, as far as can be seen without the storage. */
export function isLikeOurs(issuer: unknown, publicUrl: string | undefined): boolean {
  return typeof issuer === 'string' && (issuer === publicUrl || NAME.test(issuer));
}
