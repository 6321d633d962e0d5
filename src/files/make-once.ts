import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from './make-folder.ts';
import { syncFolder } from './replace.ts';

/**
 * What a file holds that is made once, for its owner alone (mode 0600): complete or absent at any instant, whoever else
 * starts at the same time or dies in between.
 * @param make called when there is no such file; what another process made first counts instead.
 */
export function readOrMake(path: string, make: () => string): string {
  return readIfThere(path) ?? makeOnce(path, make);
}

function makeOnce(path: string, make: () => string): string {
  makeFolder(dirname(path), 0o700);
  const temporary = `${path}.${randomBytes(8).toString('hex')}`; // a container's process ids come again
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeFileSync(file, make());
    fsyncSync(file);
    linkSync(temporary, path); // unlike rename, never replaces what another process made first
    syncFolder(dirname(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    closeSync(file);
    unlinkSync(temporary); // also when the disk is full
  }
  return readFileSync(path, 'utf8');
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
