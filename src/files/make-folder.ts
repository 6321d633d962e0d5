import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it that are missing. Not by `recursive` of node:fs, which never returns where a parent
 * that exists takes no folder and says ENOENT, as /proc does.
 * @returns those it made, the outermost first.
 */
export function makeFolder(path: string, mode = 0o777): string[] {
  try {
    return makeOne(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error;
    return [...makeFolder(parent, mode), ...makeOne(path, mode)];
  }
}

function makeOne(path: string, mode: number): string[] {
  try {
    mkdirSync(path, mode);
    return [path];
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST' && statSync(path).isDirectory();
    if (!isThere) throw error;
    return [];
  }
}
