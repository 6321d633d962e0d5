import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** A name that is older than this was left by a program that was killed while it started. */
const STALE_MS = 60_000;
const FIRST_NAME = /^\.internal-[0-9a-f]{8}$/;

/** Where the internal listener is, unless it has a port. */
export function internalSocketPath(dataDir: string): string {
  return join(dataDir, 'internal.sock');
}

/**
 * The name under which the internal socket of one program is bound before it gets its own. At random, for process ids
 * come again. Removes what killed programs left of that kind.
 */
export function chooseFirstName(folder: string): string {
  for (const name of readdirSync(folder)) if (FIRST_NAME.test(name)) removeIfStale(join(folder, name));
  return `.internal-${randomBytes(4).toString('hex')}`;
}

function removeIfStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found?.isSocket() || Date.now() - found.mtimeMs < STALE_MS) return;
  try {
    unlinkSync(path);
  } catch {} // it only takes up a name
}
