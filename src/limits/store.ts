import type { Limit, Taken } from './limits.ts';

/**
 * What limits that all processes share need from an engine. Every verb is one atomic step across processes, and durable
 * once it resolves; it fails as the verbs of `SecretStore` do.
 *
 * A key is opaque: up to 64 bytes that nothing else is limited by. A key always comes with the same limit.
 */
export interface LimitStore {
  /** Takes one, if the limit grants another at `now` (ms since the epoch). */
  take(key: Uint8Array, limit: Limit, now: number): Promise<Taken>;

  /** Gives back one that was taken. The caller gives back no more than it took. */
  giveBack(key: Uint8Array, limit: Limit): Promise<void>;
}
