import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { hashPhraseSync } from './argon2.ts';

// A thread that hashes phrases and yields the core to whoever else wants it: requests without a phrase stay fast.
try {
  // On Linux a thread has a priority of its own; elsewhere there is no such link and all stay equal.
  setPriority(Number(basename(readlinkSync('/proc/thread-self'))), constants.priority.PRIORITY_LOW);
} catch {}

parentPort?.on('message', ({ phrase, salt }: { phrase: Uint8Array; salt: Uint8Array }) => {
  parentPort?.postMessage(hashPhraseSync(phrase, salt));
});
