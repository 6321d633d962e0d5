/**
 * What the operator's commands need from an engine: listing everything stored, page by page.
 * No verb changes anything, and the service uses none of them.
 *
 * Instants are ms since the epoch. Fails as `SecretStore` does.
 */
export interface SecretRecords {
  /** Sealed content that a reader, or whoever answers a request, could still act on at `now`, ordered by id. */
  listSealed(page: Page): Promise<readonly SealedRecord[]>;

  /**
   * Subscriptions of secrets and requests that wait at `now`, or whose event waits, ordered by id. Empty in a storage
   * that an older version wrote, before webhooks.
   */
  listNotifying(page: Page): Promise<readonly SealedRecord[]>;
}

export type Page = {
  now: number;
  /** The last id of the previous page. */
  after?: Uint8Array | undefined;
  /** At most this many; fewer only on the last page. */
  limit: number;
};

export type SealedRecord = {
  id: Uint8Array;
  state: 'waiting' | 'copy' | 'requested' | 'notifying' | 'mail';
  createdAt: number;
  /** From this instant on it is invisible, or given up. */
  visibleUntil: number;
  /** The first bytes of the sealed content: enough to know its format and its master key. */
  envelopeHead: Uint8Array;
};
