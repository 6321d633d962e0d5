import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createSecret, readSecret, type Target } from '../support/http/client.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { remember } from '../support/process/leaks.ts';
import { type Program, start, until, untilReplaced } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const CLIENTS = 20;

async function rotate({ folder }: Program): Promise<void> {
  const env = { STORAGE_URL: `sqlite:${join(folder, 'hushbox.db')}`, DATA_DIR: folder };
  const { code, stderr } = await hushbox(['rotate-master-key'], env);
  for (const key of readFileSync(join(folder, 'master.key'), 'utf8').split('\n')) remember(key);
  if (code !== 0) throw new Error(stderr);
}

/** How many secrets each key seals that can be read, of those keys that seal any. */
async function sealing({ folder }: Program): Promise<number[]> {
  const env = { STORAGE_URL: `sqlite:${join(folder, 'hushbox.db')}`, DATA_DIR: folder };
  const { stdout } = await hushbox(['rotate-master-key', '--status'], env);
  return [...stdout.matchAll(/^[0-9a-f]{16} .*?(\d+) secrets? sealed with it/gm)].map(([, count]) => Number(count));
}

/** One create and one read, each on a connection of its own, so that most meet different workers. */
async function pair(base: string, reader = base): Promise<void> {
  const secret = randomBytes(12).toString('hex');
  const { status, body } = await readSecret(reader, await createSecret(base, { secret }));
  if (status !== 200 || body.secret !== secret) throw new Error(`read: ${status} ${body.code}`);
}

async function keep(target: Target, count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => createSecret(target, { secret: 'kept for later' })));
}

test.serial('a rotation and SIGHUP under load refuse nothing; what either key sealed is read', async (t) => {
  const program = await start(t);
  const before = await keep(program.base, 10);
  const failures: string[] = [];
  let pairs = 0;
  let isStopping = false;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!isStopping) {
      await pair(program.base).catch((error) => failures.push(String(error)));
      pairs += 1;
    }
  });
  await until('some load', () => pairs > 50);
  await rotate(program);
  const workers = program.workers();
  process.kill(program.primary(), 'SIGHUP');
  await untilReplaced(program, workers);
  await until('the end of the roll', () => /"done replacing/.test(program.stderr()));
  await sleep(500);
  const after = await keep(program.base, 10);
  isStopping = true;
  await Promise.all(clients);
  t.deepEqual(failures, []);
  t.is((await sealing(program)).length, 2);
  for (const key of [...before, ...after]) t.is((await readSecret(program.base, key)).status, 200);
});

test.serial(
  'a worker that has only the older key finds the new one when it meets a secret sealed with it',
  async (t) => {
    const folder = await temporaryFolder(t);
    const program = await start(t, { folder, env: { SOCKET_DIR: folder } });
    const [successor, older] = [1, 2].map((number) => `unix:${folder}/worker-${number}.sock`) as [string, string];
    const before = [...(await keep(successor, 10)), ...(await keep(older, 10))];
    await rotate(program);
    const [victim = 0, other = 0] = program.workers();
    process.kill(victim, 'SIGKILL'); // its successor has both keys, the other worker one
    await until('a successor', () => program.workers().length === 2 && !program.workers().includes(victim));
    await until('its being ready', () => (program.stderr().match(/"worker is ready"/g)?.length ?? 0) >= 3);
    for (let pairs = 0; pairs < 10; pairs++) await pair(successor, older);
    const after = await keep(older, 10);
    t.deepEqual((await sealing(program)).toSorted(), [10, 20], 'from then on the new one seals there too');
    for (const key of [...before, ...after]) t.is((await readSecret(successor, key)).status, 200);
    t.true(program.workers().includes(other));
  },
);
