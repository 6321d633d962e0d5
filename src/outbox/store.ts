/**
 * What the delivery of webhooks needs from an engine. An event is written by the verb of `SecretStore` that ends its
 * secret, in the same atomic step; from then on it is found here, until it is finished or, at the latest, seven days old.
 *
 * Whoever takes an event holds it until its `dueAt`: so long nobody else is given it. Then anybody may take it, for who
 * held it may be dead. An event is therefore delivered at least once. Instants are ms since the epoch. Every verb is
 * atomic across processes and durable once it resolves; fails as `SecretStore` does.
 */
export interface EventStore {
  /**
   * Takes events that are due at `now`, and holds them until `leaseUntil`. Of N callers one is given each. Those of a
   * destination that were due first come first; which destinations come first depends on the engine, but none is passed
   * over for ever.
   * @returns fewer than the limit where there are no more, or where others took some of them meanwhile.
   */
  takeDue(now: number, options: TakeOptions): Promise<readonly TakenEvent[]>;

  /** Removes what was delivered, or will never be, whoever holds it. Of an event that is gone nothing is asked. */
  finish(ids: readonly Uint8Array[]): Promise<void>;

  /**
   * Makes a held event due at another time.
   * @returns false when it is held no more: finished, too old, or another's since its `dueAt`.
   */
  postpone(held: Pick<TakenEvent, 'id' | 'dueAt'>, next: Pick<TakenEvent, 'dueAt' | 'attempts'>): Promise<boolean>;

  /** Whether any event is due at `now`. Costs next to nothing where none is, so that it can be asked often. */
  hasDue(now: number): Promise<boolean>;

  /** Events that are not finished, held ones included, and when the oldest of them occurred. */
  countWaiting(): Promise<{ events: number; oldestAt: number | undefined }>;
}

export type TakeOptions = {
  limit: number;
  /** Of one destination, at most. */
  perDestination: number;
  leaseUntil: number;
  /** Destinations to leave out. */
  without: readonly Uint8Array[];
};

/** How a secret ended: it has one event in its life. */
export type EventType = 'read' | 'burned' | 'expired';

export type TakenEvent = {
  /** Of its secret. */
  id: Uint8Array;
  type: EventType;
  occurredAt: number;
  /** As told by `postpone`; 0 before the first. */
  attempts: number;
  /** Until then it is held by whom it was given to. */
  dueAt: number;
  /** As given to `create`. */
  notify: { sealed: Uint8Array; destination: Uint8Array };
};
