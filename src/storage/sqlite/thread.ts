import { parentPort, workerData } from 'node:worker_threads';
import type { StoreLimits } from '../../limits/limits.ts';
import { release } from '../../sealing/release.ts';
import { createBatchRunner } from './engine/batch.ts';
import { decode, encode } from './engine/codec.ts';
import { createWalCleaner, openWriter } from './engine/database.ts';
import { createFileCheck } from './engine/file-check.ts';
import { createProcedures } from './procedures.ts';
import { MIGRATIONS } from './schema.ts';

/** What the thread is started with. */
export type ThreadData = { path: string; limits: StoreLimits };

// The storage thread: owns the writing connection, so that neither a sync nor a checkpoint ever holds the event loop.
const port = parentPort;
if (!port) throw new TypeError('this file is the entry of a worker thread');
const { path, limits } = workerData as ThreadData;
const database = openWriter(path, MIGRATIONS);
const { procedures, before, after } = createProcedures(database, limits);
const checkFile = createFileCheck(path);
const runBatch = createBatchRunner({ database, procedures: Object.values(procedures), before, after, checkFile });
const cleanWal = createWalCleaner(database);
const names = Object.keys(procedures);
const sweep = names.indexOf('sweep');

port.on('message', (message: Uint8Array | 'close') => {
  if (message === 'close') {
    database.close();
    port.close();
    return;
  }
  const calls = decode(message, 'viewed'); // no procedure keeps bytes beyond its batch
  port.postMessage(encode(runBatch(calls)));
  release(message);
  if (calls.some(({ head }) => head === sweep)) cleanWal();
});
port.postMessage(names);
