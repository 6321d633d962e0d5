/**
 * What the operator's commands need from an engine: to look through all there is, page by page, and to put back what is
 * left of secrets that ended. No verb reads a secret, ends one or makes one; the service does not need any of them.
 *
 * Instants are ms since the epoch. Fails as `SecretStore` does.
 */
export interface SecretRecords {
  /** Sealed content that a reader could still act on at `now`, in the order of the ids. */
  listSealed(page: Page): Promise<readonly SealedRecord[]>;

  /**
   * Who is to be told of ends at `now`, in the order of the ids: of secrets that wait, or of which an event waits. Empty in
   * a storage of a version that told nobody.
   */
  listNotifying(page: Page): Promise<readonly SealedRecord[]>;

  /** What receipts tell at `now` of secrets that have ended by then, in the order of the ids. */
  listEnded(page: Page): Promise<readonly EndedRecord[]>;

  /**
   * Puts back those of which there is nothing, neither secret nor record, and whose receipt is not over at `now`. What
   * is there stays as it is.
   * @returns how many were put back.
   */
  restoreEnded(records: readonly EndedRecord[], now: number): Promise<number>;
}

export type Page = {
  now: number;
  /** The last id of the page before. */
  after?: Uint8Array | undefined;
  /** As many at most; fewer only at the end. */
  limit: number;
};

export type SealedRecord = {
  id: Uint8Array;
  state: 'waiting' | 'copy' | 'notifying';
  createdAt: number;
  /** From then on it is invisible, or given up. */
  visibleUntil: number;
  /** The first bytes of what is sealed, as many as tell its format and its master key. */
  envelopeHead: Uint8Array;
};

export type EndedRecord = {
  id: Uint8Array;
  receiptHash: Uint8Array;
  state: 'read' | 'burned' | 'expired';
  createdAt: number;
  expiresAt: number;
  endedAt: number;
  wrongTries: number;
  reads: number;
};
