import type { DatabaseSync } from 'node:sqlite';
import type { Ledger } from '../usage.ts';
import { resultCode, retryWhileBusy, SQLITE_BUSY } from './busy.ts';
import type { Call, Procedure } from './codec.ts';
import { FileMoved } from './file-check.ts';

/** Result statuses, in place of `procedure` in a `Call` that comes back. A failure carries SQLite's result code. */
export const OK = 0;
export const FAILED = 1;

/** How long a batch waits for another process's transaction; a committing one needs a few ms. */
const BUSY_DEADLINE_MS = 5_000;

/**
 * Group commit: runs all calls in one transaction and returns their results, in order, once it is synced. A call that
 * throws fails alone. Blocks its thread.
 * @param checkFile throws FileMoved when what is committed now would be lost. Only that another file is there leaves the
 *   runner as an exception: nothing can be written any more.
 */
export function createBatchRunner(
  database: DatabaseSync,
  procedures: readonly Procedure[],
  ledger: Pick<Ledger, 'save' | 'forget'>,
  checkFile: () => void,
): (calls: readonly Call[]) => readonly Call[] {
  const begin = database.prepare('BEGIN IMMEDIATE');
  const commit = database.prepare('COMMIT');
  const rollback = database.prepare('ROLLBACK');

  function runOne({ procedure, values }: Call): Call {
    return { procedure: OK, values: (procedures[procedure] as (...values: unknown[]) => Call['values'])(...values) };
  }

  function transact(calls: readonly Call[], busyDeadline: number): readonly Call[] {
    retryWhileBusy(busyDeadline, () => begin.run());
    try {
      ledger.forget();
      const results = calls.map(runOne);
      ledger.save();
      checkFile();
      commit.run();
      return results;
    } catch (error) {
      // A full disk or a failed write inside a statement has rolled everything back already.
      if (database.isTransaction) rollback.run();
      throw error;
    }
  }

  /** What fails runs again in halves: at the end each call that cannot be done fails alone, and the others are done. */
  function run(calls: readonly Call[], busyDeadline: number): readonly Call[] {
    try {
      return transact(calls, busyDeadline);
    } catch (error) {
      if (error instanceof FileMoved && error.isReplaced) throw error;
      // Who held the lock that long goes on holding it: what waits behind this batch is to hear so too.
      const concernsAll = resultCode(error) === SQLITE_BUSY || error instanceof FileMoved;
      if (calls.length === 1 || concernsAll) return calls.map(() => failure(error));
      const middle = calls.length >> 1;
      return [...run(calls.slice(0, middle), busyDeadline), ...run(calls.slice(middle), busyDeadline)];
    }
  }

  return (calls) => run(calls, performance.now() + BUSY_DEADLINE_MS);
}

function failure(error: unknown): Call {
  return { procedure: FAILED, values: [resultCode(error), Buffer.from(String((error as Error).message))] };
}
