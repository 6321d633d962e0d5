import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { createClientIds } from '../../src/limits/clients.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { createSecrets } from '../../src/secrets/secrets.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { until } from '../support/process/program.ts';
import { ENGINES, SQLITE } from '../support/storage/storage.ts';
import { NO_WEBHOOKS } from '../support/webhooks/webhooks.ts';

const CLIENT = Buffer.alloc(16, 'c');
const OTHER = Buffer.alloc(16, 'o');

async function expectRefusal(t: ExecutionContext, answer: Response, status: number, code: string): Promise<number> {
  t.is(answer.status, status);
  t.like(await answer.json(), { code });
  const seconds = Number(answer.headers.get('retry-after'));
  t.true(Number.isSafeInteger(seconds) && seconds >= 1, `${seconds}`);
  return seconds;
}

async function key(server: TestServer, body: object = {}): Promise<string> {
  return (await server.create({ secret: 's', ...body })).secret_key;
}

for (const { name, test, place } of ENGINES) {
  const start = async (
    t: ExecutionContext,
    storeLimits: Parameters<typeof startServer>[1]['storeLimits'] = {},
    options: Partial<Parameters<typeof startServer>[1]> = {},
  ): Promise<TestServer> =>
    startServer(t, { place: await place(t), env: { LIMITS: 'on' }, storeLimits: storeLimits ?? {}, ...options });

  test(`${name}: a client that creates too fast learns when it can create again, and can then`, async (t) => {
    const server = await start(t, { clientCreatesPerMinute: 2 });
    const [first] = [await key(server), await key(server, { phrase: 'a phrase' })];
    for (const body of [{ secret: 's' }, { secret: 's', phrase: 'a phrase' }]) {
      const answer = await server.post('/generate', body);
      t.is(await expectRefusal(t, answer, 429, 'RATE_LIMITED'), 15);
    }
    t.is((await server.post(`/secrets/${first}`)).status, 200, 'reading still works');
    server.clock.advance({ seconds: 15 });
    await key(server);
    await expectRefusal(t, await server.post('/generate', { secret: 's' }), 429, 'RATE_LIMITED');
  });

  test(`${name}: an invalid request does not count towards the rate`, async (t) => {
    const createToken = randomBytes(16).toString('hex');
    const server = await start(t, { clientCreatesPerMinute: 1 }, { env: { LIMITS: 'on', CREATE_TOKEN: createToken } });
    const headers = { authorization: `Bearer ${createToken}` };
    for (const [body, sent, status] of [
      [{ secret: 's' }, {}, 401],
      [{ secret: '' }, headers, 400],
      [{ secret: 's', phrase: '' }, headers, 400],
      ['{', headers, 400],
      [{ secret: 'x'.repeat(1_048_577) }, headers, 413],
    ] as const) {
      t.is((await server.post('/generate', body, sent)).status, status);
    }
    t.is((await server.post('/generate', { secret: 's' }, headers)).status, 201);
    await expectRefusal(t, await server.post('/generate', { secret: 's' }, headers), 429, 'RATE_LIMITED');
    t.is(
      (await server.post('/generate', { secret: 's' })).status,
      401,
      'a client that may not create learns nothing about limits',
    );
  });

  test(`${name}: a client may have a number of waiting secrets and bytes, and gets them back`, async (t) => {
    for (const limits of [{ clientMaxSecrets: 2 }, { clientMaxBytes: 800 }]) {
      const server = await start(t, limits);
      const first = await key(server);
      const { receipt_key: receipt } = await server.create({ secret: 's', receipt: true });
      await expectRefusal(t, await server.post('/generate', { secret: 's' }), 429, 'QUOTA_EXCEEDED');
      t.is((await server.post(`/secrets/${first}`)).status, 200);
      await key(server);
      t.is((await server.request('DELETE', `/receipts/${receipt}`)).status, 204);
      await key(server);
      await expectRefusal(t, await server.post('/generate', { secret: 's' }), 429, 'QUOTA_EXCEEDED');
    }
  });

  test(`${name}: a full server refuses new secrets, and still hands out the old ones`, async (t) => {
    const server = await start(t, { maxBytes: 20_000 }, { env: {} });
    const secret = 'x'.repeat(3000);
    const keys: string[] = [];
    // After the first refusal there can be room once more: MongoDB is measured now and then, and estimated in between.
    for (let refusals = 0; refusals < 2; ) {
      const answer = await server.post('/generate', { secret });
      if (answer.status === 201) {
        keys.push(((await answer.json()) as { secret_key: string }).secret_key);
        refusals = 0;
        if (keys.length > 100) return t.fail('it is never full');
      } else {
        await expectRefusal(t, answer, 507, 'STORAGE_FULL');
        refusals += 1;
      }
    }
    t.true(server.logged().includes('STORAGE_FULL'), 'the operator sees it in the log');
    for (const [index, one] of keys.entries()) {
      t.is((await server.get(`/secrets/${one}`)).status, 200);
      const headers = index === 0 ? { 'idempotency-key': randomBytes(16).toString('hex') } : {};
      t.deepEqual(await (await server.post(`/secrets/${one}`, {}, headers)).json(), { secret });
    }
    const isRoom = async () => (await server.post('/generate', { secret })).status === 201;
    if (name === 'sqlite') t.true(await isRoom(), 'at once');
    else await until('the server to notice the free space', isRoom);
  });
}

test('a refused creation costs no hash, and a creation that is hashed was admitted', async (t) => {
  const { secrets: store } = await (await SQLITE.place(t)).open({ clientCreatesPerMinute: 2, maxBytes: 2400 });
  let hashes = 0;
  const secrets = createSecrets({
    store,
    ring: createKeyRing([randomBytes(32)]),
    clock: () => Date.UTC(2066, 0, 1),
    onEvent: () => {},
    refusedUntil: () => 0,
    gate: {
      run: (_group, work) =>
        work(async () => {
          hashes += 1;
          return randomBytes(32);
        }),
    },
    ...NO_WEBHOOKS,
  });
  const create = (client: Uint8Array | undefined) =>
    secrets.create({ secret: 's', phrase: 'p', ttlMs: 60_000, receipt: false, client });
  await create(CLIENT);
  await create(CLIENT);
  await t.throwsAsync(create(CLIENT), { code: 'RATE_LIMITED' });
  t.is(hashes, 2);
  await create(OTHER);
  await create(OTHER);
  await create(undefined);
  t.is(hashes, 5);
  await t.throwsAsync(create(Buffer.alloc(16, 'n')), { code: 'STORAGE_FULL' });
  t.is(hashes, 5);
});

test('a client is stored as a hash that only the master key can make', (t) => {
  const [first, second] = [randomBytes(32), randomBytes(32)];
  let keys: readonly [Buffer, ...Buffer[]] | undefined;
  const ring = createKeyRing([first], () => keys);
  const idOf = createClientIds(ring);
  const id = Buffer.from(idOf('203.0.113.9'));
  t.is(id.length, 16);
  t.deepEqual(Buffer.from(idOf('203.0.113.9')), id);
  t.deepEqual(Buffer.from(createClientIds(createKeyRing([first, second]))('203.0.113.9')), id);
  t.notDeepEqual(Buffer.from(idOf('203.0.113.10')), id);
  keys = [second, first];
  ring.refresh();
  t.notDeepEqual(Buffer.from(idOf('203.0.113.9')), id);
  t.deepEqual(idOf('203.0.113.9'), createClientIds(createKeyRing([second]))('203.0.113.9'));
});
