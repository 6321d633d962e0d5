import { statSync } from 'node:fs';

/** As rarely as this, so that no write pays for it; so long what is written may go into a file that nobody will find. */
const CHECK_INTERVAL_MS = 500;
const SQLITE_CANTOPEN = 14;

/** The database is open, but its path does not lead to it any more. */
export class FileMoved extends Error {
  override readonly name = 'FileMoved';
  readonly errcode = SQLITE_CANTOPEN;
  /** Whether another file is there; else there is none. */
  readonly isReplaced: boolean;
  constructor(isReplaced: boolean) {
    super(isReplaced ? 'the database file was replaced by another' : 'the database file is no longer at its path');
    this.isReplaced = isReplaced;
  }
}

/**
 * Remembers which file is at the path.
 * @returns a check that throws FileMoved when it is no longer there; looks again after 500 ms, or as long as it fails.
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

/** Device and inode; undefined when there is nothing, or it cannot be told. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
