import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createSecretKey } from '../../src/secrets/keys.ts';
import { type MongoProxy, startMongoProxy } from '../storage/mongo/mongo-proxy.ts';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { launch, type Program, type ProgramOptions, start, until } from '../support/process/program.ts';
import { MONGODB, temporaryFolder } from '../support/storage/storage.ts';

const withMongo = MONGODB.test.serial;

async function openProxy(t: ExecutionContext): Promise<MongoProxy> {
  const { url } = await MONGODB.place(t);
  return startMongoProxy(t, url);
}

/** Answers to everything that needs the storage, while it is away. */
async function saysUnavailable(t: ExecutionContext, target: string): Promise<void> {
  const { text: key } = createSecretKey(Date.now() + 60_000);
  const answers = [
    await send(target, '/generate', { secret: 'x' }),
    await readSecret(target, key),
    await send(target, '/health/ready'),
  ];
  for (const { status, headers, body } of answers) {
    t.is(status, 503);
    t.is(body.code, 'STORAGE_UNAVAILABLE');
    t.true(Number(headers['retry-after']) > 0);
  }
  t.is((await send(target, '/health/live')).status, 200);
}

async function untilReady(target: string): Promise<void> {
  await until('the storage', async () => (await send(target, '/health/ready')).status === 200);
}

withMongo('without its storage the program starts, says so, and is ready once the storage is there', async (t) => {
  const proxy = await openProxy(t);
  await proxy.cut();
  const folder = await temporaryFolder(t);
  const options: ProgramOptions = { folder, env: { STORAGE_URL: proxy.url, SOCKET_DIR: join(folder, 's') } };
  const program = await launch(t, options);
  const target = `unix:${folder}/s/worker-1.sock`;
  await untilItListens(program, target);
  await saysUnavailable(t, target);
  t.is(program.stdout(), '');
  const linesNow = (): string[] =>
    program
      .stderr()
      .split('\n')
      .filter((line) => line.includes('storage does not answer yet'));
  await until('a line from each worker', () => linesNow().length >= 2);
  const lines = linesNow();
  t.is(lines.length, 2); // one a minute from each worker
  const { port } = new URL(proxy.url);
  for (const line of lines) {
    t.regex(line, new RegExp(`"reason":"MongoDB does not answer: connect ECONNREFUSED 127\\.0\\.0\\.1:${port}"`));
    t.notRegex(line, /"stack"/);
  }
  const before = program.workers();

  await proxy.heal();
  await program.ready();
  const key = await createSecret(target, { secret: 'x' });
  t.is((await readSecret(target, key)).status, 200);
  t.deepEqual(program.workers(), before);
});

withMongo('a storage that goes away and comes back needs no restart: the same request works again', async (t) => {
  const proxy = await openProxy(t);
  const folder = await temporaryFolder(t);
  const program = await start(t, { folder, env: { STORAGE_URL: proxy.url, SOCKET_DIR: join(folder, 's') } });
  // Workers find it again each at its own time.
  const [target, other] = [`unix:${folder}/s/worker-1.sock`, `unix:${folder}/s/worker-2.sock`];
  const key = await createSecret(target, { secret: 'kept' });
  const before = program.workers();
  await proxy.cut();
  await saysUnavailable(t, target);
  t.is((await readSecret(target, key)).status, 503);
  await proxy.heal();
  for (const each of [target, other]) await untilReady(each);
  t.is((await send(other, `/secrets/${key}`)).status, 200);
  t.deepEqual((await readSecret(target, key)).body, { secret: 'kept' });
  t.deepEqual(program.workers(), before);
});

withMongo('with the storage away, SIGTERM ends the program cleanly', async (t) => {
  const proxy = await openProxy(t);
  const program = await start(t, { env: { STORAGE_URL: proxy.url } });
  proxy.swallowAnswers();
  const waiting = send(program.base, '/generate', { secret: 'x' });
  await until('a request on its way', () => proxy.commands.some(({ insert }) => insert !== undefined));
  const orderedAt = performance.now();
  program.signal('SIGTERM');
  t.is((await waiting).status, 503);
  t.deepEqual(await program.exit, { code: 0, signal: null });
  t.true(performance.now() - orderedAt < 10_000);
});

test.serial(
  'a data folder that goes away while nobody asks is reported at once, in one line, and its return too',
  async (t) => {
    const folder = await temporaryFolder(t);
    const data = join(folder, 'data');
    const env = { STORAGE_URL: `sqlite:${data}/hushbox.db`, DATA_DIR: data, FENCE_FILE: join(folder, 'fence.json') };
    const program = await start(t, { folder, env });
    const before = program.workers();
    const key = await createSecret(program.base, { secret: 'kept' });
    renameSync(data, `${data}.away`);
    const told = (words: string): number => program.stderr().split(words).length - 1;
    const words = '"reason":"the database file is no longer at its path","msg":"the storage is away: requests get 503"';
    await until('the line', () => told(words) > 0, 5_000);
    await sleep(2_500);
    t.is(told(words), 1);
    renameSync(`${data}.away`, data);
    await until('its return', () => told('"the storage is back"') > 0, 5_000);
    await until('the secret', async () => (await readSecret(program.base, key)).body.secret === 'kept');
    t.deepEqual(program.workers(), before);
  },
);

async function untilItListens(program: Program, target: string): Promise<void> {
  const isListening = () =>
    send(target, '/health/live').then(
      () => true,
      () => false,
    );
  await until('a worker that listens', async () => (await isListening()) && program.workers().length === 2);
}
