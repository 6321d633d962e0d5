import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { startMongoProxy } from '../storage/mongo/mongo-proxy.ts';
import { createSecret, send } from '../support/http/client.ts';
import { start, until } from '../support/process/program.ts';
import { MONGODB, temporaryFolder } from '../support/storage/storage.ts';

const withMongo = MONGODB.test === test ? test.serial : test.serial.skip;
const isMountAllowed = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
const withSmallDisk = isMountAllowed ? test.serial : test.serial.skip;
const LOCK_CHILD = fileURLToPath(new URL('../storage/contract/lock-child.ts', import.meta.url));

const statusOf = async (target: string): Promise<number> =>
  (await send(target, '/health/ready', undefined, { timeoutMs: 20_000 })).status;

/** Every worker by its own socket, because each knows for itself. */
async function turnsTo(t: ExecutionContext, targets: readonly string[], wanted: 200 | 503, ms: number) {
  for (const target of targets)
    await until(`${wanted} of ${target}`, async () => (await statusOf(target)) === wanted, ms);
  t.is((await send(targets[0] as string, '/health/live')).status, 200);
}

function socketsIn(folder: string): { SOCKET_DIR: string; targets: string[] } {
  const SOCKET_DIR = join(folder, 's');
  return { SOCKET_DIR, targets: [1, 2].map((number) => `unix:${SOCKET_DIR}/worker-${number}.sock`) };
}

test.serial('while another process holds the write lock no worker is ready, and each is again after it', async (t) => {
  const folder = await temporaryFolder(t);
  const { SOCKET_DIR, targets } = socketsIn(folder);
  const program = await start(t, { folder, env: { SOCKET_DIR } });
  const before = program.workers();
  await turnsTo(t, targets, 200, 5_000);
  const locker = fork(LOCK_CHILD, [join(folder, 'hushbox.db')]);
  t.teardown(() => locker.kill('SIGKILL'));
  await once(locker, 'message');
  await turnsTo(t, targets, 503, 10_000);
  locker.send('unlock');
  await turnsTo(t, targets, 200, 10_000);
  t.deepEqual(program.workers(), before);
});

withSmallDisk('with a full disk no worker is ready, and each is again once there is room', async (t) => {
  const folder = await temporaryFolder(t);
  const { SOCKET_DIR, targets } = socketsIn(await temporaryFolder(t));
  const inSmallDisk = `mount -t tmpfs -o size=4m none '${folder}' && exec "$@"`;
  const command = ['unshare', '-m', 'sh', '-c', inSmallDisk, 'sh', process.execPath, 'src/main.ts'] as const;
  const env = { SOCKET_DIR, FENCE_FILE: join(await temporaryFolder(t), 'fence.json') };
  const program = await start(t, { folder, env, command: [...command] });
  const [target = ''] = targets;
  await createSecret(target, { secret: 'x' });
  const filler = join('/proc', String(program.primary()), 'root', folder, 'filler');
  t.throws(() => writeFileSync(filler, Buffer.alloc(8 * 1024 * 1024)), { code: 'ENOSPC' });
  const create = () => send(target, '/generate', { secret: 'x'.repeat(2_000) });
  await until('a full disk', async () => (await create()).status === 503); // the WAL may have room of its own
  await turnsTo(t, targets, 503, 30_000);
  rmSync(filler);
  await turnsTo(t, targets, 200, 10_000);
  await createSecret(target, { secret: 'x' });
});

withMongo('while MongoDB answers look-ups alone no worker is ready, and each is again after it', async (t) => {
  const proxy = await startMongoProxy(t, (await MONGODB.place(t)).url);
  const folder = await temporaryFolder(t);
  const { SOCKET_DIR, targets } = socketsIn(folder);
  await start(t, { folder, env: { STORAGE_URL: proxy.url, SOCKET_DIR } });
  await turnsTo(t, targets, 200, 5_000);
  proxy.swallowAnswers();
  await turnsTo(t, targets, 503, 10_000);
  await proxy.heal();
  await turnsTo(t, targets, 200, 15_000);
});
