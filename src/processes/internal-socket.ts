import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/** A name older than this was left by a program that was killed during its start. */
const STALE_MS = 60_000;
const FIRST_NAME = /^\.internal-[0-9a-f]{8}$/;

/** The socket of the internal listener, unless that has a port. */
export function internalSocketPath(dataDir: string): string {
  return join(dataDir, 'internal.sock');
}

/**
 * The name under which a program binds its internal socket before it is renamed. Random, because process ids are used
 * again. Removes such names that killed programs left.
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
  } catch {} // it does no harm
}
