import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import type { EndedRecord } from '../../secrets/records.ts';
import { openRecords } from '../../storage/open.ts';
import type { Records } from '../../storage/storage.ts';
import { count, EXIT, type Exit, Failure, type Terminal } from '../terminal.ts';
import { readBackup } from './backup-file.ts';

const BATCH = 500;
/** Who writes into our stdin may pause so long. */
const STDIN_PATIENCE_MS = 60_000;
/** What is spooled of stdin: some 30 million records. */
const MAX_STDIN_BYTES = 8 * 1024 ** 3;

/** Puts back what a backup holds and is not there. Nothing is touched before the whole of it was found sound. */
export async function restore(terminal: Terminal, config: Config, { file }: { file: string }): Promise<Exit> {
  const opened = file === '-' ? await spoolStdin(config) : openSync(file, 'r');
  try {
    let total = 0;
    for (const _ of readBackup(opened, terminal.now())) total += 1;
    const records = await openRecords(config, 'restore');
    try {
      const restored = await putBack(terminal, records, opened);
      terminal.say(`${restored.toLocaleString('en')} of ${count(total, 'receipt')} put back.`);
    } finally {
      await records.close();
    }
    terminal.say('Those that were there, or are over by now, stay as they are. A backup holds no secrets.');
    return EXIT.fine;
  } finally {
    closeSync(opened);
  }
}

async function putBack(terminal: Terminal, records: Records, file: number): Promise<number> {
  const now = terminal.now();
  let restored = 0;
  let batch: EndedRecord[] = [];
  for (const record of readBackup(file, now)) {
    batch.push(record);
    if (batch.length < BATCH) continue;
    restored += await records.restoreEnded(batch, now);
    batch = [];
  }
  return restored + (await records.restoreEnded(batch, now));
}

/** Into a file without a name, for it is read twice; where there is more room than in a container's temporary folder. */
async function spoolStdin({ DATA_DIR }: Config): Promise<number> {
  const folder = existsSync(DATA_DIR) ? DATA_DIR : tmpdir();
  const path = join(folder, `hushbox-restore-${randomUUID()}`);
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  const { stdin } = process;
  const patience = setTimeout(
    () => stdin.destroy(new Failure('nothing came on stdin for a minute')),
    STDIN_PATIENCE_MS,
  );
  let bytes = 0;
  try {
    for await (const chunk of stdin as AsyncIterable<Buffer>) {
      patience.refresh();
      bytes += chunk.length;
      if (bytes > MAX_STDIN_BYTES) throw new Failure('there is too much on stdin');
      writeFileSync(file, chunk);
    }
  } finally {
    clearTimeout(patience);
  }
  return file;
}
