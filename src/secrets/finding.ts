import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { parseSecretKey, type SecretKey } from './keys.ts';
import type { Found, SecretStore } from './store.ts';

export type FindingParts = {
  store: Pick<SecretStore, 'find'>;
  clock: Clock;
  /**
   * Secrets created at this instant or before may have been read already, and are never handed out again.
   * @throws AppError STORAGE_UNAVAILABLE while the instant is unknown.
   */
  refusedUntil(): number;
};

/** @throws AppError KEY_NOT_FOUND */
export function parseSecret(text: string): SecretKey {
  const key = parseSecretKey(text);
  if (!key) throw new AppError('KEY_NOT_FOUND');
  return key;
}

/** @throws AppError KEY_NOT_FOUND when it is not there, or may have been read already. */
export async function findSecret({ store, clock, refusedUntil }: FindingParts, { id }: SecretKey): Promise<Found> {
  const found = await store.find(id, clock());
  if (!found || found.createdAt <= refusedUntil()) throw new AppError('KEY_NOT_FOUND');
  return found;
}

/** What is sealed needs a key that this server does not have, or not yet. */
export function withoutMasterKey(): AppError {
  return new AppError('MASTER_KEY_UNAVAILABLE', { retryAfterSeconds: 60 });
}
