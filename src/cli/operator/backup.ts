import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import type { Config } from '../../config/config.ts';
import { beginReplacement, type Replacement } from '../../files/replace.ts';
import type { EndedRecord } from '../../secrets/records.ts';
import { openRecords } from '../../storage/open.ts';
import type { Records } from '../../storage/storage.ts';
import { count, EXIT, type Exit, Failure, isDatabaseThere, type Terminal } from '../terminal.ts';
import { createBackupWriter, isBackup } from './backup-file.ts';

const PAGE = 500;
/** Who reads our stdout may pause so long. */
const STDOUT_PATIENCE_MS = 600_000;

/** Writes what may be put back later: everything but secrets. */
export async function backup(terminal: Terminal, config: Config, { file }: { file: string }): Promise<Exit> {
  if (!isDatabaseThere(config)) throw new Failure(`there is no database at ${config.sqlitePath}`);
  const records = await openRecords(config, 'look');
  try {
    const written = file === '-' ? await toStdout(terminal, records) : await toFile(terminal, records, file);
    terminal.complain(`Wrote ${count(written, 'receipt')} of ended secrets.`);
    terminal.complain('Secrets are left out on purpose: a restore must never bring back one that was read.');
    return EXIT.fine;
  } finally {
    await records.close();
  }
}

async function toFile(terminal: Terminal, records: Records, path: string): Promise<number> {
  // Else a slip of the hand would put it in the place of a key file, a database or a device.
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && !(found.isFile() && isBackup(path))) throw new Failure(`${path} is there already, and is no backup`);
  const replacement = begin(path);
  process.once('exit', replacement.cancel); // a signal ends the command in the middle
  try {
    const writer = createBackupWriter(terminal.now(), replacement.write);
    for await (const record of listAll(terminal, records)) writer.add(record);
    const written = writer.end();
    replacement.commit();
    return written;
  } finally {
    replacement.cancel();
  }
}

function begin(path: string): Replacement {
  try {
    return beginReplacement(path, 'private');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Failure(`another backup is under way, or one was interrupted: if it was, remove ${path}.new`);
  }
}

async function toStdout(terminal: Terminal, records: Records): Promise<number> {
  const { stdout } = process;
  const writer = createBackupWriter(terminal.now(), (text) => stdout.write(text));
  for await (const record of listAll(terminal, records)) {
    writer.add(record);
    if (stdout.writableNeedDrain) await once(stdout, 'drain', { signal: AbortSignal.timeout(STDOUT_PATIENCE_MS) });
  }
  return writer.end();
}

async function* listAll(terminal: Terminal, records: Records): AsyncGenerator<EndedRecord> {
  const now = terminal.now();
  for (let after: Uint8Array | undefined; ; ) {
    const page = await records.listEnded({ now, after, limit: PAGE });
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.id;
  }
}
