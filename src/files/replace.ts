import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

export type Replacement = {
  write(text: string): void;
  /** Puts what was written in the file's place: whole or not at all, whatever dies in between, and synced. */
  commit(): void;
  /** Leaves the file as it is. Does nothing after `commit`. */
  cancel(): void;
};

/**
 * Begins to replace a file. Who begins while another has not ended fails with EEXIST, so that reading the file in
 * between and then replacing it is one step. What a link leads to is replaced, not the link.
 * @param access `same`: mode and owner are those of the old one; a new one, and with `private` any, is for its owner alone.
 * @throws Error of the file system: no right to write in the folder, to give the file to its owner, …
 */
export function beginReplacement(link: string, access: 'same' | 'private'): Replacement {
  const path = statSync(link, { throwIfNoEntry: false }) ? realpathSync(link) : link;
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'wx', 0o600);
  let isOver = false;

  function end(step: () => void): void {
    if (isOver) return;
    isOver = true;
    try {
      step();
    } catch (error) {
      unlinkSync(temporary);
      throw error;
    } finally {
      closeSync(file);
    }
  }

  const replacement: Replacement = {
    write: (text) => writeFileSync(file, text),
    commit: () =>
      end(() => {
        fsyncSync(file);
        renameSync(temporary, path);
        syncFolder(dirname(path));
      }),
    cancel: () => end(() => unlinkSync(temporary)),
  };
  try {
    if (access === 'same') likeTheOld(path, file);
    return replacement;
  } catch (error) {
    replacement.cancel();
    throw error;
  }
}

function likeTheOld(path: string, file: number): void {
  const old = statSync(path, { throwIfNoEntry: false });
  if (!old) return;
  if (old.uid !== process.geteuid?.() || old.gid !== process.getegid?.()) fchownSync(file, old.uid, old.gid);
  fchmodSync(file, old.mode & 0o777);
}

export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  fsyncSync(folder);
  closeSync(folder);
}
