export const OUTCOMES = [
  'delivered',
  /** The receiver no longer wants it. */
  'gone',
  /** The stored item does not open: it was changed, or is damaged. */
  'damaged',
  /** The receiver answered, and did not accept it. */
  'refused',
  /** No answer: no connection, no such name, too slow. */
  'unreachable',
  /** The address must not be called, at present. */
  'forbidden',
  /** Not tried: the master key is missing, or too many requests are under way. */
  'later',
  /** Broken off by us, or not begun in time. */
  'cut',
] as const;

/** How an attempt to deliver an item ended. */
export type Outcome = {
  result: (typeof OUTCOMES)[number];
  /** The wait that the receiver asked for. */
  retryAfterMs?: number | undefined;
};

/** Not tried, because `enter` refused its address: it waits in memory for a place there. */
export type Crowded = { result: 'crowded' };

/**
 * Tries to deliver an item once. Never rejects.
 * @param enter called with the address before anything is sent there; if it returns false, the attempt ends as crowded.
 * @param signal cuts the attempt short: then its outcome is `cut`.
 */
export type Attempt<Item> = (
  item: Item,
  enter: (address: string) => boolean,
  signal: AbortSignal,
) => Promise<Outcome | Crowded>;
