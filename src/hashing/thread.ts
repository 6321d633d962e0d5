import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { hashPhraseSync } from './argon2.ts';
import type { Phrase } from './hash-queue.ts';

// A thread that hashes phrases and yields the core to whoever else wants it: requests without a phrase stay fast.
try {
  // On Linux a thread has a priority of its own; elsewhere there is no such link and all stay equal.
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), constants.priority.PRIORITY_LOW);
} catch {}

parentPort?.on('message', (batch: readonly Phrase[]) => {
  parentPort?.postMessage(batch.map(({ phrase, salt }) => hashPhraseSync(phrase, salt)));
});
