/** How a kind of items is delivered: what differs between a receiver that anybody named and a server of our own choice. */
export type Pace = {
  /** When each attempt is due, in ms after the event; the first is 0. After the last one the item is given up. */
  offsetsMs: readonly number[];
  /** Deliveries under way to one address. */
  underWayEach: number;
  /** How long an item is held: an attempt, and the wait before it. */
  leaseMs: number;
  /** How much of the lease must be left for an attempt to begin: its longest time, and time to write down its end. */
  attemptMs: number;
  /** How long finished items are gathered before they are written down; a place is free again that much later. */
  finishGatherMs: number;
};
