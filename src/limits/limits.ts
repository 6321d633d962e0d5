/** At most `burst` at once, and one more each `intervalMs`. */
export type Limit = {
  burst: number;
  intervalMs: number;
  /** How much too early one is granted, because clocks differ and instants are rounded. */
  toleranceMs: number;
};

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
 * @returns the next `fullAt` too: what was refused changes nothing.
 */
export function take(fullAt: number, limit: Limit, now: number): { fullAt: number; taken: Taken } {
  const debtMs = fullAt - now;
  if (debtMs > grantedDebtMs(limit)) return { fullAt, taken: refusedAt(debtMs, limit) };
  const next = Math.max(fullAt, now) + limit.intervalMs;
  return { fullAt: next, taken: grantedAt(next - now, limit) };
}

/** The longest debt, which is the time until a full burst is free again, at which one more is granted. */
export function grantedDebtMs({ burst, intervalMs, toleranceMs }: Limit): number {
  return (burst - 1) * intervalMs + toleranceMs;
}

/** @param debtMs after one was taken. */
export function grantedAt(debtMs: number, { burst, intervalMs, toleranceMs }: Limit): Taken {
  return { granted: true, left: Math.max(0, Math.floor(burst - (debtMs - toleranceMs) / intervalMs)) };
}

/** @param debtMs too long for another one, unless one was given back since: then the wait is 1 ms. */
export function refusedAt(debtMs: number, { burst, intervalMs }: Limit): Taken {
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
