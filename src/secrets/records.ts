/**
 * What the operator's commands need from an engine: to look through all there is, page by page.
 * No verb changes anything; the service does not need any of them.
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
