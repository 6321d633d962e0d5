import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { launch, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

/** Runs `code` at the beginning of each process of the program. */
async function before(t: ExecutionContext, code: string): Promise<{ NODE_OPTIONS: string }> {
  const path = join(await temporaryFolder(t), 'before.cjs');
  writeFileSync(path, code);
  return { NODE_OPTIONS: `--require=${path}` };
}

const BUSY = 'for (const end = Date.now() + 60_000; Date.now() < end; );';
const IN_WORKERS = 'process.env.HUSHBOX_WORKER_NUMBER';

const CASES: readonly [when: string, code: string, isThere: string][] = [
  [
    'workers have not begun yet, and do not for a long time',
    `if (${IN_WORKERS}) { process.stderr.write('now'); ${BUSY} }`,
    'now',
  ],
  [
    // The storage thread is a thread of the worker, which waits for it.
    'the storage of a worker takes long to open',
    `if (!require('node:worker_threads').isMainThread) { process.stderr.write('now'); ${BUSY} }`,
    'now',
  ],
];
for (const [when, code, sign] of CASES) {
  test.serial(`SIGTERM ends the start cleanly and within 10 s when ${when}`, async (t) => {
    const program = await launch(t, { env: await before(t, code) });
    await until('the moment', () => program.stderr().includes(sign));
    const orderedAt = performance.now();
    program.signal('SIGTERM');
    t.deepEqual(await program.exit, { code: 0, signal: null });
    t.true(performance.now() - orderedAt < 10_000);
    t.notRegex(program.stderr(), /did not end in time/);
    t.deepEqual(program.processes(), []);
  });
}

test.serial('SIGTERM before anything of the program is loaded ends it cleanly', async (t) => {
  // Called before main.ts begins; what is queued there runs when main.ts waits for the first time.
  const code = `if (!${IN_WORKERS}) {
    const module = require('node:module');
    const { enableCompileCache } = module;
    module.enableCompileCache = (folder) => {
      queueMicrotask(() => process.kill(process.pid, 'SIGTERM'));
      return enableCompileCache(folder);
    };
  }`;
  const program = await launch(t, { env: await before(t, code) });
  t.deepEqual(await program.exit, { code: 0, signal: null });
  t.is(program.stdout(), '');
});

test.serial('a signal that arrives when the program begins to obey is not lost', async (t) => {
  // Sent while the first handler of the program is there, and seen only when the second one is.
  const code = `if (!${IN_WORKERS}) {
    let seen = 0;
    process.on('newListener', (name) => {
      if (name === 'SIGTERM' && ++seen === 2) {
        process.kill(process.pid, 'SIGTERM');
        for (const end = Date.now() + 200; Date.now() < end; );
      }
    });
  }`;
  const program = await launch(t, { env: await before(t, code) });
  t.deepEqual(await program.exit, { code: 0, signal: null });
});
