import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { findOrphan } from '../../../../src/storage/sqlite/engine/companions.ts';
import { temporaryFolder } from '../../../support/storage/storage.ts';

const ROUNDS = 3000;
/** Makes databases, each and then its journal, and counts them. */
const MAKER = `
  const { writeFileSync } = require('node:fs');
  const { workerData: { path, count } } = require('node:worker_threads');
  for (let round = 0; round < ${ROUNDS}; round++) {
    for (const ending of ['', '-journal']) writeFileSync(path + round + ending, 'x');
    Atomics.add(count, 0, 1);
  }
`;

test('a database that another process is making right now is not taken for one that is away', async (t) => {
  const path = join(await temporaryFolder(t), 'hushbox.db');
  const count = new Int32Array(new SharedArrayBuffer(4));
  const maker = new Worker(MAKER, { eval: true, workerData: { path, count } });
  t.teardown(() => maker.terminate());
  await new Promise((resolve) => maker.once('online', resolve));
  let round = 0;
  for (let looks = 0; round < ROUNDS; looks++) {
    const orphan = findOrphan(path + round);
    if (orphan) return t.fail(`look ${looks}: ${orphan.file}`);
    round = Atomics.load(count, 0);
  }
  t.pass();
});
