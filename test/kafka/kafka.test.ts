import { randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { openStorage } from '../../src/storage/open.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { startMongoProxy } from '../storage/mongo/mongo-proxy.ts';
import { send } from '../support/http/client.ts';
import { addAccount, EMAIL, logIn, logOut, signIn } from '../support/kafka/accounts.ts';
import { addPartitions, addTopic, startBroker, withKafka } from '../support/kafka/broker.ts';
import { type BusClient, createBusClient } from '../support/kafka/client.ts';
import { kill, type ReadyProgram, start, until } from '../support/process/program.ts';
import { ENGINES, MONGODB, type Place, SQLITE, temporaryFolder } from '../support/storage/storage.ts';
import { configOf } from '../support/storage/storage-config.ts';

const MEMBER = 'joined the consumer group';
const AWAY = 'Kafka is away';
const KEY = '11'.repeat(32);

function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** Every request is answered at least once: how many were, however often. */
function countAnswered({ answers }: BusClient): number {
  return new Set(answers.map(({ id }) => id)).size;
}

/** @param env of the program, which serves auth too unless it says otherwise. */
async function startWorld(t: ExecutionContext, place: Place, env: Record<string, string> = {}) {
  await addAccount(t, place);
  const broker = await startBroker(t);
  const client = await createBusClient(t, broker.address);
  const begin = async (more: Record<string, string> = {}): Promise<ReadyProgram> => {
    const all = { SERVICES: 'auth,kafka', KAFKA_URL: `kafka://${broker.address}`, STORAGE_URL: place.url };
    const program = await start(t, { env: { ...all, MASTER_KEY: KEY, ...env, ...more } });
    await until(
      'the workers to join',
      () => countOf(program.stderr() + program.stdout(), MEMBER) >= program.workers().length,
    );
    return program;
  };
  const program = await begin();
  return { broker, client, program, begin };
}

const said = (program: ReadyProgram): string => program.stdout() + program.stderr();

for (const engine of ENGINES) {
  const test = engine === SQLITE || process.env.MONGODB_TEST_URL ? withKafka : engine.test;

  test(`${engine.name}: tokens of both kinds are verified, until they are logged out or expire; nothing is extended`, async (t) => {
    const place = await engine.place(t);
    const { client, program } = await startWorld(t, place, { SESSION_IDLE_SECONDS: '30' });
    const { base } = program;
    await client.ask('x'); // workers that join may wait for each other, and the time of the token would run
    const [token, access] = [await logIn(base), await signIn(base)];
    const good = await client.ask(token);
    t.true(good.authenticated);
    const verified = await fetch(`${base}/api/v1/verify/`, { method: 'POST', body: JSON.stringify({ token }) });
    t.deepEqual(good.user, (await verified.json()) as Record<string, string>);
    t.like(good.user, { email: EMAIL, role: 'member' });
    t.like(await client.ask(access), { authenticated: true, user: { email: EMAIL } });
    const other = await logIn(base);
    t.true((await client.ask(other)).authenticated);
    await logOut(base, other);
    const refused = await client.ask(other);
    t.deepEqual(Object.keys(refused).sort(), ['at', 'authenticated', 'headers', 'id', 'key']);
    t.false(refused.authenticated);
    for (const bad of ['', 'x', `${token}x`, token.slice(0, -1), `${access}x`, `${access.split('.', 2).join('.')}.`]) {
      t.false((await client.ask(bad)).authenticated, bad);
    }
    const [head, claims, signature] = access.split('.') as [string, string, string];
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    for (const bad of [`${none}.${claims}.`, `${none}.${claims}.${signature}`, `${head}.${claims}.AAAA`]) {
      t.false((await client.ask(bad)).authenticated, bad);
    }
    await until('the token to expire, though it is asked about', async () => !(await client.ask(token)).authenticated);
    t.true(Date.now() >= Date.parse(good.user?.expires_at as string));
  });
}

withKafka(
  'an answer has the key of its request, its id and its correlation headers; a malformed one stops nothing',
  async (t) => {
    const { client, program } = await startWorld(t, await SQLITE.place(t), { WORKERS: '1' });
    const token = await logIn(program.base);
    const binary = Buffer.from([0, 255, 128, 10]);
    const keys = [undefined, 'a key', binary, Buffer.alloc(0), Buffer.alloc(50_000, 'k')];
    const malformed = [
      'x',
      '{}',
      '[]',
      '{"token":7}',
      undefined,
      Buffer.from([255]),
      '{"token":"a","id":{}}',
      ' '.repeat(500_000),
    ];
    const ids = keys.map(() => randomUUID());
    for (const [index, key] of keys.entries()) {
      await client.send(malformed.map((value) => ({ value, ...(key !== undefined && { key }) })));
      const value = { token, id: ids[index], from: 'shop' };
      await client.send([
        { value, ...(key !== undefined && { key }), headers: { 'correlation-id': `c${index}`, other: 'x' } },
      ]);
    }
    const answers = await client.waitFor(ids);
    t.true(answers.every(({ authenticated }) => authenticated));
    t.deepEqual(
      answers.map(({ key }) => key?.toString('hex')),
      keys.map((key) => key && Buffer.from(key).toString('hex')),
    );
    t.deepEqual(
      answers.map(({ headers }) => headers),
      keys.map((_, index) => ({ 'correlation-id': `c${index}` })),
    );
    await client.send([{ value: { token, id: 7 } }, { value: { token } }]);
    await client.waitFor([7]);
    await until('the answer without an id', () => client.answers.some((answer) => !('id' in answer)));
    const skipped = said(program)
      .split('\n')
      .filter((line) => line.includes('malformed'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const places = new Set(skipped.map(({ partition, offset }) => `${partition} ${offset}`));
    t.is(places.size, malformed.length * keys.length);
    for (const line of skipped)
      t.deepEqual(Object.keys(line).sort(), ['level', 'msg', 'offset', 'partition', 'pid', 'time', 'topic']);
    t.is(countAnswered(client), keys.length + 2);
    const counted = /^hushbox_kafka_requests_total\{result="malformed"\} (?<count>\d+)$/m;
    await until('the count of all workers', async () => {
      const { body } = await send(`unix:${program.folder}/internal.sock`, '/metrics');
      return Number(counted.exec(String(body.text))?.groups?.count) >= places.size;
    });
  },
);

withKafka('keys of 50 kB on many requests at once do not make answers that the broker refuses', async (t) => {
  const { client, program } = await startWorld(t, await SQLITE.place(t), { WORKERS: '1' });
  const token = await logIn(program.base);
  const ids = Array.from({ length: 60 }, (_, index) => index);
  for (const some of [ids.slice(0, 15), ids.slice(15, 30), ids.slice(30, 45), ids.slice(45)]) {
    await client.send(some.map((id) => ({ value: { token, id }, key: Buffer.alloc(50_000, 'k') })));
  }
  t.true((await client.waitFor(ids)).every(({ authenticated }) => authenticated));
});

withKafka('what was asked while the program was stopped is answered; what was answered is not again', async (t) => {
  const { client, program, begin } = await startWorld(t, await SQLITE.place(t));
  const token = await logIn(program.base);
  const first = await client.ask(token);
  t.true(first.authenticated);
  program.signal('SIGTERM');
  t.deepEqual(await program.exit, { code: 0, signal: null });
  const countFirst = (): number => client.answers.filter(({ id }) => id === first.id).length;
  const before = countFirst();
  await client.send([{ value: { token, id: 'while stopped' } }]);
  await begin();
  t.true((await client.waitFor(['while stopped']))[0]?.authenticated);
  t.is(countFirst(), before);
});

withKafka('SIGTERM: what was begun is answered, and the place in the group is free at once', async (t) => {
  const { client, program, begin } = await startWorld(t, await SQLITE.place(t));
  const token = await logIn(program.base);
  const ids = Array.from({ length: 2_000 }, (_, index) => index);
  await client.send(ids.map((id) => ({ value: { token, id } })));
  await until('some answers', () => client.answers.length > 0);
  program.signal('SIGTERM');
  const stoppedAt = performance.now();
  await program.exit;
  t.true(performance.now() - stoppedAt < 12_000); // 10 s are the promise, and the last words may take a while to arrive
  await begin();
  await client.waitFor(ids);
  // While a partition changes hands, one worker can answer what another one answers again, and no third does.
  t.true(client.answers.length <= 2 * ids.length);
});

withKafka(
  'kafka alone verifies what another program issued, and serves no path of it; KAFKA_URL can be a file',
  async (t) => {
    const place = await SQLITE.place(t);
    const { client, program, broker } = await startWorld(t, place, { SERVICES: 'auth,kafka', WORKERS: '1' });
    const [token, access] = [await logIn(program.base), await signIn(program.base)];
    program.signal('SIGTERM');
    await program.exit;
    const file = join(program.folder, 'kafka-url');
    await writeFile(file, `kafka://${broker.address}\n`);
    const env = { SERVICES: 'kafka', KAFKA_URL_FILE: file, STORAGE_URL: place.url, MASTER_KEY: KEY, WORKERS: '1' };
    const alone = await start(t, { folder: program.folder, env });
    t.true((await client.ask(token)).authenticated);
    t.true((await client.ask(access)).authenticated);
    t.is((await send(alone.base, '/data')).status, 404);
    t.is((await send(alone.base, '/api/v1/verify/', { token })).status, 404);
  },
);

async function openAt(t: ExecutionContext, url: string): Promise<Storage> {
  return openStorage(configOf(url), { onLost: (error) => t.log(error), onWarning: () => {} });
}

withKafka(
  'no broker at the start: the program works; a broker that comes, goes and comes back is said once each',
  async (t) => {
    const place = await SQLITE.place(t);
    await addAccount(t, place);
    const broker = await startBroker(t);
    const client = await createBusClient(t, broker.address);
    await client.send([{ value: { token: 'x', id: 'before there was a group' } }]);
    await broker.stop();
    const env = {
      SERVICES: 'auth,kafka',
      KAFKA_URL: `kafka://${broker.address}`,
      STORAGE_URL: place.url,
      WORKERS: '1',
    };
    const program = await start(t, { env });
    const token = await logIn(program.base);
    await until('the line', () => countOf(said(program), AWAY) > 0);
    t.is((await send(program.base, '/health/ready')).status, 200);
    const internal = `unix:${program.folder}/internal.sock`;
    const isMember = async () =>
      String((await send(internal, '/metrics')).body.text).includes('hushbox_kafka_members 1');
    t.false(await isMember());
    await broker.start();
    await client.waitFor(['before there was a group']);
    t.true((await client.ask(token)).authenticated);
    await until('a member', isMember);
    const isSaid = () => countOf(said(program), MEMBER) >= countOf(said(program), AWAY);
    for (const how of [undefined, 'kill'] as const) {
      await until('the line of a member', isSaid);
      const before = countOf(said(program), AWAY);
      await broker.stop(how);
      await until('the line', () => countOf(said(program), AWAY) > before);
      t.is((await send(program.base, '/health/ready')).status, 200);
      t.is((await send(program.base, '/sessions', undefined, { headers: { token } })).status, 200);
      await broker.start();
      t.true((await client.ask(token)).authenticated);
    }
    await until('the line of a member', isSaid);
    // On a busy machine a broker can seem to be away when it is not: that is said once too.
    const lines = said(program).match(new RegExp(`${AWAY}|${MEMBER}`, 'g')) ?? [];
    t.true(lines.length >= 6);
    for (const [index, line] of lines.entries()) t.is(line, index % 2 === 0 ? AWAY : MEMBER);
    t.is(program.workers().length, 1);
    t.notRegex(said(program), /worker (died|ends)/);
  },
);

withKafka('a topic that is missing is said, and served once it is there', async (t) => {
  const place = await SQLITE.place(t);
  const broker = await startBroker(t, { topics: ['auth_request'] });
  const env = { SERVICES: 'kafka', KAFKA_URL: `kafka://${broker.address}`, STORAGE_URL: place.url, WORKERS: '1' };
  const program = await start(t, { env });
  await until('the line', () => said(program).includes('"reason":"Unknown topic auth_response."'));
  await addTopic(broker.address, 'auth_response');
  const client = await createBusClient(t, broker.address);
  t.false((await client.ask('x')).authenticated);
  t.is(program.workers().length, 1);
});

type Cut = { cut(): Promise<void>; heal(): Promise<void>; place: Place };

async function openSqliteThatGoesAway(t: ExecutionContext): Promise<Cut> {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'data');
  await mkdir(data);
  return {
    place: {
      ...(await SQLITE.place(t)),
      url: `sqlite:${data}/hushbox.db`,
      open: () => openAt(t, `sqlite:${data}/hushbox.db`),
    },
    cut: () => rename(data, `${data}.away`),
    heal: () => rename(`${data}.away`, data),
  };
}

async function openMongoThatGoesAway(t: ExecutionContext): Promise<Cut> {
  const place = await MONGODB.place(t);
  const { url, cut, heal } = await startMongoProxy(t, place.url);
  return { place: { ...place, url }, cut, heal };
}

/** Waits until every worker knows that the storage is away: so many questions at once reach them all. */
async function untilAway({ base }: ReadyProgram, token: string): Promise<void> {
  const isAway = async (): Promise<boolean> =>
    (await send(base, '/sessions', undefined, { headers: { token } })).status === 503;
  await until('the storage to be away', async () =>
    (await Promise.all(Array.from({ length: 40 }, isAway))).every(Boolean),
  );
  await sleep(1_500); // should one of them have been asked nothing
}

for (const [name, open, isThere] of [
  ['sqlite', openSqliteThatGoesAway, true],
  ['mongodb', openMongoThatGoesAway, process.env.MONGODB_TEST_URL !== undefined],
] as const) {
  const test = isThere ? withKafka : MONGODB.test;

  test(`${name}: while the storage is away nothing is answered, and then everything is, and rightly`, async (t) => {
    const { place, cut, heal } = await open(t);
    const fence = join(await temporaryFolder(t), 'fence.json');
    const { client, program } = await startWorld(t, place, { FENCE_FILE: fence });
    const [token, ended] = [await logIn(program.base), await logIn(program.base)];
    await logOut(program.base, ended);
    t.true((await client.ask(token)).authenticated);
    await cut();
    await untilAway(program, token);
    const before = countAnswered(client);
    const ids = Array.from({ length: 50 }, (_, index) => index);
    await client.send(ids.map((id) => ({ value: { token: id % 2 === 0 ? token : ended, id }, key: `k${id % 7}` })));
    await client.send([{ value: 'malformed' }]);
    await until('both workers to wait', () => countOf(said(program), 'requests over Kafka wait') >= 2);
    await sleep(3_000);
    t.is(countAnswered(client), before);
    await heal();
    const answers = await client.waitFor(ids);
    for (const { id, authenticated } of answers) t.is(authenticated, Number(id) % 2 === 0);
    await until('the lines', () => countOf(said(program), 'requests over Kafka are answered') >= 2);
    t.is(countAnswered(client), before + ids.length);
  });

  test(`${name}: SIGTERM while the storage is away loses no request`, async (t) => {
    const { place, cut, heal } = await open(t);
    const fence = join(await temporaryFolder(t), 'fence.json');
    const { client, program, begin } = await startWorld(t, place, { FENCE_FILE: fence });
    const token = await logIn(program.base);
    await cut();
    await untilAway(program, token);
    await client.send([{ value: { token, id: 'kept' } }]);
    await until('the pause', () => said(program).includes('requests over Kafka wait'));
    program.signal('SIGTERM');
    t.deepEqual(await program.exit, { code: 0, signal: null });
    t.is(client.answers.length, 0);
    await heal();
    await begin();
    t.true((await client.waitFor(['kept']))[0]?.authenticated);
  });
}

withKafka(
  'two workers share the partitions; one that is killed with -9 is replaced, and every request is answered',
  async (t) => {
    t.timeout(400_000);
    const { client, program } = await startWorld(t, await SQLITE.place(t));
    const token = await logIn(program.base);
    const ids: string[] = [];
    const ask = async (count: number): Promise<void> => {
      const some = Array.from({ length: count }, () => randomUUID());
      ids.push(...some);
      await client.send(some.map((id) => ({ value: { token, id }, key: id })));
    };
    await ask(1_000);
    await until('some answers', () => client.answers.length > 0);
    kill(program.workers()[0] as number);
    await ask(1_000);
    // The group gives up the killed worker after a while, and deals out the partitions twice.
    const answers = await client.waitFor(ids, 150_000);
    t.true(answers.every(({ authenticated }) => authenticated));
    program.signal('SIGHUP'); // and while workers are replaced one by one
    await ask(1_000);
    t.true((await client.waitFor(ids, 150_000)).every(({ authenticated }) => authenticated));
  },
);

withKafka('partitions that are added later are served', async (t) => {
  const { client, program, broker } = await startWorld(t, await SQLITE.place(t), { WORKERS: '1' });
  const token = await logIn(program.base);
  await addPartitions(broker.address, 'auth_request', 5);
  await until('the program to notice', () => said(program).includes('the number of partitions has changed'));
  const ids = Array.from({ length: 50 }, (_, index) => index);
  await client.send(ids.map((id) => ({ value: { token, id }, key: `key ${id}` })));
  t.true((await client.waitFor(ids)).every(({ authenticated }) => authenticated));
});
