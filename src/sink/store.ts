/**
 * What the sink needs from an engine. Every verb is one atomic step across processes, and durable once it resolves. An
 * engine that cannot answer, or cannot know whether a write took place, rejects with AppError STORAGE_UNAVAILABLE.
 *
 * Instants are ms since the epoch, `receivedAt` with a fraction. Claims are listed while `now < receivedAt + KEPT_MS`.
 */
export interface SinkStore {
  /**
   * Keeps claims, unless some of this id are there already or that would go beyond the limit on everything stored. Of N
   * callers with one id one gets `kept`. An id is free again when its claims are swept, not before.
   */
  keepClaims(claims: NewClaims): Promise<'kept' | 'replayed' | 'full'>;

  /** The newest ones first; of two from one instant the one with the greater id. */
  listClaims(now: number, limit: number): Promise<readonly string[]>;

  /** Removes up to `limit` claims whose time is over. @returns how many there were: fewer leave nothing to do. */
  sweepClaims(now: number, limit: number): Promise<number>;
}

export type NewClaims = {
  /** Of the token's `jti`: a hash, 32 bytes. */
  id: Uint8Array;
  receivedAt: number;
  /** As they are listed: JSON. */
  claims: string;
};

/** How long claims are kept, and with them what tells that their token was received. */
export const KEPT_MS = 7 * 24 * 3_600_000;
