import { linkSync, readFileSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from './make-folder.ts';
import { syncFolder } from './replace.ts';
import { writeTemporary } from './temporary.ts';

/**
 * The content of a file that is made once, for its owner alone (mode 0600): complete or absent at any instant, even if
 * other processes start at the same time or die in between.
 * @param make called if there is no such file; if another process makes it first, that one counts.
 */
export function readOrMake(path: string, make: () => string): string {
  return readIfThere(path) ?? makeOnce(path, make);
}

function makeOnce(path: string, make: () => string): string {
  makeFolder(dirname(path), 0o700);
  try {
    createFile(path, make());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return readFileSync(path, 'utf8');
}

/** Makes a file: complete or absent at any instant. @throws EEXIST if there is something at the path. */
export function createFile(path: string, text: string): void {
  const temporary = writeTemporary(path, text);
  try {
    linkSync(temporary, path); // unlike rename, it never replaces a file that another process made first
    syncFolder(dirname(path));
  } finally {
    unlinkSync(temporary);
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
