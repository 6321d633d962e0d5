import { resultCode } from './busy.ts';

/** SQLITE_CORRUPT, and SQLITE_NOTADB for a first page that is none. */
const DAMAGE: ReadonlySet<number> = new Set([11, 26]);

/** Whether SQLite found the file damaged: what is written to it from then on may not be found again. */
export function isDamage(error: unknown): boolean {
  return DAMAGE.has(resultCode(error));
}
