import { statSync } from 'node:fs';

/** Rare enough that no write pays for it. In between, a write may go into a file that no process will find. */
const CHECK_INTERVAL_MS = 500;
const SQLITE_CANTOPEN = 14;

/** The database is open, but its path no longer leads to it. */
export class FileMoved extends Error {
  override readonly name = 'FileMoved';
  readonly errcode = SQLITE_CANTOPEN;
  /** Whether another file is at the path; else the path is empty. */
  readonly isReplaced: boolean;
  constructor(isReplaced: boolean) {
    super(isReplaced ? 'the database file was replaced by another' : 'the database file is no longer at its path');
    this.isReplaced = isReplaced;
  }
}

/**
 * Remembers which file is at the path.
 * @returns a check that throws FileMoved when the file is no longer there. After a success the next look is 500 ms later.
 */
export function createFileCheck(path: string): () => void {
  const opened = identityOf(path);
  let nextCheckAt = 0;
  return () => {
    const now = performance.now();
    if (now < nextCheckAt) return;
    const current = identityOf(path);
    if (current !== opened) throw new FileMoved(current !== undefined);
    nextCheckAt = now + CHECK_INTERVAL_MS;
  };
}

/** Device and inode; undefined when the path is empty or cannot be read. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
