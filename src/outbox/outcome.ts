export const OUTCOMES = [
  'delivered',
  /** 410: nobody wants it any more. */
  'gone',
  /** What is stored does not open: it was changed, or is damaged. */
  'damaged',
  /** Another status than 2xx. */
  'refused',
  /** No answer: no connection, no such name, too slow. */
  'unreachable',
  /** The address is one that must not be called, now. */
  'forbidden',
  /** Not tried: the master key is missing, or too much is under way to the address. */
  'later',
  /** Broken off by us, or not begun in time. */
  'cut',
] as const;

/** How an attempt to deliver an event ended. */
export type Outcome = {
  result: (typeof OUTCOMES)[number];
  /** What the receiver asked for. */
  retryAfterMs?: number | undefined;
};
