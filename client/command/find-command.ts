import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Environment } from './context.ts';
import { EXIT, Failure } from './failure.ts';

/**
 * Finds a program as a shell does, before anything is read for it.
 * @returns its path.
 * @throws Failure 127 where there is none, and 126 where it cannot be run.
 */
export function findCommand(name: string, env: Environment): string {
  const isPath = name.includes('/') || (process.platform === 'win32' && name.includes('\\'));
  const folders = isPath ? [''] : (env.PATH ?? env.Path ?? '').split(delimiter).map((folder) => folder || '.');
  const endings = process.platform === 'win32' ? ['', '.exe', '.com'] : [''];
  const candidates = folders.flatMap((folder) => endings.map((ending) => join(folder, name) + ending));
  const files = name === '' ? [] : (isPath ? endings.map((ending) => name + ending) : candidates).filter(isFile);
  const found = files.find(isExecutable);
  if (found) return checkInterpreter(found);
  if (files.length > 0) throw new Failure(EXIT.notExecutable, 'nothing was read: the command is not executable');
  throw new Failure(EXIT.noCommand, 'nothing was read: there is no such command');
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // also one in a folder that nobody may look into
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A script whose interpreter is missing cannot be started, and says so too late. */
function checkInterpreter(path: string): string {
  const interpreter = /^#![ \t]*(\/[^\s\0]*)/.exec(firstBytes(path))?.[1];
  if (interpreter && process.platform !== 'win32' && !isFile(interpreter)) {
    throw new Failure(EXIT.noCommand, 'nothing was read: the interpreter that the command names does not exist');
  }
  return path;
}

function firstBytes(path: string): string {
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
