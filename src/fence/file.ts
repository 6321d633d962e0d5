import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { type FileHandle, open, readdir, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { makeFolder } from '../files/make-folder.ts';
import type { FenceMark } from './store.ts';

/** Beyond these many databases the file forgets the one that was marked longest ago. */
export const MAX_DATABASES = 16;
const VERSION = 1;
const MAX_BYTES = 16 * 1024;
/** Until the year 10,000; what is later was not made by us. */
const MAX_MARK = 253_402_300_800_000;
/** What was left by a process that was killed while it wrote. */
const LEFT_OVER_MS = 60_000;
const TEMPORARY = /^\.[0-9a-f]{16}$/;

/**
 * Reads the marks, the newest first.
 * @returns undefined when there is no file, or an empty one.
 * @throws Error when it cannot be read, or is of another kind.
 */
export function readFenceFile(path: string): FenceMark[] | undefined {
  const text = readIfThere(path);
  if (!text) return undefined;
  const marks = parse(text);
  if (!marks) throw new Error('the file does not hold marks');
  return marks;
}

/**
 * Puts a new file in the place of the old one: complete and on disk, or not at all. What a link leads to is replaced, not
 * the link, for the mark may be meant for another disk.
 */
export async function writeFenceFile(link: string, marks: readonly FenceMark[]): Promise<void> {
  const path = await followed(link);
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  const file = await openNew(temporary);
  try {
    await file.writeFile(format(marks));
    await file.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** Where a link leads to, also when nothing is there yet. */
async function followed(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return readlink(path).then(
      (target) => resolve(dirname(path), target),
      () => path,
    );
  }
}

/** The folder is made where it is missing, and not looked at otherwise: a disk that hangs must not hold the event loop. */
async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    makeFolder(dirname(path), 0o700);
    return open(path, 'wx', 0o600);
  }
}

/** Removes what processes that were killed have left beside the file. */
export async function removeLeftOvers(link: string, now: number): Promise<void> {
  const path = await followed(link);
  const [folder, name] = [dirname(path), basename(path)];
  for (const other of await readdir(folder)) {
    if (!other.startsWith(name) || !TEMPORARY.test(other.slice(name.length))) continue;
    const leftOver = join(folder, other);
    if ((await stat(leftOver)).mtimeMs < now - LEFT_OVER_MS) await rm(leftOver, { force: true });
  }
}

function readIfThere(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return undefined;
  if (!found.isFile()) throw new Error('it is no file'); // opening a pipe would wait
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(MAX_BYTES);
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, MAX_BYTES, 0));
  } finally {
    closeSync(file);
  }
}

function format(marks: readonly FenceMark[]): string {
  const databases = marks.slice(0, MAX_DATABASES).map(({ databaseId, mark }) => ({ id: databaseId, mark }));
  return `${JSON.stringify({ version: VERSION, databases })}\n`;
}

function parse(text: string): FenceMark[] | undefined {
  try {
    const { version, databases } = JSON.parse(text);
    if (version !== VERSION || databases.length > MAX_DATABASES) return undefined;
    const marks: FenceMark[] = databases.map(({ id, mark }: Record<string, unknown>) => ({ databaseId: id, mark }));
    return marks.every(isMark) ? marks : undefined;
  } catch {
    return undefined;
  }
}

function isMark({ databaseId, mark }: FenceMark): boolean {
  return /^[0-9a-f]{32}$/.test(databaseId) && Number.isInteger(mark) && mark > 0 && mark < MAX_MARK;
}
