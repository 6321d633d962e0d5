import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Environment } from './context.ts';
import { EXIT, Failure } from './failure.ts';

/** Where the system looks without a PATH. */
const DEFAULT_PATH = '/bin:/usr/bin';

/**
 * Finds a program as a shell does, before anything is read for it.
 * @returns its path.
 * @throws Failure 127 where there is none, and 126 where it cannot be run.
 */
export function findCommand(name: string, env: Environment): string {
  const isPath = name.includes('/') || (process.platform === 'win32' && name.includes('\\'));
  const folders = isPath
    ? ['']
    : (env.PATH ?? env.Path ?? DEFAULT_PATH).split(delimiter).map((folder) => folder || '.');
  const endings = process.platform === 'win32' ? ['', '.exe', '.com'] : [''];
  const candidates = folders.flatMap((folder) => endings.map((ending) => join(folder, name) + ending));
  const files = name === '' ? [] : (isPath ? endings.map((ending) => name + ending) : candidates).filter(isFile);
  const found = files.find(isExecutable);
  if (found) {
    checkInterpreter(found);
    return found;
  }
  if (files.length > 0) throw new Failure(EXIT.notExecutable, 'nothing was read: the command is not executable');
  throw new Failure(EXIT.noCommand, 'nothing was read: there is no such command');
}

function isFile(path: string | Buffer): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // also one in a folder that nobody may look into
  }
}

function isExecutable(path: string | Buffer): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** As often as Linux follows a script whose interpreter is a script. */
const INTERPRETERS_MAX = 4;

/** A script whose interpreter is missing or cannot be run cannot be started, and says so too late. */
function checkInterpreter(path: string | Buffer, depth = 0): void {
  const named = /^#![ \t]*([^ \t\n\0]+)/.exec(firstBytes(path))?.[1];
  if (named === undefined || process.platform === 'win32') return;
  const interpreter = Buffer.from(named, 'latin1'); // whatever the coding of its name is
  if (!isFile(interpreter)) {
    throw new Failure(EXIT.noCommand, 'nothing was read: the interpreter that the command names does not exist');
  }
  if (!isExecutable(interpreter) || depth === INTERPRETERS_MAX) {
    throw new Failure(EXIT.notExecutable, 'nothing was read: the interpreter that the command names cannot be run');
  }
  checkInterpreter(interpreter, depth + 1);
}

function firstBytes(path: string | Buffer): string {
  try {
    const descriptor = openSync(path, 'r');
    const bytes = Buffer.alloc(256);
    const length = readSync(descriptor, bytes);
    closeSync(descriptor);
    return bytes.toString('latin1', 0, length);
  } catch {
    return ''; // a program that may be run and not read
  }
}
