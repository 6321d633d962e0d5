import type { Limit, Taken } from '../limits/limits.ts';
import type { TryReservation } from './store.ts';

/** How many tries a full budget holds. */
export const TRY_BURST = 10;
/** The time in which one try grows back. */
export const TRY_REFILL_MS = 3_600_000;

/** A secret's budget of tries. Clocks of workers and hosts, and the order in which calls arrive, differ by less than 500 ms. */
export const TRY_LIMIT: Limit = { burst: TRY_BURST, intervalMs: TRY_REFILL_MS, toleranceMs: 500 };

export function reservationOf(taken: Taken): TryReservation {
  return taken.granted ? { granted: true, triesLeft: taken.left } : taken;
}
