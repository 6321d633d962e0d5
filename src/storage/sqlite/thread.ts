import { parentPort, workerData } from 'node:worker_threads';
import type { StoreLimits } from '../../secrets/store.ts';
import { createBatchRunner } from './engine/batch.ts';
import { decode, encode } from './engine/codec.ts';
import { createWalCleaner, openWriter } from './engine/database.ts';
import { createFileCheck } from './engine/file-check.ts';
import { createProcedures, PROCEDURE } from './procedures.ts';
import { createLedger } from './usage.ts';

// The storage thread: owns the writing connection, so that neither a sync nor a checkpoint ever holds the event loop.
const port = parentPort;
if (!port) throw new TypeError('this file is the entry of a worker thread');
const { path, limits } = workerData as { path: string; limits: StoreLimits };
const database = openWriter(path);
const ledger = createLedger(database, limits);
const runBatch = createBatchRunner(database, createProcedures(database, ledger), ledger, createFileCheck(path));
const cleanWal = createWalCleaner(database);

port.on('message', (message: Uint8Array | 'close') => {
  if (message === 'close') {
    database.close();
    port.close();
    return;
  }
  const calls = decode(message);
  port.postMessage(encode(runBatch(calls)));
  if (calls.some(({ procedure }) => procedure === PROCEDURE.sweep)) cleanWal();
});
port.postMessage('open');
