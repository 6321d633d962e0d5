import type { DatabaseSync } from 'node:sqlite';
import { AppError } from '../../../errors.ts';
import type { FenceControl, FenceState } from '../../../fence/store.ts';
import { storedBytes } from '../../usage.ts';
import { resultCode, retryWhileBusy } from '../engine/busy.ts';
import { refuseSplit } from '../engine/companions.ts';
import { openExisting } from '../engine/database.ts';
import { createFenceRecord } from '../fence/procedures.ts';

const BUSY_DEADLINE_MS = 5_000;

/** Calls block the thread: for the operator's commands, not for the service. @throws Error when there is no such file. */
export async function openSqliteFence(path: string): Promise<FenceControl> {
  const inTime = <Result>(run: () => Result): Result => retryWhileBusy(performance.now() + BUSY_DEADLINE_MS, run);
  refuseSplit(path, performance.now() + BUSY_DEADLINE_MS);
  const database = openExisting(path);

  function attempt<Result>(run: () => Result): Result {
    try {
      return inTime(run);
    } catch (cause) {
      if (resultCode(cause) === 0) throw cause;
      throw new AppError('STORAGE_UNAVAILABLE', { cause, retryAfterSeconds: 1 });
    }
  }

  return {
    async look() {
      return attempt(() => {
        if (!hasTable(database, 'fence')) return undefined;
        const state = openRecord(database).look();
        return state.mark > 0 ? state : undefined;
      });
    },

    async countRefused(refusedUntil, now) {
      const countIn = (table: string): number => {
        const sql = `SELECT count(*) AS count FROM ${table} WHERE created_at <= ? AND expires_at > ?`;
        return database.prepare(sql).get(refusedUntil, now)?.count as number;
      };
      return attempt(() => countIn('waiting') + (hasTable(database, 'requests') ? countIn('requests') : 0));
    },

    async decide(decision, now, known) {
      return attempt(() => inTransaction(database, () => openRecord(database).decide(decision, now, known)));
    },

    async close() {
      database.close();
    },
  };
}

/** Outside of the service nothing has the sums in memory. */
function openRecord(database: DatabaseSync): ReturnType<typeof createFenceRecord> {
  return createFenceRecord(database, (contentBytes) => {
    database.prepare('UPDATE stored SET bytes = bytes - ?').run(storedBytes(contentBytes));
  });
}

/** A file of an older version lacks some. */
function hasTable(database: DatabaseSync, name: 'fence' | 'requests'): boolean {
  return database.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(name) !== undefined;
}

function inTransaction(database: DatabaseSync, run: () => FenceState): FenceState {
  database.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE');
  try {
    const state = run();
    database.exec('COMMIT');
    return state;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
