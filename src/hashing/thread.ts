import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { hashPhraseSync } from './argon2.ts';
import type { Phrase } from './hash-queue.ts';

// A thread that hashes phrases at low priority, so that requests without a phrase stay fast.
try {
  // On Linux a thread has its own priority. Other systems have no such link, and all threads stay equal.
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), constants.priority.PRIORITY_LOW);
} catch {}

parentPort?.on('message', (batch: readonly Phrase[]) => {
  parentPort?.postMessage(batch.map(({ phrase, salt, cost }) => hashPhraseSync(phrase, salt, cost)));
});
