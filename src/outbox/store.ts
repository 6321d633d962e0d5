/**
 * What leased delivery needs from an engine. Other verbs write the items, in the same atomic step as their cause; from
 * then on an item is found here until it is finished or, at the latest, seven days old.
 *
 * The process that takes an item holds it until the item's `dueAt`: until then no other process gets it. After that any
 * process may take it, because the holder may be dead. An item is therefore delivered at least once. Instants are ms
 * since the epoch. Every verb is atomic across processes and durable once it resolves; it fails as `SecretStore` does.
 */
export interface OutboxStore<Item extends Leased> {
  /**
   * Takes items that are due at `now`, and holds them until `leaseUntil`. Exactly one of N callers gets each. The items
   * of one destination come in the order in which they were due; the order of the destinations depends on the engine,
   * but none is passed over for ever.
   * @returns fewer than the limit if there are no more, or if other processes took some of them meanwhile.
   */
  takeDue(now: number, options: TakeOptions): Promise<readonly Item[]>;

  /** Removes items that were delivered or never will be, whoever holds them. Items that are gone are ignored. */
  finish(ids: readonly Uint8Array[]): Promise<void>;

  /**
   * Makes a held item due at another time.
   * @returns false if it is no longer held: finished, too old, or taken by another process since its `dueAt`.
   */
  postpone(held: Pick<Leased, 'id' | 'dueAt'>, next: Pick<Leased, 'dueAt' | 'attempts'>): Promise<boolean>;

  /** Whether any item is due at `now`. Costs next to nothing if none is, so that it can be asked often. */
  hasDue(now: number): Promise<boolean>;

  /** Items that are not finished, held ones included, and when the oldest one occurred. */
  countWaiting(): Promise<{ events: number; oldestAt: number | undefined }>;
}

/** Length of a destination: an opaque name for everything that goes to one place. */
export const DESTINATION_BYTES = 16;

export type TakeOptions = {
  limit: number;
  /** At most this many items of one destination. */
  perDestination: number;
  leaseUntil: number;
  /** Destinations to leave out. */
  without: readonly Uint8Array[];
};

/** What the outbox looks at in an item; the rest is for its attempt. */
export type Leased = {
  id: Uint8Array;
  occurredAt: number;
  /** As given to `postpone`; 0 before the first. */
  attempts: number;
  /** Until then the process that took it holds it. */
  dueAt: number;
};
