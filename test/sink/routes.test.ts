import { randomBytes, randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { CLAIMS_MAX_BYTES } from '../../src/sink/sink.ts';
import { createTokenKey } from '../../src/tokens/calls/key.ts';
import { signToken } from '../../src/tokens/calls/sign.ts';
import { expectError } from '../secrets/black-box.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { ENGINES, type Engine } from '../support/storage/storage.ts';

const KEY_BYTES = randomBytes(64);
const KEY = createTokenKey(KEY_BYTES);

const PAYLOAD = { user: 'username', date: '2066-01-01' };
const DAY_SECONDS = 24 * 3600;

function claimsAt({ clock }: TestServer, claims: object = {}): { iat: number; jti: string; payload: object } {
  return { iat: Math.floor(clock.now / 1000), jti: randomUUID(), payload: PAYLOAD, ...claims };
}

function send({ post }: TestServer, claims: object, body?: unknown): Promise<Response> {
  return post('/server/', body, { 'x-my-jwt': signToken(KEY, claims) });
}

type Start = (t: ExecutionContext, options?: Omit<TestServerOptions, 'place'>) => Promise<TestServer>;

function starterOn(place: Engine['place']): Start {
  return async (t, options = {}) => {
    const env = { JWT_HEX_SECRET: KEY_BYTES.toString('hex'), ...options.env };
    return startServer(t, { place: await place(t), ...options, env });
  };
}

for (const { name, test, place } of ENGINES) {
  const start = starterOn(place);

  test(`${name}: what comes with a right token is listed, the newest first`, async (t) => {
    const server = await start(t);
    t.is(await (await server.get('/server/')).text(), '[]');
    const all = [claimsAt(server), claimsAt(server, { payload: { ...PAYLOAD, user: 'ключ' } }), claimsAt(server)];
    for (const claims of all) {
      const response = await send(server, claims, { a: 1 });
      t.is(response.status, 201);
      t.deepEqual(await response.json(), claims);
    }
    const text = await (await server.get('/server')).text();
    t.deepEqual(JSON.parse(text), all.toReversed());
    t.true(text.includes('"payload":{"user":"username","date":"2066-01-01"}'));
  });

  test(`${name}: the newest hundred are listed, in the order in which they came`, async (t) => {
    const server = await start(t); // whose clock stands still
    const all = Array.from({ length: 105 }, () => claimsAt(server));
    for (const claims of all) t.is((await send(server, claims)).status, 201);
    t.deepEqual(await (await server.get('/server/')).json(), all.slice(5).toReversed());
  });

  test(`${name}: a token is taken once, and what it claimed is gone after seven days`, async (t) => {
    const server = await start(t);
    const claims = claimsAt(server);
    t.is((await send(server, claims)).status, 201);
    await expectError(t, await send(server, claims), 409, 'TOKEN_REPLAYED');
    await expectError(t, await send(server, { ...claims, iat: claims.iat + 1 }), 409, 'TOKEN_REPLAYED');
    const listed = async (): Promise<number> => ((await (await server.get('/server/')).json()) as unknown[]).length;
    server.clock.advance({ seconds: 7 * DAY_SECONDS - 1 });
    t.is(await listed(), 1);
    await expectError(t, await send(server, claimsAt(server, { jti: claims.jti })), 409, 'TOKEN_REPLAYED');
    server.clock.advance({ seconds: 1 });
    t.is(await listed(), 0);
  });

  test(`${name}: of many requests with one token, one is taken`, async (t) => {
    const server = await start(t);
    const claims = claimsAt(server);
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await send(server, claims)).status));
    t.deepEqual(statuses.sort(), [201, ...Array(19).fill(409)]);
  });

  test(`${name}: a full store takes no token, says so, and takes it later`, async (t) => {
    const server = await start(t, { storeLimits: { maxBytes: 100 } });
    const response = await send(server, claimsAt(server));
    t.is(response.headers.get('retry-after'), '60');
    await expectError(t, response, 507, 'STORAGE_FULL');
  });
}

const [engine] = ENGINES;
if (!engine) throw new TypeError('no engine');
const { test, place } = engine;
const start = starterOn(place);

test('without a token, or with one that is not right, nothing is taken', async (t) => {
  const server = await start(t);
  const right = signToken(KEY, claimsAt(server));
  const foreign = signToken(createTokenKey(randomBytes(64)), claimsAt(server));
  for (const token of [undefined, '', 'x', foreign, `Bearer ${right}`, `${right}x`, `${right}, ${right}`]) {
    const response = await server.post('/server/', { a: 1 }, token === undefined ? {} : { 'x-my-jwt': token });
    t.is(response.headers.get('www-authenticate'), 'Bearer');
    await expectError(t, response, 401, 'UNAUTHORIZED');
  }
  t.deepEqual(await (await server.get('/server/')).json(), []);
});

