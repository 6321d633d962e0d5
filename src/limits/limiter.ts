import { AppError } from '../errors.ts';
import { FULL_RETRY_MS, type Limit, type Taken } from './limits.ts';
import type { LimitStore } from './store.ts';

/** What one attempt takes of one limit. @param name unique to the limit and to what it limits, of a bounded length. */
export type Use = { name: string; limit: Limit };

export type Limiter = {
  /** Takes one of each, in this order, or none. What is given back was an attempt that the limits are not about. */
  reserve(uses: readonly Use[]): Promise<Reservation | Refused>;
};
export type Reservation = { giveBack(): Promise<void> };
export type Refused = { retryAfterMs: number };

type LimiterParts = {
  store: LimitStore;
  /** An id of a name that does not reveal the name. */
  idOf(name: string): Uint8Array;
  clock(): number;
  /** Whether limits per client apply. */
  isOn: boolean;
};

const FREE: Reservation = { giveBack: async () => {} };

/** Limits over all workers and hosts, by name. */
export function createLimiter({ store, idOf, clock, isOn }: LimiterParts): Limiter {
  async function giveBack(taken: readonly [key: Uint8Array, limit: Limit][]): Promise<void> {
    await Promise.all(taken.map(([key, limit]) => store.giveBack(key, limit)));
  }

  async function reserve(uses: readonly Use[]): Promise<Reservation | Refused> {
    const taken: [Uint8Array, Limit][] = [];
    for (const { name, limit } of uses) {
      const key = idOf(name);
      const outcome: Taken = await store.take(key, limit, clock());
      if (!outcome.granted) {
        await giveBack(taken);
        return { retryAfterMs: outcome.retryAfterMs };
      }
      taken.push([key, limit]);
    }
    return { giveBack: () => giveBack(taken) };
  }

  return { reserve: isOn ? reserve : async () => FREE };
}

/** @param detail a sentence for the client. */
export function tooMany(detail: string, { retryAfterMs }: Refused): AppError {
  return new AppError('RATE_LIMITED', { detail, retryAfterSeconds: Math.ceil(retryAfterMs / 1000) });
}

/**
 * As `reserve`, for a request that is refused without them.
 * @param detail a sentence for the client.
 * @throws AppError RATE_LIMITED.
 */
export async function reserveOrRefuse(limiter: Limiter, uses: readonly Use[], detail: string): Promise<Reservation> {
  const reserved = await limiter.reserve(uses);
  if ('retryAfterMs' in reserved) throw tooMany(detail, reserved);
  return reserved;
}

/** What is to be stored does not fit under the limit on everything stored. */
export function storageFull(): AppError {
  return new AppError('STORAGE_FULL', { retryAfterSeconds: FULL_RETRY_MS / 1000, isNotWritten: true });
}

const BAD_TOKEN_LIMIT = per(60_000, 300);

/**
 * Counts a bad token, after it was refused: nobody guesses 256 bits, so this limits the work that bad tokens make, and
 * locks out nobody.
 * @returns what to refuse the request with in place of UNAUTHORIZED, if there were too many.
 */
export async function countBadToken(limiter: Limiter, network: string): Promise<AppError | undefined> {
  const reserved = await limiter.reserve([{ name: `bad token from ${network}`, limit: BAD_TOKEN_LIMIT }]);
  return 'retryAfterMs' in reserved ? tooMany('Too many bad tokens in a short time', reserved) : undefined;
}

/** `count` at once, which grow back evenly over the time. */
export function per(periodMs: number, count: number): Limit {
  return { burst: count, intervalMs: periodMs / count, toleranceMs: 0 };
}
