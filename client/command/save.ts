import { randomBytes } from 'node:crypto';
import { closeSync, openSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, Failure, systemCode } from './failure.ts';
import { numbered, safeName } from './file-name.ts';
import { homeFolder } from './home.ts';
import { complain, print, writeToFile } from './terminal.ts';
import { visible } from './visible.ts';

/** Of names that are taken, how many are tried. */
const NUMBERS_MAX = 1000;

/** Finds out by doing it: rights alone say nothing about a disk that is full or mounted for reading. */
export function checkFolder(folder: string): void {
  try {
    if (!statSync(folder).isDirectory()) throw new Failure(EXIT.failed, '--out takes a folder, or - for stdout');
    const probe = join(folder, rescueName());
    closeSync(openSync(probe, 'wx', 0o600));
    unlinkSync(probe);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const reason = systemCode(error);
    throw new Failure(EXIT.failed, `nothing was read: the folder for the files cannot be written to (${reason})`);
  }
}

/**
 * Writes a file under a name that a stranger chose. Nothing is replaced, and nothing outside the folder is touched.
 * @returns its path.
 */
export function saveFile(folder: string, name: string, bytes: Uint8Array): string {
  const safe = safeName(name);
  for (let number = 1; ; number++) {
    const path = join(folder, numbered(safe, number));
    try {
      writeNew(path, bytes);
      return path;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST' || number === NUMBERS_MAX) throw error;
    }
  }
}

/** For its owner alone. A file that is not whole does not stay. */
function writeNew(path: string, bytes: Uint8Array): void {
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    writeToFile(descriptor, bytes);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function rescueName(): string {
  return `hushbox-${randomBytes(6).toString('hex')}`;
}

/** Saves what was read and cannot go where it should: it can never be read again. */
export function rescue(what: string, bytes: Uint8Array, error: unknown): void {
  const folders = [tmpdir(), homeFolder() ?? '.', '.', '/var/tmp', '/dev/shm'];
  for (const folder of folders) {
    const path = join(folder, rescueName());
    try {
      writeNew(path, bytes);
      complain(`hushbox: ${what} cannot be written (${systemCode(error)}). It is kept in ${path}`);
      return;
    } catch {
      // The next folder may have room.
    }
  }
  complain(`hushbox: ${what} cannot be written anywhere. In base64 it is ${Buffer.from(bytes).toString('base64')}`);
}

/** Writes to stdout, on a terminal with signs in place of what it would obey. */
export async function printContent(content: string | Uint8Array): Promise<void> {
  if (!process.stdout.isTTY) return print(content);
  const text = visible(typeof content === 'string' ? content : Buffer.from(content).toString());
  await print(text.endsWith('\n') ? text : `${text}\n`);
}
