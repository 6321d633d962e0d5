import type { DatabaseSync } from 'node:sqlite';
import { type Limit, type Taken, take } from '../../../limits/limits.ts';
import { createWriteBack } from '../engine/write-back.ts';

/** As `Taken` crosses: whether it was granted, and how many are left, or else how long to wait. */
export type PackedTaken = readonly [granted: boolean, leftOrRetryAfterMs: number];

export function packTaken(taken: Taken): PackedTaken {
  return taken.granted ? [true, taken.left] : [false, taken.retryAfterMs];
}

export function takenOf([granted, leftOrRetryAfterMs]: PackedTaken): Taken {
  return granted ? { granted, left: leftOrRetryAfterMs } : { granted, retryAfterMs: leftOrRetryAfterMs };
}

/** What was taken of every limit; for other procedures too, in their transaction. */
export type Takings = {
  take(key: Uint8Array, limit: Limit, now: number): Taken;
  giveBack(key: Uint8Array, limit: Limit): void;
  /** Removes keys of which nothing is taken any more. @returns how many. */
  sweep(now: number, limit: number): number;
  /** At the start of each transaction. */
  forget(): void;
  /** At the end of each transaction. */
  save(): void;
};

export function createTakings(database: DatabaseSync): Takings {
  const read = database.prepare('SELECT full_at FROM limits WHERE key = ?');
  const write = database.prepare(
    'INSERT INTO limits (key, full_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at',
  );
  const deletePaid = database.prepare(
    'DELETE FROM limits WHERE key IN (SELECT key FROM limits WHERE full_at <= ? ORDER BY full_at LIMIT ?)',
  );
  const instants = createWriteBack<number>(
    (key) => (read.get(key)?.full_at as number | undefined) ?? 0,
    (key, fullAt) => write.run(key, fullAt),
  );

  return {
    take(key, limit, now) {
      const before = instants.get(key);
      const { fullAt, taken } = take(before, limit, now);
      if (fullAt !== before) instants.set(key, fullAt);
      return taken;
    },
    giveBack(key, { intervalMs }) {
      const fullAt = instants.get(key);
      if (fullAt > 0) instants.set(key, fullAt - intervalMs);
    },
    sweep(now, limit) {
      return Number(deletePaid.run(now, limit).changes);
    },
    forget: instants.forget,
    save: instants.save,
  };
}

export type LimitProcedures = ReturnType<typeof createLimitProcedures>;

export function createLimitProcedures(takings: Takings) {
  return {
    take(key: Uint8Array, burst: number, intervalMs: number, toleranceMs: number, now: number): PackedTaken {
      return packTaken(takings.take(key, { burst, intervalMs, toleranceMs }, now));
    },

    giveBack(key: Uint8Array, burst: number, intervalMs: number, toleranceMs: number): null {
      takings.giveBack(key, { burst, intervalMs, toleranceMs });
      return null;
    },
  };
}
