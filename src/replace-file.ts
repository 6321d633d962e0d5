import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

export type Replacement = {
  /** Puts the text in the file's place: whole or not at all, whatever dies in between, and synced. */
  commit(text: string): void;
  /** Leaves the file as it is. Does nothing after `commit`. */
  cancel(): void;
};

/**
 * Begins to replace a file. Who begins while another has not ended fails with EEXIST, so that reading the file in
 * between and then replacing it is one step. The new file has mode and owner of the old one; a new one is for its
 * owner alone.
 * @throws Error of the file system: no right to write in the folder, to give the file to its owner, …
 */
export function beginReplacement(path: string): Replacement {
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
    commit: (text) =>
      end(() => {
        writeSync(file, text);
        fsyncSync(file);
        renameSync(temporary, path);
        syncFolder(dirname(path));
      }),
    cancel: () => end(() => unlinkSync(temporary)),
  };
  try {
    likeTheOld(path, file);
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
