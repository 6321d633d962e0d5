import { Worker } from 'node:worker_threads';
import { hashPhraseSync } from '../../src/hashing/argon2.ts';

/** What argon2id alone costs: as many threads as given hash for as long as given. Prints hashes per second. */
const threads = Number(process.argv[2]);
const seconds = Number(process.argv[3]);
const source = `
  const { parentPort, workerData } = require('node:worker_threads');
  (async () => {
    const { hashPhraseSync } = await import(workerData);
    hashPhraseSync(Buffer.from('warm'), Buffer.alloc(16));
    for (;;) { hashPhraseSync(Buffer.from('correct horse'), Buffer.alloc(16)); parentPort.postMessage(1); }
  })();
`;
hashPhraseSync(Buffer.from('loads the library'), Buffer.alloc(16));
let hashes = 0;
for (let index = 0; index < threads; index++) {
  const workerData = new URL('../../src/hashing/argon2.ts', import.meta.url).href;
  new Worker(source, { eval: true, workerData }).on('message', () => {
    hashes += 1;
  });
}
await new Promise((resolve) => setTimeout(resolve, 1000));
hashes = 0;
const startedAt = performance.now();
await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
process.stdout.write(`${hashes / ((performance.now() - startedAt) / 1000)}\n`);
process.exit(0);
