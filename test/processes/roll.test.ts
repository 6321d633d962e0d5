import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createSecret, openUpload, readSecret, send } from '../support/http/client.ts';
import { countRolls, roll, startClients } from '../support/process/load.ts';
import { start, until, untilReplaced } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const ROLLS = 3;

test.serial('SIGHUP replaces every worker and refuses nothing, on kept and on new connections', async (t) => {
  const program = await start(t);
  const load = startClients(t, () => program.base);
  for (let n = 1; n <= ROLLS; n++) {
    await roll(program);
    await sleep(1_100); // within a second it would be the same signal
  }
  await load.stop();
  t.deepEqual(load.failures, []);
  t.true(load.pairs > 100, `${load.pairs} pairs`);
  t.regex(program.stderr(), /"isComplete":true/);
});

test.serial('the same on a socket for each worker', async (t) => {
  const folder = await temporaryFolder(t);
  const program = await start(t, { folder, env: { SOCKET_DIR: join(folder, 's') } });
  const load = startClients(t, (client) => `unix:${folder}/s/worker-${(client % 2) + 1}.sock`);
  await roll(program);
  await load.stop();
  t.deepEqual(load.failures, []);
  t.true(load.pairs > 50, `${load.pairs} pairs`);
});

test.serial('a request that is sent during a roll is answered by the worker that began it', async (t) => {
  const program = await start(t);
  const uploads = await Promise.all(Array.from({ length: 6 }, () => openUpload(program.base, '/generate')));
  const before = program.workers();
  process.kill(program.primary(), 'SIGHUP');
  await until('a new worker', () => program.workers().some((pid) => !before.includes(pid)));
  await sleep(2_000);
  for (const { finish } of uploads) t.is((await finish('{"secret": "slow"}')).status, 201);
  await untilReplaced(program, before);
});

test.serial(
  'a roll whose replacement cannot start is given up and the old workers stay; once mended, it works',
  async (t) => {
    const folder = await temporaryFolder(t);
    const MASTER_KEY_FILE = join(folder, 'key');
    const masterKey = randomBytes(32).toString('hex');
    writeFileSync(MASTER_KEY_FILE, masterKey);
    const program = await start(t, { folder, env: { MASTER_KEY_FILE } });
    const before = program.workers();

    writeFileSync(MASTER_KEY_FILE, 'no key');
    process.kill(program.primary(), 'SIGHUP');
    await until('the end of the roll', () => /"isComplete":false/.test(program.stderr()));
    t.deepEqual(program.workers(), before);
    const key = await createSecret(program.base, { secret: 'x' });
    t.notRegex(program.stderr(), /no key/);

    writeFileSync(MASTER_KEY_FILE, masterKey);
    await sleep(1_100); // within a second it would be the same signal
    await roll(program);
    t.is((await readSecret(program.base, key)).status, 200);
  },
);

test.serial(
  'a replacement hit by a signal to the whole group, before it can ignore it, is started again',
  async (t) => {
    const program = await start(t);
    const before = program.workers();
    process.kill(program.primary(), 'SIGHUP');
    await until('a replacement', () => program.workers().some((pid) => !before.includes(pid)));
    for (const pid of program.workers()) if (!before.includes(pid)) process.kill(pid, 'SIGHUP');
    await untilReplaced(program, before);
    await until('the end of the roll', () => countRolls(program) === 1);
    t.regex(program.stderr(), /"isComplete":true/);
  },
);

test.serial('SIGTERM in the middle of a roll drains the old and the new', async (t) => {
  const program = await start(t);
  const { finish } = await openUpload(program.base, '/generate');
  const before = program.workers();
  process.kill(program.primary(), 'SIGHUP');
  await until('a new worker', () => program.workers().some((pid) => !before.includes(pid)));
  program.signal('SIGTERM');
  await sleep(500);
  t.is((await finish('{"secret": "slow"}')).status, 201);
  t.deepEqual(await program.exit, { code: 0, signal: null });
  t.deepEqual(program.processes(), []);
});

test.serial('a storm of SIGHUP ends with new workers and nothing else', async (t) => {
  const program = await start(t);
  const before = program.workers();
  for (let n = 0; n < 40; n++) {
    process.kill(program.primary(), 'SIGHUP');
    await sleep(50);
  }
  await untilReplaced(program, before);
  await until('a calm', () => {
    const begun = program.stderr().match(/"replacing the workers"/g)?.length;
    return countRolls(program) === begun && program.workers().length === 2;
  });
  t.is((await send(program.base, '/health/ready')).status, 200);
});
