import type { DatabaseSync } from 'node:sqlite';
import { resultCode, retryWhileBusy, SQLITE_BUSY } from './busy.ts';
import type { Message, Value } from './codec.ts';
import { FileMoved } from './file-check.ts';
import type { Procedure } from './procedure.ts';

/** The head of a result. A failure carries SQLite's result code and a message. */
export const OK = 0;
export const FAILED = 1;

/** How long a batch waits for another process's transaction; a committing one needs a few ms. */
const BUSY_DEADLINE_MS = 5_000;

type Parts = {
  database: DatabaseSync;
  procedures: readonly Procedure[];
  /** Runs at the start of each transaction, before any call of it. */
  before(): void;
  /** Runs at the end of each transaction, before its commit. */
  after(): void;
  /**
   * Throws FileMoved when what is committed now would be lost. Called before each commit, so that nothing is done, and
   * after it, because until then a file may have been removed.
   */
  checkFile(): void;
};

/**
 * Group commit: runs all calls in one transaction and returns their results, in order, once it is synced. A call that
 * throws fails alone. Blocks its thread.
 */
export function createBatchRunner(parts: Parts): (calls: readonly Message[]) => readonly Message[] {
  const { database, procedures, before, after, checkFile } = parts;
  const begin = database.prepare('BEGIN IMMEDIATE');
  const commit = database.prepare('COMMIT');
  const rollback = database.prepare('ROLLBACK');

  function runOne({ head, value }: Message): Message {
    const procedure = procedures[head] as (...values: readonly Value[]) => Value;
    return { head: OK, value: procedure(...(value as readonly Value[])) };
  }

  function transact(calls: readonly Message[], busyDeadline: number): readonly Message[] {
    retryWhileBusy(busyDeadline, () => begin.run());
    try {
      before();
      const results = calls.map(runOne);
      after();
      checkFile();
      commit.run();
      checkFile();
      return results;
    } catch (error) {
      // A full disk or a failed write inside a statement has rolled everything back already.
      if (database.isTransaction) rollback.run();
      throw error;
    }
  }

  /** A batch that fails runs again in halves: in the end each call that cannot be done fails alone, the others succeed. */
  function run(calls: readonly Message[], busyDeadline: number): readonly Message[] {
    try {
      return transact(calls, busyDeadline);
    } catch (error) {
      // A lock held this long will stay held: fail the whole batch now, so that the calls behind it learn of it too.
      const concernsAll = resultCode(error) === SQLITE_BUSY || error instanceof FileMoved;
      if (calls.length === 1 || concernsAll) return calls.map(() => failure(error));
      const middle = calls.length >> 1;
      return [...run(calls.slice(0, middle), busyDeadline), ...run(calls.slice(middle), busyDeadline)];
    }
  }

  return (calls) => run(calls, performance.now() + BUSY_DEADLINE_MS);
}

function failure(error: unknown): Message {
  return { head: FAILED, value: [resultCode(error), String((error as Error).message)] };
}
