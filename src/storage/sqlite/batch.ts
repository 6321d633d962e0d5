import type { DatabaseSync } from 'node:sqlite';
import { resultCode, retryWhileBusy, SQLITE_BUSY } from './busy.ts';
import type { Call } from './codec.ts';
import type { Procedure } from './procedures.ts';

/** Result statuses, in place of `procedure` in a `Call` that comes back. A failure carries SQLite's result code. */
export const OK = 0;
export const FAILED = 1;

/** How long a batch waits for another process's transaction; a committing one needs a few ms. */
const BUSY_DEADLINE_MS = 5_000;

/**
 * Group commit: runs all calls in one transaction and returns their results, in order, once it is synced. A call that
 * throws fails alone. Blocks its thread.
 */
export function createBatchRunner(
  database: DatabaseSync,
  procedures: readonly Procedure[],
): (calls: readonly Call[]) => readonly Call[] {
  const begin = database.prepare('BEGIN IMMEDIATE');
  const commit = database.prepare('COMMIT');
  const rollback = database.prepare('ROLLBACK');
  const mark = database.prepare('SAVEPOINT one');
  const release = database.prepare('RELEASE one');
  const unwind = database.prepare('ROLLBACK TO one');

  function runOne({ procedure, values }: Call): Call {
    return { procedure: OK, values: (procedures[procedure] as (...values: unknown[]) => Call['values'])(...values) };
  }

  function runAlone(call: Call): Call {
    mark.run();
    try {
      return runOne(call);
    } catch (error) {
      unwind.run();
      return failure(error);
    } finally {
      if (database.isTransaction) release.run();
    }
  }

  function transact(calls: readonly Call[], run: (call: Call) => Call): readonly Call[] {
    retryWhileBusy(performance.now() + BUSY_DEADLINE_MS, () => begin.run());
    try {
      const results = calls.map(run);
      commit.run();
      return results;
    } catch (error) {
      if (database.isTransaction) rollback.run();
      throw error;
    }
  }

  return (calls) => {
    try {
      return transact(calls, runOne);
    } catch (first) {
      // Who held the lock that long goes on holding it: what waits behind this batch is to hear so too.
      if (resultCode(first) === SQLITE_BUSY) return calls.map(() => failure(first));
      // Some call threw, or the transaction did. Savepoints find out which; without failures they are not worth it.
      try {
        return transact(calls, runAlone);
      } catch (error) {
        return calls.map(() => failure(error));
      }
    }
  };
}

function failure(error: unknown): Call {
  return { procedure: FAILED, values: [resultCode(error), Buffer.from(String((error as Error).message))] };
}
