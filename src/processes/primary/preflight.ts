import { accessSync, closeSync, constants, openSync, readdirSync, readSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, needsMasterKey, type Reading } from '../../config/config.ts';
import { readFenceFile } from '../../fence/file.ts';
import { makeFolder } from '../../files/make-folder.ts';
import { isInUse } from '../../http/socket-file.ts';
import { madeKeyPath } from '../../keys/master-keys.ts';
import { madeTokenKeyPath } from '../../keys/token-key.ts';
import { internalSocketPath } from '../internal-socket.ts';
import type { Door } from '../ipc.ts';
import { sayTaken } from './sockets.ts';
import { tryToListen } from './try-listen.ts';

/** How long the workers of a program that was killed may take to release its port and its sockets. */
const PATIENCE_MS = 3_000;
const RETRY_MS = 50;
const MAX_PORT = 65_535;
/** The first port that needs no privilege. */
const FIRST_FREE_PORT = 1_024;
const WORKER_SOCKET = /^worker-\d+\.sock$/;
const SQLITE_MAGIC = 'SQLite format 3\0';

/**
 * Tries the configuration: writes to folders, listens on addresses. Makes the folders, and removes them again if
 * anything is wrong.
 * @param values only the valid ones.
 * @param problems those found so far.
 * @returns a sentence for each bad variable, without its value.
 */
export async function findProblems({ values, problems }: Reading): Promise<string[]> {
  const made: string[] = [];
  const all = [...problems, ...checkFiles(values, made)];
  // All at once, because each may wait for a predecessor.
  all.push(...(await Promise.all(checkListeners(values))).flat());
  if (all.length > 0) removeEmpty(made);
  return all;
}

function checkFiles(values: Partial<Config>, made: string[]): string[] {
  const { DATA_DIR, FENCE_FILE, MASTER_KEY, SOCKET_DIR, sqlitePath } = values;
  // Otherwise the folder need neither exist nor be writable.
  const isFenceKept = FENCE_FILE !== undefined && dirname(FENCE_FILE) === DATA_DIR;
  const isProxy = values.SERVICES?.includes('proxy');
  const isTokenKeyMade = isProxy && values.JWT_HEX_SECRET === undefined && values.NODE_ENV !== 'production';
  const isMasterKeyMade = needsMasterKey(values) && MASTER_KEY === undefined;
  const isDataKept = isMasterKeyMade || values.INTERNAL_PORT === undefined || isFenceKept || isTokenKeyMade;
  const isOwnFolder = sqlitePath === undefined || DATA_DIR !== dirname(sqlitePath); // else it is checked below
  return [
    ...(DATA_DIR && isDataKept && isOwnFolder ? checkFolder('DATA_DIR', DATA_DIR, made) : []),
    ...(FENCE_FILE ? checkFence(FENCE_FILE, values, made) : []),
    ...(sqlitePath ? checkDatabase(sqlitePath, made) : []),
    ...(SOCKET_DIR ? checkFolder('SOCKET_DIR', SOCKET_DIR, made) : []),
  ];
}

function checkListeners(values: Partial<Config>): Promise<string[]>[] {
  const { DATA_DIR, HOST, HTTP_PORT, INTERNAL_HOST, INTERNAL_PORT, SOCKET_DIR } = values;
  return [
    SOCKET_DIR ? checkWorkerSockets(SOCKET_DIR) : checkAddress('HTTP_PORT', 'HOST', HOST, HTTP_PORT),
    checkAddress('INTERNAL_PORT', 'INTERNAL_HOST', INTERNAL_HOST, INTERNAL_PORT),
    ...(DATA_DIR && INTERNAL_PORT === undefined ? [checkSocket('internal', internalSocketPath(DATA_DIR))] : []),
  ];
}

/** Those of all numbers, because a program with fewer or more workers uses the same folder. */
async function checkWorkerSockets(folder: string): Promise<string[]> {
  const names = listFolder(folder).filter((name) => WORKER_SOCKET.test(name));
  const found = await Promise.all(names.map((name) => checkSocket('public', join(folder, name))));
  return found.flat().slice(0, 1); // one program has them all
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // the check of the folder says so
  }
}

async function checkSocket(door: Door, path: string): Promise<string[]> {
  const isTaken = await staysSo(() => isInUse(path));
  return isTaken ? [sayTaken(door, path)] : [];
}

/** @returns false as soon as `isSo` is false, which a predecessor that ends can bring about. */
async function staysSo(isSo: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  while (await isSo()) {
    if (performance.now() > deadline) return true;
    await sleep(RETRY_MS);
  }
  return false;
}

/** The path is no secret, and it is what has to be put right. */
function checkFolder(name: string, path: string, made: string[]): string[] {
  try {
    made.push(...makeFolder(path, name === 'SOCKET_DIR' ? 0o777 : 0o700));
    accessSync(path, constants.W_OK | constants.X_OK);
    return [];
  } catch (error) {
    const folder = name.endsWith('_DIR') ? `The folder ${name} (${path})` : `The folder of ${name} (${path})`;
    const code = codeOf(error);
    return [
      code === 'EEXIST' || code === 'ENOTDIR'
        ? `${folder} is not a folder`
        : `${folder} cannot be written to (${code})`,
    ];
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
    return [`The file of STORAGE_URL (${path}) cannot be written to (${codeOf(error)})`];
  }
}

/** @param port 0 tries the address alone. */
async function checkAddress(portName: string, hostName: string, host?: string, port = 0): Promise<string[]> {
  if (host === undefined) return [];
  let code: string | undefined;
  await staysSo(async () => {
    code = await tryToListen(port, host);
    return code === 'EADDRINUSE';
  });
  if (code === undefined) return [];
  if (code === 'EADDRINUSE') {
    const other = port < MAX_PORT ? port + 1 : port - 1;
    return [`Port ${port} is already in use. Choose another one: ${portName}=${other} make run`];
  }
  if (code !== 'EACCES') return [`${hostName} is no address of this machine (${code})`];
  return port < FIRST_FREE_PORT
    ? [`Port ${port} needs root or CAP_NET_BIND_SERVICE. Choose one above 1023: ${portName}=${port + 8000} make run`]
    : [`${portName} cannot be listened on (EACCES)`];
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).name;
}