test('a token of five minutes before or after is taken, one of a second more is not', async (t) => {
  const server = await start(t);
  for (const within of [0, 999]) {
    const { iat } = claimsAt(server);
    server.clock.now += within;
    for (const offset of [-300, -299.5, 0, 300]) {
      t.is((await send(server, claimsAt(server, { iat: iat + offset }))).status, 201, `${offset}`);
    }
    for (const offset of [-301, -300.5, 300.5, 301, 1e9, -iat]) {
      const response = await send(server, claimsAt(server, { iat: iat + offset }));
      await expectError(t, response, 401, 'UNAUTHORIZED');
    }
  }
});

test('claims that are no such claims are not taken', async (t) => {
  const server = await start(t);
  const { iat } = claimsAt(server);
  const wrong: object[] = [
    ...[undefined, null, `${iat}`, [iat], true].map((value) => ({ iat: value })),
    ...[undefined, null, '', 7, ['x'], {}, 'x'.repeat(256 + 1), '\ud800'].map((jti) => ({ jti })),
    ...[undefined, null, 'x', [], [PAYLOAD], {}, { user: 'x' }, { date: 'x' }].map((payload) => ({ payload })),
    ...[null, 7, {}, ['x']].flatMap((value) => [
      { payload: { ...PAYLOAD, user: value } },
      { payload: { ...PAYLOAD, date: value } },
    ]),
  ];
  for (const claims of wrong) {
    await expectError(t, await send(server, claimsAt(server, claims)), 401, 'UNAUTHORIZED');
  }
  t.deepEqual(await (await server.get('/server/')).json(), []);
});

test('of other claims the payload is kept whole, the rest is not; too many are refused', async (t) => {
  const server = await start(t);
  const payload = JSON.parse('{"date":"2066-01-01","__proto__":{"x":1},"scopes":["a"],"user":"u"}');
  const claims = claimsAt(server, { jti: 'x'.repeat(256), iss: 'somebody', payload });
  t.is((await send(server, claims)).status, 201);
  const text = await (await server.get('/server/')).text();
  const kept = '"payload":{"user":"u","date":"2066-01-01","__proto__":{"x":1},"scopes":["a"]}';
  t.is(text, `[{"iat":${claims.iat},"jti":"${claims.jti}",${kept}}]`);
  const rest = JSON.stringify(claimsAt(server, { payload: { ...PAYLOAD, more: '' } })).length;
  const withMore = (length: number): object => claimsAt(server, { payload: { ...PAYLOAD, more: 'x'.repeat(length) } });
  t.is((await send(server, withMore(CLAIMS_MAX_BYTES - rest))).status, 201);
  await expectError(t, await send(server, withMore(CLAIMS_MAX_BYTES - rest + 1)), 413, 'TOO_LARGE');
});

test('any body is read and dropped, up to 16 MiB; one that is longer takes no token', async (t) => {
  const server = await start(t);
  const limit = 16 * 1024 * 1024;
  for (const body of ['', '{', Buffer.from([0xff]), 'x'.repeat(limit)]) {
    t.is((await send(server, claimsAt(server), body)).status, 201);
  }
  const claims = claimsAt(server);
  await expectError(t, await send(server, claims, 'x'.repeat(limit + 1)), 413, 'TOO_LARGE');
  t.is((await send(server, claims)).status, 201);
});

test('in production the list is for who has the token, and for nobody where there is none', async (t) => {
  const token = 'a-proxy-token-of-the-tests';
  const server = await start(t, { env: { NODE_ENV: 'production', PROXY_TOKEN: token } });
  for (const header of ['authorization', 'proxy-authorization']) {
    t.is((await server.get('/server/', { [header]: `Bearer ${token}` })).status, 200);
    for (const wrong of [`Bearer ${token}x`, token, `Basic ${token}`, 'Bearer']) {
      await expectError(t, await server.get('/server/', { [header]: wrong }), 401, 'UNAUTHORIZED');
    }
  }
  const both = { authorization: 'Bearer of-an-account', 'proxy-authorization': `Bearer ${token}` };
  t.is((await server.get('/server/', both)).status, 200);
  await expectError(t, await server.get('/server/'), 401, 'UNAUTHORIZED');
  t.is((await send(server, claimsAt(server))).status, 201, 'what is received needs a right JWT alone');

  const without = await start(t, { env: { NODE_ENV: 'production' } });
  for (const headers of [undefined, { authorization: 'Bearer undefined' }, { authorization: 'Bearer ' }]) {
    await expectError(t, await without.get('/server/', headers), 401, 'UNAUTHORIZED');
  }
  const open = await start(t, { env: { PROXY_TOKEN: token } });
  t.is((await open.get('/server/')).status, 200);
});
