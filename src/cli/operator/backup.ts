import { closeSync, existsSync, lstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { findKeyFiles } from '../../keys/master-keys.ts';
import { copyDatabase } from '../../storage/open.ts';
import { count, EXIT, type Exit, Failure, instant, isDatabaseThere, type Terminal } from '../terminal.ts';

const SQLITE_MAGIC = 'SQLite format 3\0';
/** What SQLite keeps beside a database that is in use, or was not closed. */
const COMPANIONS = ['-wal', '-shm', '-journal'];

/** Copies the whole database into a file, while the service runs. */
export async function backUp(terminal: Terminal, config: Config, { file }: { file: string }): Promise<Exit> {
  const { sqlitePath } = config;
  if (sqlitePath === undefined) {
    throw new Failure(
      'the storage is MongoDB, which has its own tools for a backup: docs/backup.md says how to use them',
    );
  }
  const copy = await inSentences(file, async () => {
    if (!isDatabaseThere(config))
      throw new Failure(`there is no database at ${sqlitePath}: the first start creates it`);
    return copyDatabase(sqlitePath, targetOf(file, sqlitePath), terminal.now);
  });
  terminal.say(
    `Copied the database to ${file}: ${count(copy.bytes, 'byte')}, as of ${instant(copy.takenAt)}, checked.`,
  );
  terminal.say(`To use it you also need ${describeKeys(config)}. Keep a copy of the key too,`);
  terminal.say('but in another place: one theft must not take both. docs/backup.md says how to restore.');
  return EXIT.fine;
}

function describeKeys(config: Config): string {
  const files = findKeyFiles(config);
  if (!files) return 'the master key, which is in the variable MASTER_KEY';
  return `the master key, which is in ${[files.current, files.previous].filter(Boolean).join(' and ')}`;
}

/**
 * Where to put the copy. A link is followed: the file it leads to is replaced, not the link.
 * @throws Failure when something is there that is not an older backup.
 */
function targetOf(file: string, database: string): string {
  const folder = realpathSync(dirname(resolve(file)));
  const isThere = statSync(file, { throwIfNoEntry: false }) !== undefined;
  if (!isThere && lstatSync(file, { throwIfNoEntry: false })) throw new Failure(`${file} is a link that leads nowhere`);
  const target = isThere ? realpathSync(file) : join(folder, basename(file));
  const live = realpathSync(database);
  const liveFiles = ['', ...COMPANIONS].map((ending) => live + ending);
  if (liveFiles.some((path) => path === target || isSame(path, target))) {
    throw new Failure(`${file} is the database itself, or a part of it: choose another file`);
  }
  if (isThere && !isDatabase(target))
    throw new Failure(`${file} is not an older backup: it stays. Choose another file`);
  const [companion] = COMPANIONS.map((ending) => target + ending).filter((path) => existsSync(path));
  if (companion) throw new Failure(`${file} is in use, or was not closed: there is ${companion}. Choose another file`);
  return target;
}

/** Two names of one file. */
function isSame(path: string, other: string): boolean {
  const [one, two] = [path, other].map((name) => statSync(name, { bigint: true, throwIfNoEntry: false }));
  return one !== undefined && one.dev === two?.dev && one.ino === two.ino;
}

function isDatabase(path: string): boolean {
  if (!statSync(path).isFile()) return false; // opening a pipe would wait
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(SQLITE_MAGIC.length);
    readSync(file, head, 0, head.length, 0);
    return head.toString('latin1') === SQLITE_MAGIC;
  } finally {
    closeSync(file);
  }
}

/** Turns each error of the file system into a sentence. */
async function inSentences<Result>(file: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    const folder = dirname(resolve(file));
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new Failure(`the disk of ${file} is full: free space, or choose a place on another disk`);
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      const place = path === undefined || path.includes('.partial-') ? folder : path;
      throw new Failure(
        `no permission for ${place} (${code}): run this as a user that has it, or choose another place`,
      );
    }
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new Failure(`there is no folder ${folder}`);
    throw error;
  }
}
