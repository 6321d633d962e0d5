import { accessSync, closeSync, constants, openSync, readSync, rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, Reading } from '../../config/config.ts';
import { readFenceFile } from '../../fence/file.ts';
import { makeFolder } from '../../files/make-folder.ts';
import { madeKeyPath } from '../../keys/master-keys.ts';
import { madeTokenKeyPath } from '../../keys/token-key.ts';
import { internalSocketPath } from '../internal-socket.ts';
import { tryToListen } from './try-listen.ts';

/** How long the workers of a program that was killed may take to release its port. */
const PORT_PATIENCE_MS = 3_000;
const PORT_RETRY_MS = 50;
const SQLITE_MAGIC = 'SQLite format 3\0';

/**
 * Tries the configuration: writes to folders, listens on addresses. Makes the folders, and removes them again if
 * anything is wrong.
 * @param values only the valid ones.
 * @param problems those found so far.
 * @returns a sentence for each bad variable, without its value.
 */
export async function findProblems({ values, problems }: Reading): Promise<string[]> {
  const { DATA_DIR, FENCE_FILE, MASTER_KEY, SOCKET_DIR, sqlitePath } = values;
  // Otherwise the folder need neither exist nor be writable.
  const isFenceKept = FENCE_FILE !== undefined && dirname(FENCE_FILE) === DATA_DIR;
  const isTokenKeyMade = values.JWT_HEX_SECRET === undefined && values.NODE_ENV !== 'production';
  const isDataKept = MASTER_KEY === undefined || values.INTERNAL_PORT === undefined || isFenceKept || isTokenKeyMade;
  const made: string[] = [];
  const all = [
    ...problems,
    ...(DATA_DIR && isDataKept ? checkFolder('DATA_DIR', DATA_DIR, made) : []),
    ...(FENCE_FILE ? checkFence(FENCE_FILE, values, made) : []),
    ...(sqlitePath ? checkDatabase(sqlitePath, made) : []),
    ...(SOCKET_DIR
      ? checkFolder('SOCKET_DIR', SOCKET_DIR, made)
      : await checkAddress('HTTP_PORT', 'HOST', values.HOST, values.HTTP_PORT)),
    ...(await checkAddress('INTERNAL_PORT', 'INTERNAL_HOST', values.INTERNAL_HOST, values.INTERNAL_PORT)),
  ];
  if (all.length > 0) removeEmpty(made);
  return all;
}

function checkFolder(name: string, path: string, made: string[]): string[] {
  try {
    made.push(...makeFolder(path, name === 'SOCKET_DIR' ? 0o777 : 0o700));
    accessSync(path, constants.W_OK | constants.X_OK);
    return [];
  } catch (error) {
    return [`${name} is not a folder that can be written to (${codeOf(error)})`];
  }
}

function removeEmpty(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {} // another program uses it already
  }
}

/** An existing file without marks is not overwritten: it may be another file, or a sign of a failing disk. */
function checkFence(path: string, { DATA_DIR, sqlitePath }: Partial<Config>, made: string[]): string[] {
  const taken = [
    ...(sqlitePath ? ['', '-wal', '-shm', '-journal'].map((end) => sqlitePath + end) : []),
    ...(DATA_DIR ? [madeKeyPath(DATA_DIR), madeTokenKeyPath(DATA_DIR), internalSocketPath(DATA_DIR)] : []),
  ];
  if (taken.includes(path)) return ['FENCE_FILE must be a file of its own'];
  const problems = dirname(path) === DATA_DIR ? [] : checkFolder('FENCE_FILE', dirname(path), made);
  if (problems.length > 0) return problems;
  try {
    readFenceFile(path);
    return [];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOTDIR'
      ? []
      : [`FENCE_FILE ${code ? `cannot be read (${code})` : 'names a file of another kind'}`];
  }
}

function checkDatabase(path: string, made: string[]): string[] {
  const problems = checkFolder('STORAGE_URL', dirname(path), made);
  if (problems.length > 0) return problems;
  try {
    const file = openSync(path, 'r+');
    const head = Buffer.alloc(SQLITE_MAGIC.length);
    const length = readSync(file, head, 0, head.length, 0);
    closeSync(file);
    return length === 0 || head.toString('latin1') === SQLITE_MAGIC ? [] : ['STORAGE_URL names a file of another kind'];
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []; // it will be created
    return [`STORAGE_URL names no file that can be written to (${codeOf(error)})`];
  }
}

/** @param port 0 tries the address alone. */
async function checkAddress(portName: string, hostName: string, host?: string, port = 0): Promise<string[]> {
  if (host === undefined) return [];
  const deadline = performance.now() + PORT_PATIENCE_MS;
  for (;;) {
    const code = await tryToListen(port, host);
    if (code === undefined) return [];
    if (code === 'EADDRINUSE' && performance.now() < deadline) await sleep(PORT_RETRY_MS);
    else if (code === 'EADDRINUSE' || code === 'EACCES') return [`${portName} cannot be listened on (${code})`];
    else return [`${hostName} is no address of this machine (${code})`];
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).name;
}
