/** At most `burst` at once, and one more each `intervalMs`. */
export type Limit = {
  burst: number;
  intervalMs: number;
  /** How much too early one is granted, because clocks differ and instants are rounded. */
  toleranceMs: number;
};

/** `hushbox doctor` calls a greater difference between hosts a problem. */
const MAX_CLOCK_DIFFERENCE_MS = 30_000;

export type Taken =
  | {
      granted: true;
      /** How many more would be granted now. */
      left: number;
    }
  | { granted: false; retryAfterMs: number };

/**
 * GCRA, the generic cell rate algorithm: all that is kept of a limit is `fullAt`, the instant (ms since the epoch) from
 * which on a full burst is free again. Each one that is taken moves it on by one interval. 0 means that none was taken.
 * @returns the next `fullAt` too. A refusal changes it only after the clock was set back.
 */
export function take(fullAt: number, limit: Limit, now: number): { fullAt: number; taken: Taken } {
  const kept = keptAt(fullAt, limit, now);
  if (kept - now > grantedDebtMs(limit)) return { fullAt: kept, taken: refusedAt(kept - now, limit) };
  const next = Math.max(kept, now) + limit.intervalMs;
  return { fullAt: next, taken: grantedAt(next - now, limit) };
}

/** The longest debt, which is the time until a full burst is free again, at which one more is granted. */
export function grantedDebtMs({ burst, intervalMs, toleranceMs }: Limit): number {
  return (burst - 1) * intervalMs + toleranceMs;
}

/**
 * `fullAt` as it counts at `now`. A debt that is longer than the limit can make it comes from a clock that was set back,
 * and is shortened. A little longer it may be, because clocks of hosts differ: if a slow one shortened what a fast one
 * wrote, a client that alternates between them would have no limit.
 */
export function keptAt(fullAt: number, limit: Limit, now: number): number {
  const latest = now + longestDebtMs(limit);
  return fullAt > latest + MAX_CLOCK_DIFFERENCE_MS ? latest : fullAt;
}

/** The longest debt that the limit can make. */
export function longestDebtMs({ burst, intervalMs, toleranceMs }: Limit): number {
  return burst * intervalMs + toleranceMs;
}

/** @param debtMs after one was taken. */
export function grantedAt(debtMs: number, { burst, intervalMs, toleranceMs }: Limit): Taken {
  return { granted: true, left: Math.max(0, Math.floor(burst - (debtMs - toleranceMs) / intervalMs)) };
}

/** @param debtMs too long for another one, unless one was given back since: then the wait is 1 ms. */
export function refusedAt(debtMs: number, { burst, intervalMs }: Limit): Taken & { granted: false } {
  return { granted: false, retryAfterMs: Math.max(1, debtMs - (burst - 1) * intervalMs) };
}

/** The limits of a store; the last three apply to each client. */
export type StoreLimits = {
  maxBytes: number;
  clientCreatesPerMinute: number;
  clientMaxSecrets: number;
  clientMaxBytes: number;
};

/** For a store that creates nothing, or whose callers are trusted. */
export const NO_LIMITS: StoreLimits = {
  maxBytes: Number.POSITIVE_INFINITY,
  clientCreatesPerMinute: Number.POSITIVE_INFINITY,
  clientMaxSecrets: Number.POSITIVE_INFINITY,
  clientMaxBytes: Number.POSITIVE_INFINITY,
};

export type Refusal = { reason: 'rate' | 'quota' | 'full'; retryAfterMs: number };

/** When a full quota or a full store is worth another try: any secret that is read or burned makes room. */
export const FULL_RETRY_MS = 60_000;

/** What one client may create. Half a creation more than a minute has makes up for rounding. */
export function createRate({ clientCreatesPerMinute: perMinute }: StoreLimits): Limit {
  if (perMinute === Number.POSITIVE_INFINITY) return { burst: 1, intervalMs: 0, toleranceMs: perMinute };
  return { burst: perMinute + 0.5, intervalMs: 60_000 / perMinute, toleranceMs: 0 };
}
