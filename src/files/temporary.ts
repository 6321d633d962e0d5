import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A file this old was left behind by a process that was killed while it wrote. */
const LEFT_OVER_MS = 60_000;
const SUFFIX = /^\.[0-9a-f]{16}$/;

/** A name beside a file that no other process has: the process id would not do, containers use the same ones again. */
export function temporaryName(path: string): string {
  return `${path}.${randomBytes(8).toString('hex')}`;
}

/** Writes a whole file beside another, for its owner alone (mode 0600), and syncs it. @returns its path. */
export function writeTemporary(path: string, text: string): string {
  const temporary = temporaryName(path);
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
    return temporary;
  } catch (error) {
    unlinkSync(temporary); // the disk may be full
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Removes the temporary files that killed processes have left beside a file. Those of other processes may vanish. */
export async function removeLeftOvers(path: string, now: number): Promise<void> {
  const [folder, name] = [dirname(path), basename(path)];
  for (const other of await readdir(folder)) {
    if (!other.startsWith(name) || !SUFFIX.test(other.slice(name.length))) continue;
    const leftOver = join(folder, other);
    const found = await stat(leftOver).catch(ignoreAbsence);
    if (found && found.mtimeMs < now - LEFT_OVER_MS) await rm(leftOver, { force: true });
  }
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
