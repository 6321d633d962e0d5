import { closeSync, existsSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { makeFolder } from '../../../files/make-folder.ts';
import { resultCode, retryWhileBusy, SQLITE_BUSY } from './busy.ts';
import { refuseOrphan, refuseSplit } from './companions.ts';
import { connect } from './connection.ts';

/** How long opening may wait for another process that is opening it too. Never on the event loop. */
const OPEN_TIMEOUT_MS = 10_000;
/** The same while the other process brings an older file to the newest version: 10 GiB on a slow disk. */
const MIGRATE_TIMEOUT_MS = 600_000;
/** How long cleaning the WAL may delay the writes behind it, in addition to the work itself. */
const CLEAN_TIMEOUT_MS = 100;

/** Brings a file from one version to the next: SQL, or what SQL alone cannot do. */
export type Migration = string | ((database: DatabaseSync) => void);

/**
 * Opens the file for writing, and creates and migrates it if needed. May block: for the storage thread only.
 * @param migrations the schema's history: entry N brings a file of version N to N + 1.
 * @throws Error when the file is not ours, damaged, or of a newer version, or when opening would destroy something.
 */
export function openWriter(path: string, migrations: readonly Migration[]): DatabaseSync {
  const deadline = performance.now() + OPEN_TIMEOUT_MS;
  makeFolder(dirname(path), 0o700);
  refuseOrphan(path);
  refuseSplit(path, deadline);
  closeSync(openSync(path, 'a', 0o600)); // SQLite would make it readable for all; its other files get the same mode
  const database = connect(path);
  const isOlder = retryWhileBusy(deadline, () => {
    // FULL: a commit returns after its sync. secure_delete: deleted content is overwritten with zeros, except a copy
    // that stayed in the free space of a page when its row moved to another page.
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA secure_delete = ON;
      PRAGMA cache_size = -8000;
      PRAGMA journal_size_limit = 67108864;
    `);
    const version = versionOf(database);
    return version > 0 && version < migrations.length;
  });
  retryWhileBusy(isOlder ? deadline + MIGRATE_TIMEOUT_MS : deadline, () => migrate(database, migrations));
  return database;
}

/** Opens the file for reading on the event loop: never waits, answers SQLITE_BUSY instead. */
export function openReader(path: string): DatabaseSync {
  return connect(path, { readOnly: true });
}

/**
 * Opens the file without changing it or anything beside it. While no process has it open there is no WAL, and an ordinary
 * reader would leave one behind, perhaps of another user.
 * @throws Error when there is no such file.
 */
export function openLooker(path: string): DatabaseSync {
  if (hasWal(path)) return openReader(path);
  const url = pathToFileURL(path);
  url.searchParams.set('immutable', '1');
  return connect(url, { readOnly: true });
}

/** Unlike an ordinary connection, never creates the file. */
export function openExisting(path: string): DatabaseSync {
  const url = pathToFileURL(path);
  url.searchParams.set('mode', 'rw');
  return connect(url);
}

/** Whether a process has the file open, or did not close it. */
export function hasWal(path: string): boolean {
  return existsSync(`${path}-wal`);
}

/**
 * Wiped content is zeros in the database, but its old pages stay in the WAL until other pages overwrite them.
 * @returns a function that moves the WAL into the database and truncates it. If other processes are in the way for longer
 *   than 100 ms, or the disk refuses, the WAL stays until the next call: nothing committed is lost.
 */
export function createWalCleaner(database: DatabaseSync): () => void {
  const checkpoint = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)');
  return () => {
    try {
      retryWhileBusy(performance.now() + CLEAN_TIMEOUT_MS, () => {
        if (checkpoint.get()?.busy !== 0) throw Object.assign(new Error('the WAL is in use'), { errcode: SQLITE_BUSY });
      });
    } catch (error) {
      if (resultCode(error) === 0) throw error;
    }
  };
}

function migrate(database: DatabaseSync, migrations: readonly Migration[]): void {
  if (versionOf(database) === migrations.length) return;
  database.exec('BEGIN EXCLUSIVE');
  try {
    const version = versionOf(database); // again: another process may have been first
    if (version > migrations.length) throw new Error('the database was made by a newer version of Hushbox');
    for (const migration of migrations.slice(version)) apply(database, migration);
    database.exec(`PRAGMA user_version = ${migrations.length}`);
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** Inside of a transaction. */
export function apply(database: DatabaseSync, migration: Migration): void {
  if (typeof migration === 'string') database.exec(migration);
  else migration(database);
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.user_version);
}
