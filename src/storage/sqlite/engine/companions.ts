import { existsSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { resultCode, retryWhileBusy, SQLITE_BUSY } from './busy.ts';
import { connect } from './connection.ts';

/** What SQLite keeps beside a file that is open, or was not closed: committed pages, and the locks and index of them. */
export const COMPANIONS = ['-wal', '-shm'] as const;
/** What holds committed pages, or the way back, while the file alone is not whole. */
const JOURNALS = ['-wal', '-journal'] as const;
const PROBE_PAUSE_MS = 10;

/** A journal without its database. */
export type Orphan = { file: string; bytes: number };

/**
 * A journal whose database is away: opening would create an empty database, and SQLite would then delete the journal,
 * with everything in it that the absent database lacks.
 */
export function findOrphan(path: string): Orphan | undefined {
  for (const ending of JOURNALS) {
    const bytes = sizeOf(path + ending) ?? 0;
    // Only after its journal: another process may be making both right now, and the database comes first.
    const size = sizeOf(path);
    // A first start that was killed leaves an empty database with a journal, which SQLite rolls back.
    const isOurs = size !== undefined && (size > 0 || ending === '-journal');
    if (bytes > 0 && !isOurs) return { file: path + ending, bytes };
  }
  return undefined;
}

/** @throws Error that says what to do, when opening would destroy a journal. */
export function refuseOrphan(path: string): void {
  const orphan = findOrphan(path);
  if (!orphan) return;
  const [name, database] = [basename(orphan.file), basename(path)];
  throw new Error(
    `${name} holds changes of a database that is not there: put ${database} back beside it, or, to start with an empty database, move ${name} to another folder`,
  );
}

/**
 * If a `-wal` or `-shm` file was removed while other processes have the database open, a newcomer would make another
 * one: its locks and writes and those of the others would not know of each other, and a secret would be read twice.
 * Waits until both files are there, or until no other process has the database open. Blocks its thread.
 * @throws Error that says what to do, when the time is over.
 */
export function refuseSplit(path: string, deadline: number): void {
  const isWhole = () => COMPANIONS.every((ending) => existsSync(path + ending));
  try {
    retryWhileBusy(deadline, () => isWhole() || !sizeOf(path) || lockAlone(path), PROBE_PAUSE_MS);
  } catch (error) {
    if (resultCode(error) !== SQLITE_BUSY) throw error;
    throw new Error(
      `the -wal or -shm file of ${basename(path)} was removed while another process has the database open: end that process, then start again`,
    );
  }
}

/** @throws SQLITE_BUSY while another process has the database open. */
function lockAlone(path: string): void {
  const database = connect(path);
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } finally {
    database.close();
  }
}

/** @returns undefined when there is no such file. */
function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
