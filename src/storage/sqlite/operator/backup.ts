import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { backup } from 'node:sqlite';
import type { Clock } from '../../../clock.ts';
import { syncFolder } from '../../../files/replace.ts';
import type { DatabaseCopy } from '../../storage.ts';
import { resultCode, retryWhileBusy, SQLITE_BUSY } from '../engine/busy.ts';
import { COMPANIONS, refuseSplit } from '../engine/companions.ts';
import { openExisting } from '../engine/database.ts';
import { MIGRATIONS } from '../schema.ts';

const BUSY_DEADLINE_MS = 5_000;
/** More pages than any of our databases has: the whole copy is one step. */
const ALL_PAGES = 2 ** 31 - 1;
const NEW_MS = 60_000;
const TEMPORARY = /^\.partial-[0-9a-f]{16}$/;
const SQLITE_FULL = 13;
const REASONS: Readonly<Record<number, string>> = {
  3: 'the database cannot be opened: run this as the user of the service',
  5: 'the database is locked by another program',
  8: 'the database cannot be opened: run this as the user of the service',
  11: 'the database is damaged: `hushbox doctor` says more',
  14: 'the database cannot be opened: run this as the user of the service',
  26: 'the file of the database is not a database: `hushbox doctor` says more',
};

/**
 * Copies the whole database as it is at one instant, while a service may be writing to it. The copy is one file of mode
 * 0600 that appears at its path complete, checked and synced, or not at all.
 * @param file replaced when it exists. Its folder must be there.
 * @throws Error that says why; errors of the file system are about `file` and have their code, ENOSPC for a full disk.
 */
export async function copySqlite(path: string, file: string, clock: Clock): Promise<DatabaseCopy> {
  removeLeftOvers(file, clock());
  const temporary = `${file}.partial-${randomBytes(8).toString('hex')}`;
  const removeTemporary = (): void => remove(temporary);
  const descriptor = openSync(temporary, 'wx', 0o600); // SQLite would create it readable for all
  process.once('exit', removeTemporary); // a signal that ends the command leaves nothing behind
  try {
    fchmodSync(descriptor, 0o600); // whatever the umask
    const takenAt = await copy(path, temporary, clock);
    check(temporary);
    const { size, ino } = fstatSync(descriptor);
    if (statSync(temporary).ino !== ino)
      throw new Error('another program replaced the unfinished copy: run this again');
    fsyncSync(descriptor);
    renameSync(temporary, file);
    syncFolder(dirname(file));
    return { bytes: size, takenAt };
  } catch (error) {
    removeTemporary();
    throw explain(error);
  } finally {
    closeSync(descriptor);
    process.off('exit', removeTemporary);
  }
}

/**
 * Copies in one step, from one snapshot: a copy in small steps starts again whenever another process writes in between,
 * and so would never end beside a busy service. Writers do not wait for it; until it ends, the WAL cannot be cut.
 */
async function copy(path: string, temporary: string, clock: Clock): Promise<number> {
  // Not read-only: the last connection to close cleans up the WAL, which may be ours when the service stops meanwhile.
  refuseSplit(path, performance.now() + BUSY_DEADLINE_MS);
  const database = openExisting(path);
  try {
    database.exec('BEGIN'); // the first look begins the snapshot, and the transaction holds it
    const [{ user_version } = {}] = retryWhileBusy(performance.now() + BUSY_DEADLINE_MS, () =>
      database.prepare('PRAGMA user_version').all(),
    );
    const takenAt = clock();
    if (Number(user_version) > MIGRATIONS.length) {
      throw new Error('the database was made by a newer version of Hushbox: use `hushbox backup` of that version');
    }
    if (user_version === 0) throw new Error('the file of the database is empty, or was not made by Hushbox');
    await backup(database, temporary, { rate: ALL_PAGES });
    return takenAt;
  } finally {
    database.close();
  }
}

/** Makes it a database of a single file, without a WAL, and looks for damage. Locked against `removeLeftOvers`. */
function check(path: string): void {
  const database = openExisting(path);
  try {
    const [{ quick_check } = {}] = retryWhileBusy(performance.now() + BUSY_DEADLINE_MS, () => {
      database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE');
      return database.prepare('PRAGMA quick_check(1)').all();
    });
    if (quick_check !== 'ok')
      throw new Error('the copy is damaged, so the database may be: `hushbox doctor` says more');
  } finally {
    database.close();
  }
}

/** Removes what backups to the same file left behind when they were killed. One that still runs has its copy locked. */
function removeLeftOvers(file: string, now: number): void {
  const [folder, name] = [dirname(file), basename(file)];
  for (const other of readdirSync(folder)) {
    if (!other.startsWith(name) || !TEMPORARY.test(other.slice(name.length))) continue;
    const path = join(folder, other);
    try {
      if (!isNew(path, now) && !isLocked(path)) remove(path);
    } catch {} // it belongs to another user, or has just been removed: it is in nobody's way
  }
}

/** A copy that has only begun is not locked yet. */
function isNew(path: string, now: number): boolean {
  const { size, mtimeMs } = statSync(path);
  return size === 0 && mtimeMs > now - NEW_MS;
}

function isLocked(path: string): boolean {
  const database = openExisting(path);
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return false;
  } catch (error) {
    return resultCode(error) === SQLITE_BUSY;
  } finally {
    database.close();
  }
}

/** The file itself last: a removal that is interrupted is found again. */
function remove(path: string): void {
  for (const companion of ['-journal', ...COMPANIONS, '']) rmSync(path + companion, { force: true });
}

function explain(error: unknown): unknown {
  const code = resultCode(error);
  if (code === SQLITE_FULL) return Object.assign(new Error('the disk is full'), { code: 'ENOSPC' });
  return REASONS[code] ? new Error(REASONS[code]) : error;
}
