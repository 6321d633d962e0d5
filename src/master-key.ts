import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { decodeKey } from './config.ts';
import { makeFolder } from './folders.ts';

const FILE_NAME = 'master.key';

/**
 * Development's master key: read from the data folder, or made there once (mode 0600). Complete or absent at any
 * instant, whoever else starts at the same time or dies in between.
 * @throws Error when the file holds no key.
 */
export function loadOrMakeMasterKey(dataDir: string): Buffer {
  const path = join(dataDir, FILE_NAME);
  const text = readIfThere(path) ?? make(dataDir, path);
  const key = decodeKey(text.trim());
  if (!key) throw new Error(`${path} does not hold a master key`);
  return key;
}

function make(dataDir: string, path: string): string {
  makeFolder(dataDir, 0o700);
  const temporary = `${path}.${randomBytes(8).toString('hex')}`; // a container's process ids come again
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(file, `${randomBytes(32).toString('hex')}\n`);
    fsyncSync(file);
    linkSync(temporary, path); // unlike rename, never replaces a key that another process made first
    syncFolder(dataDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    closeSync(file);
    unlinkSync(temporary); // also when the disk is full
  }
  return readFileSync(path, 'utf8');
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
