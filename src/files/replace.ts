import {
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open, readlink, realpath, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { makeFolder } from './make-folder.ts';
import { temporaryName, writeTemporary } from './temporary.ts';

export type Replacement = {
  write(text: string): void;
  /** Puts the written text in the place of the file: whole or not at all, whatever dies in between, and synced. */
  commit(): void;
  /** Leaves the file as it is. Does nothing after `commit`. */
  cancel(): void;
};

/** A replacement takes milliseconds: one that began so long ago was killed, and what it left is in nobody's way. */
const LEFT_OVER_MS = 60_000;

/**
 * Begins to replace a file. A second replacement that begins before the first has ended fails with EEXIST, so that
 * reading the file in between and then replacing it is one step. One that was killed is taken over after a minute. The
 * target of a link is replaced, not the link. Mode and
 * owner stay those of the old file; a new one is for its owner alone.
 * @throws Error of the file system: no right to write in the folder, to give the file to its owner, …
 */
export function beginReplacement(link: string): Replacement {
  const path = statSync(link, { throwIfNoEntry: false }) ? realpathSync(link) : link;
  const temporary = `${path}.new`;
  const file = openAlone(temporary);
  let isOver = false;

  const isOurs = (): boolean => isSame(fstatSync(file), statSync(temporary, { throwIfNoEntry: false }));
  const removeOwn = (): void => {
    if (isOurs()) unlinkSync(temporary);
  };

  function end(step: () => void): void {
    if (isOver) return;
    isOver = true;
    try {
      step();
    } catch (error) {
      removeOwn();
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
        if (!isOurs()) throw taken(temporary);
        renameSync(temporary, path);
        syncFolder(dirname(path));
      }),
    cancel: () => end(removeOwn),
  };
  try {
    copyOwnerAndMode(path, file);
    return replacement;
  } catch (error) {
    replacement.cancel();
    throw error;
  }
}

function openAlone(temporary: string): number {
  try {
    return openSync(temporary, 'wx', 0o600);
  } catch (error) {
    const found = statSync(temporary, { throwIfNoEntry: false });
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || (found && !isLeftOver(found))) throw error;
    if (found) removeLeftOver(temporary, found);
    return openSync(temporary, 'wx', 0o600);
  }
}

/** However far, and in whichever direction, the clock was set since. */
function isLeftOver({ mtimeMs }: Stats): boolean {
  return Math.abs(Date.now() - mtimeMs) > LEFT_OVER_MS;
}

/** If two processes do this at once, the second one may move what the first has just begun: that goes back. */
function removeLeftOver(temporary: string, found: Stats): void {
  const aside = temporaryName(temporary);
  renameSync(temporary, aside);
  try {
    if (isSame(found, statSync(aside))) return;
    linkSync(aside, temporary);
    throw taken(temporary);
  } finally {
    unlinkSync(aside);
  }
}

function isSame(one: Stats, other: Stats | undefined): boolean {
  return one.dev === other?.dev && one.ino === other.ino;
}

function taken(path: string): Error {
  return Object.assign(new Error('another replacement is under way'), { code: 'EEXIST', path });
}

function copyOwnerAndMode(path: string, file: number): void {
  const old = statSync(path, { throwIfNoEntry: false });
  if (!old) return;
  if (old.uid !== process.geteuid?.() || old.gid !== process.getegid?.()) fchownSync(file, old.uid, old.gid);
  fchmodSync(file, old.mode & 0o777);
}

/** Puts a new file in the place of another, or of none: whole or not at all, and synced. */
export function replaceFileSync(path: string, text: string, { uid, gid }: { uid: number; gid: number }): void {
  const temporary = writeTemporary(path, text);
  try {
    chownSync(temporary, uid, gid);
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
  syncFolder(dirname(path));
}

/**
 * Puts a new file in the place of another, or of none: whole or not at all. Its disk may hang without holding up the
 * event loop. Does not follow a link: see `followLink`.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = temporaryName(path);
  const file = await openNew(temporary);
  try {
    await file.writeFile(text);
    await file.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** The target of a link, even if nothing is there yet; the path itself if it is no link. */
export async function followLink(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return readlink(path).then(
      (target) => resolve(dirname(path), target),
      () => path,
    );
  }
}

/** Makes the folder only if it is missing, without looking at it before: a disk that hangs must not hold the event loop. */
async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    makeFolder(dirname(path), 0o700);
    return open(path, 'wx', 0o600);
  }
}

export function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  fsyncSync(folder);
  closeSync(folder);
}
