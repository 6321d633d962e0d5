import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { followLink, replaceFile } from '../files/replace.ts';
import { removeLeftOvers } from '../files/temporary.ts';
import type { FenceMark } from './store.ts';

/** With more databases than this, the file forgets the one that was marked longest ago. */
export const MAX_DATABASES = 16;
const VERSION = 1;
const MAX_BYTES = 16 * 1024;
/** The year 10,000: we made no later mark. */
const MAX_MARK = 253_402_300_800_000;

/**
 * Reads the marks, the newest first.
 * @returns undefined if there is no file, or an empty one.
 * @throws Error if it cannot be read, or does not hold marks.
 */
export function readFenceFile(path: string): FenceMark[] | undefined {
  const text = readIfThere(path);
  if (!text) return undefined;
  const marks = parse(text);
  if (!marks) throw new Error('the file does not hold marks');
  return marks;
}

/**
 * Writes the marks: the file is complete and on disk, or as before. The target of a link is replaced, not the link,
 * because the mark may be meant for another disk.
 */
export async function writeFenceFile(link: string, marks: readonly FenceMark[]): Promise<void> {
  await replaceFile(await followLink(link), format(marks));
}

/** Removes the files that killed processes have left beside the file. */
export async function tidyFenceFile(link: string, now: number): Promise<void> {
  await removeLeftOvers(await followLink(link), now);
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
