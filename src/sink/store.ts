/**
 * What the sink needs from an engine. Every verb is one atomic step across processes, and durable once it resolves. An
 * engine that cannot answer, or does not know whether it has written, rejects with AppError STORAGE_UNAVAILABLE.
 *
 * Instants are ms since the epoch, `receivedAt` with a fraction. Claims are listed while `now < receivedAt + KEPT_MS`.
 */
export interface SinkStore {
  /**
   * Keeps claims, unless claims with this id exist or the limit on everything stored would be exceeded. Exactly one of N
   * callers with one id gets `kept`. An id is free again only when its claims are swept.
   */
  keepClaims(claims: NewClaims): Promise<'kept' | 'replayed' | 'full'>;

  /** Newest first; at the same instant, the greater id first. */
  listClaims(now: number, limit: number): Promise<readonly string[]>;

  /** Removes up to `limit` claims whose time is over. @returns how many; fewer than `limit` means that none is left. */
  sweepClaims(now: number, limit: number): Promise<number>;
}

export type NewClaims = {
  /** A hash of the token's `jti`, 32 bytes. */
  id: Uint8Array;
  receivedAt: number;
  /** JSON, as listed. */
  claims: string;
};

/** How long claims are kept, and with them the record that their token was received. */
export const KEPT_MS = 7 * 24 * 3_600_000;
