import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../../errors.ts';
import { resultCode, SQLITE_BUSY } from './busy.ts';

const MAX_LOOKS = 200;
const PAUSE_MS = 5;

/** One row with its columns in the order of the SELECT, or undefined. */
export type Look = (...values: SQLInputValue[]) => Promise<readonly SQLOutputValue[] | undefined>;
/** All rows. */
export type List = (...values: SQLInputValue[]) => Promise<readonly (readonly SQLOutputValue[])[]>;
export type Reader = { prepare(sql: string): Look; prepareList(sql: string): List };

/**
 * Point look-ups and short lists on the event loop: a few µs each from the page cache. They never wait for a writer,
 * because WAL readers do not. The rare SQLITE_BUSY (recovery after a crash, the last connection closing) is retried in
 * later turns of the loop.
 * @param onFailure gets SQLite's error of a look-up that failed.
 */
export function createReader(database: DatabaseSync, onFailure: (error: Error) => void = () => {}): Reader {
  function prepareAs<Found>(
    sql: string,
    run: (statement: StatementSync, values: SQLInputValue[]) => unknown,
  ): (...values: SQLInputValue[]) => Promise<Found> {
    let prepared: StatementSync | undefined; // at the first look-up, because preparing can meet SQLITE_BUSY too
    const prepare = (): StatementSync => {
      prepared = database.prepare(sql);
      prepared.setReturnArrays(true);
      return prepared;
    };
    return async (...values) => {
      for (let looks = 1; ; looks++) {
        try {
          return run(prepared ?? prepare(), values) as Found;
        } catch (error) {
          if (resultCode(error) !== SQLITE_BUSY || looks === MAX_LOOKS) {
            onFailure(error as Error);
            throw new AppError('STORAGE_UNAVAILABLE', { cause: error, retryAfterSeconds: 1 });
          }
          await sleep(PAUSE_MS);
        }
      }
    };
  }

  return {
    prepare: (sql) => prepareAs(sql, (statement, values) => statement.get(...values)),
    prepareList: (sql) => prepareAs(sql, (statement, values) => statement.all(...values)),
  };
}
