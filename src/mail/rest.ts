/** After this many failures in a row the server is left alone for a while. */
const FAILURES = 3;
const SHORTEST_MS = 1_000;
const LONGEST_MS = 10_000;

/** Lets a mail server that is away rest: one attempt in a while finds out whether it is back, however many mails wait. */
export type Rest = {
  /** How much of a rest is left. */
  leftMs(now: number): number;
  note(what: 'answered' | 'failed', now: number): void;
};

export function createRest(): Rest {
  let failures = 0;
  let until = 0;
  return {
    leftMs: (now) => Math.min(LONGEST_MS, Math.max(0, until - now)), // however the clock is set
    note(what, now) {
      failures = what === 'failed' ? failures + 1 : 0;
      const isResting = failures >= FAILURES;
      until = isResting ? now + Math.min(LONGEST_MS, SHORTEST_MS * 2 ** Math.min(10, failures - FAILURES)) : 0;
    },
  };
}
