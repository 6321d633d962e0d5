import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createFile, readOrMake } from '../files/make-once.ts';
import { beginReplacement, type Replacement } from '../files/replace.ts';
import { decodeKey, decodeKeys } from './formats.ts';

const FILE_NAME = 'master.key';

/** Keys of 32 bytes; the first seals, the others only open. */
export type MasterKeys = readonly [Buffer, ...Buffer[]];
/** As in the configuration. */
export type KeyConfig = {
  MASTER_KEY?: Buffer;
  MASTER_KEY_PREVIOUS: readonly Buffer[];
  DATA_DIR: string;
  files: { MASTER_KEY?: string; MASTER_KEY_PREVIOUS?: string };
};

/** The files of the keys: one, or a second one with the older keys. */
export type KeyFiles = { current: string; previous: string | undefined };

/** The file of the key that development makes. */
export function madeKeyPath(dataDir: string): string {
  return join(dataDir, FILE_NAME);
}

export function findKeyFiles({ MASTER_KEY, DATA_DIR, files }: KeyConfig): KeyFiles | undefined {
  const current = MASTER_KEY ? files.MASTER_KEY : madeKeyPath(DATA_DIR);
  return current === undefined ? undefined : { current, previous: files.MASTER_KEY_PREVIOUS };
}

/**
 * The master keys of the configuration. In development they are read from the data folder, or one is made there once.
 * @throws Error if that file does not hold keys.
 */
export function loadMasterKeys(config: KeyConfig): MasterKeys {
  const { MASTER_KEY, MASTER_KEY_PREVIOUS, DATA_DIR } = config;
  if (MASTER_KEY) return [MASTER_KEY, ...MASTER_KEY_PREVIOUS];
  const path = madeKeyPath(DATA_DIR);
  const [first, ...older] = decodeKeys(readOrMake(path, () => `${asText(createMasterKey())}\n`)) ?? [];
  if (!first) throw new Error(`${path} does not hold a master key`);
  return [first, ...older, ...MASTER_KEY_PREVIOUS];
}

/** As `loadMasterKeys`, but makes nothing. @returns undefined if there is no key yet. */
export function findMasterKeys(config: KeyConfig): MasterKeys | undefined {
  const isThere = config.MASTER_KEY || statSync(madeKeyPath(config.DATA_DIR), { throwIfNoEntry: false });
  return isThere ? loadMasterKeys(config) : undefined;
}

/**
 * Watches the files of the keys.
 * @param onUnreadable called once for each change after which they hold no keys.
 * @returns a check, which takes a few µs and never throws: the keys if the files have changed since the last check.
 */
export function watchMasterKeys(
  config: KeyConfig,
  onUnreadable: (error: unknown) => void,
): () => MasterKeys | undefined {
  const files = findKeyFiles(config);
  if (!files) return () => undefined;
  const paths = files.previous === undefined ? [files.current] : [files.current, files.previous];
  let seen = ''; // the files may have changed since they were read
  return () => {
    const now = paths.map(identityOf).join();
    if (now === seen) return undefined;
    seen = now;
    try {
      return readKeyFiles(files);
    } catch (error) {
      onUnreadable(error);
      return undefined;
    }
  };
}

/**
 * Changes the keys in their files. A crash at any instant loses no key: each file is replaced as a whole, and the older
 * keys are in their file before the new one is in its own.
 * @returns the new keys.
 * @throws Error of the file system, or if the files do not hold keys; EEXIST while another change is under way.
 */
export function changeMasterKeys(files: KeyFiles, change: (keys: MasterKeys) => MasterKeys): MasterKeys {
  const begun: Replacement[] = [];
  const begin = (path: string): Replacement => {
    const replacement = beginReplacement(path);
    begun.push(replacement);
    return replacement;
  };
  try {
    const current = begin(files.current);
    const previous = files.previous === undefined ? undefined : begin(files.previous);
    const [first, ...older] = change(readKeyFiles(files));
    previous?.write(older.map(asText).join(',\n').concat('\n'));
    previous?.commit();
    current.write([first, ...(previous ? [] : older)].map((key) => `${asText(key)}\n`).join(''));
    current.commit();
    return [first, ...older];
  } finally {
    for (const replacement of begun) replacement.cancel();
  }
}

/** Writes a key that nothing uses yet. @throws EEXIST if there is something at the path. */
export function writeNewKey(path: string, key: Buffer): void {
  createFile(path, `${asText(key)}\n`);
}

function readKeyFiles({ current, previous }: KeyFiles): MasterKeys {
  const [first, ...older] = decodeKeys(readFileSync(current, 'utf8')) ?? [];
  const list = previous === undefined ? '' : readFileSync(previous, 'utf8').trim();
  const listed = list === '' ? [] : list.split(',').map((text) => decodeKey(text.trim()));
  if (!first || !listed.every((key) => key !== undefined))
    throw new Error('a file of master keys holds something else');
  return [first, ...older, ...listed];
}

export function createMasterKey(): Buffer {
  return randomBytes(32);
}

function asText(key: Buffer): string {
  return key.toString('hex');
}

function identityOf(path: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return 'none';
  }
}
