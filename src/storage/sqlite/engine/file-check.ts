import { statSync } from 'node:fs';
import { COMPANIONS } from './companions.ts';

export const SQLITE_CANTOPEN = 14;

/** The database is open, but not all of its files are at their paths any more: what is written now would be lost. */
export class FileMoved extends Error {
  override readonly name = 'FileMoved';
  readonly errcode = SQLITE_CANTOPEN;
  /**
   * Whether only another start can help: another file is in the place of one of ours, or the `-wal` or `-shm` file is
   * gone, without which processes no longer see each other's writes and locks. A database file that is only missing may
   * come back.
   */
  readonly isLasting: boolean;
  constructor(message: string, isLasting: boolean) {
    super(message);
    this.isLasting = isLasting;
  }
}

/**
 * Remembers which files are at the path of an open database and beside it.
 * @returns a check that throws FileMoved if one of them is missing or another file. It costs three looks at a path: a few
 *   microseconds, against a sync of a hundred or more.
 */
export function createFileCheck(path: string): () => void {
  const files = ['', ...COMPANIONS].map((ending) => ({ ending, opened: identityOf(path + ending) }));
  return () => {
    for (const { ending, opened } of files) {
      const current = identityOf(path + ending);
      if (current === undefined || current !== opened) throw movedBy(ending, current !== undefined);
    }
  };
}

function movedBy(ending: string, isReplaced: boolean): FileMoved {
  if (ending !== '') return new FileMoved(`the ${ending} file of the database was removed or replaced`, true);
  if (isReplaced) return new FileMoved('the database file was replaced by another', true);
  return new FileMoved('the database file is no longer at its path', false);
}

/** Device and inode; undefined when the path is empty or cannot be read. */
function identityOf(path: string): string | undefined {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found && `${found.dev}:${found.ino}`;
  } catch {
    return undefined;
  }
}
