import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../../config/config.ts';
import { madeKeyPath } from '../../keys/master-keys.ts';
import { type Finding, note, ok, problem, warning } from './findings.ts';

const WRITABLE_FOR_OTHERS = 0o022;
const WRITABLE_FOR_ALL = 0o002;
const OPEN_TO_OTHERS = 0o077;
/** A group may read a key: the group of the service, where another user owns the file. */
const KEY_OPEN_TO_OTHERS = 0o037;
const LOW_BYTES = 1024 ** 3;
const FULL_BYTES = 64 * 1024 ** 2;

export function inspectUser(): Finding[] {
  if (process.geteuid?.() !== 0) return [ok('This does not run as root.')];
  return [
    warning(
      'This runs as root.',
      'Run the service as a separate user that owns its files, and this command as the same user.',
    ),
  ];
}

/** Whether the service can use its files and folders, and nobody else can. */
export function inspectFiles(config: Partial<Config>): Finding[] {
  const { SOCKET_DIR, sqlitePath } = config;
  const database = sqlitePath ? ['', '-wal', '-shm'].map((ending) => sqlitePath + ending) : [];
  return [
    ...foldersOf(config).map((path) => inspectFolder(path)),
    ...(SOCKET_DIR ? [inspectFolder(SOCKET_DIR)] : []),
    ...database.flatMap((path) => inspectFile(path, OPEN_TO_OTHERS)),
    ...secretFilesOf(config).flatMap((path) => inspectFile(path, KEY_OPEN_TO_OTHERS)),
  ];
}

/** Whether the disks that are written to have free space. */
export function inspectDisk(config: Partial<Config>): Finding[] {
  return foldersOf(config).map((path) => {
    const { bavail, bsize } = statfsSync(nearestThere(path));
    const free = bavail * bsize;
    const text = `${(free / 1024 ** 3).toFixed(1)} GiB are free for ${path}.`;
    if (free >= LOW_BYTES) return ok(text);
    const advice = 'Free space, or move it to a larger disk: while the disk is full, no secret can be created or read.';
    return free >= FULL_BYTES ? warning(text, advice) : problem(text, advice);
  });
}

function foldersOf({ DATA_DIR, FENCE_FILE, sqlitePath }: Partial<Config>): string[] {
  const folders = [sqlitePath && dirname(sqlitePath), DATA_DIR, FENCE_FILE && dirname(FENCE_FILE)];
  return [...new Set(folders.filter((path) => path !== undefined))];
}

function secretFilesOf({ DATA_DIR, MASTER_KEY, files = {} }: Partial<Config>): string[] {
  const madeKey = DATA_DIR && !MASTER_KEY ? [madeKeyPath(DATA_DIR)] : [];
  return [...new Set([...Object.values(files), ...madeKey])];
}

function inspectFolder(path: string): Finding {
  const there = nearestThere(path);
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
  } catch (error) {
    const advice = 'Run this as the user of the service. If you did, give that user the folder.';
    return problem(`${there} cannot be written to (${(error as NodeJS.ErrnoException).code}).`, advice);
  }
  if (there !== path) return note(`${path} is not there yet: the first start creates it if it needs it.`);
  const { mode, gid } = statSync(path);
  if ((mode & WRITABLE_FOR_OTHERS) === 0) return ok(`${path} can be written to by its owner only.`);
  // Where a container's engine chooses the user id, root's group is how the service can write.
  if (gid === 0 && (mode & WRITABLE_FOR_ALL) === 0) return ok(`${path} can be written to by its owner and root only.`);
  return warning(`${path} can be written to by others (${octal(mode)}).`, `chmod go-w ${path}`);
}

function inspectFile(path: string, openToOthers: number): Finding[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return [];
  if ((stat.mode & openToOthers) === 0) return [ok(`${path} is closed to others (${octal(stat.mode)}).`)];
  return [warning(`${path} is open to others (${octal(stat.mode)}).`, `chmod 600 ${path}`)];
}

function nearestThere(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestThere(dirname(path));
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}
