import { hashRaw } from '@node-rs/argon2';
import test, { type ExecutionContext } from 'ava';
import { parseMetrics } from '../../support/process/metrics.ts';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';
import { type AuthServer, EMAIL, PASSWORD, startAuth } from './support.ts';

const WRONG = 'a password of somebody else';
const PROXY = { LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' };
const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });

async function statuses(answers: Promise<Response>[]): Promise<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (const { status } of await Promise.all(answers)) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** As many at once as one worker has places for hashing. */
const WAVE = 60;

/** Guesses, many at once. */
async function guess(
  server: AuthServer,
  count: number,
  address: string | ((index: number) => string),
  username: string | ((index: number) => string) = EMAIL,
): Promise<Record<number, number>> {
  const of = (value: string | ((index: number) => string), index: number): string =>
    typeof value === 'string' ? value : value(index);
  const counts: Record<number, number> = {};
  for (let begun = 0; begun < count; begun += WAVE) {
    const wave = Array.from({ length: Math.min(WAVE, count - begun) }, (_, index) =>
      server.tryLogIn({ username: of(username, begun + index), password: WRONG }, from(of(address, begun + index))),
    );
    for (const [status, seen] of Object.entries(await statuses(wave))) {
      counts[Number(status)] = (counts[Number(status)] ?? 0) + seen;
    }
  }
  return counts;
}

async function expectRefusal(t: ExecutionContext, response: Response): Promise<number> {
  t.is(response.status, 429);
  t.like(await response.json(), { code: 'RATE_LIMITED', Error: 'Too many log-ins in a short time' });
  return Number(response.headers.get('retry-after'));
}

for (const engine of ENGINES) {
  const { name, test } = engine;

  test(`${name}: of 50 guesses at once from one network exactly 30 are evaluated`, async (t) => {
    const server = await startAuth(t, engine, PROXY);
    t.deepEqual(await guess(server, 50, '192.0.2.1'), { 401: 30, 429: 20 });
    t.is(await expectRefusal(t, await server.tryLogIn({}, from('192.0.2.1'))), 2);
    server.clock.advance({ seconds: 2 });
    t.deepEqual(await guess(server, 5, '192.0.2.1'), { 401: 1, 429: 4 });
    t.deepEqual(await guess(server, 5, '192.0.2.2'), { 401: 5 });
  });

  test(`${name}: a flood from anywhere does not lock out the owner, who has 10 guesses of their own`, async (t) => {
    const server = await startAuth(t, engine, PROXY);
    t.is((await server.tryLogIn({}, from('192.0.2.1'))).status, 200);
    const flood = await guess(server, 120, (index) => `198.51.100.${index}`);
    t.deepEqual(flood, { 401: 100, 429: 20 }); // 100 an hour for one account
    t.is(await expectRefusal(t, await server.tryLogIn({}, from('203.0.113.1'))), 36);
    t.is((await server.tryLogIn({}, from('192.0.2.1'))).status, 200);
    t.deepEqual(await guess(server, 15, '192.0.2.1'), { 401: 10, 429: 5 });
    t.is(await expectRefusal(t, await server.tryLogIn({}, from('192.0.2.1'))), 6);
    server.clock.advance({ seconds: 6 });
    t.is((await server.tryLogIn({}, from('192.0.2.1'))).status, 200);
  });

  test(`${name}: a network counts as the owner's for 30 days after the last log-in`, async (t) => {
    const server = await startAuth(t, engine, PROXY);
    await server.logIn(from('192.0.2.1'));
    server.clock.advance({ days: 29 });
    await server.logIn(from('192.0.2.1'));
    server.clock.advance({ days: 30 });
    server.clock.now -= 1;
    t.deepEqual(await guess(server, 12, '192.0.2.1'), { 401: 10, 429: 2 });
    server.clock.now += 1;
    t.deepEqual(await guess(server, 12, '192.0.2.1'), { 401: 12 });
  });

  test(`${name}: right passwords take nothing from the limits on wrong ones, and have one of 60 a minute`, async (t) => {
    const server = await startAuth(t, engine, PROXY);
    const answers: Promise<Response>[] = [];
    for (let index = 0; index < 64; index++) answers.push(server.tryLogIn({}, from(`192.0.2.${index % 8}`)));
    t.deepEqual(await statuses(answers), { 200: 60, 429: 4 });
    t.deepEqual(await guess(server, 35, '203.0.113.1'), { 401: 30, 429: 5 });
  });

  test(`${name}: the networks of one IPv6 /48 have 300 a minute together`, async (t) => {
    const server = await startAuth(t, engine, PROXY);
    const flood = (wide: string, count: number): Promise<Record<number, number>> =>
      guess(
        server,
        count,
        (index) => `${wide}:${(index % 16).toString(16)}::1`,
        (index) => `someone-${index}@example.com`,
      );
    let evaluated = 0;
    for (let round = 0; round < 6; round++) evaluated += (await flood('2001:db8:1', 60))[401] ?? 0;
    t.is(evaluated, 300);
    t.deepEqual(await flood('2001:db8:2', 10), { 401: 10 });
  });
}

test('unknown accounts are limited as known ones are', async (t) => {
  const server = await startAuth(t, SQLITE, PROXY);
  for (const username of ['nobody@example.com', 'no address at all', '']) {
    const flood = await guess(server, 120, (index) => `198.51.100.${index}`, username);
    t.deepEqual(flood, { 401: 100, 429: 20 }, username);
    server.clock.advance({ hours: 1 });
  }
});

test('LIMITS=off lifts these limits', async (t) => {
  const server = await startAuth(t, SQLITE, { ...PROXY, LIMITS: 'off' });
  t.deepEqual(await guess(server, 40, '192.0.2.1'), { 401: 40 });
});

test('bad tokens are limited for one network, a missing one is 401, and a good one still works', async (t) => {
  const server = await startAuth(t, SQLITE, PROXY);
  const token = await server.logIn(from('192.0.2.1'));
  const ask = (value: string): Promise<Response> => server.get('/sessions', { token: value, ...from('192.0.2.1') });
  t.deepEqual(await statuses(Array.from({ length: 305 }, () => ask('bad'))), { 401: 300, 429: 5 });
  t.is((await server.get('/sessions', from('192.0.2.1'))).status, 401);
  t.is((await ask(token)).status, 200);
  t.is((await server.get('/sessions', { token: 'bad', ...from('192.0.2.2') })).status, 401);
});

test('known, unknown and disabled accounts give the same answer, byte for byte, but for the id of the request', async (t) => {
  const server = await startAuth(t, SQLITE);
  await server.addAccount('disabled@example.com');
  await server.accounts.disable('disabled@example.com');
  const seen = new Set<string>();
  for (const input of [
    { password: WRONG },
    { password: '' },
    { password: PASSWORD.toUpperCase() },
    { password: 'x'.repeat(5_000) },
    { username: 'nobody@example.com' },
    { username: 'disabled@example.com' },
    { username: 'disabled@example.com', password: WRONG },
    { username: '' },
    { username: `${EMAIL} ` },
    { username: `${EMAIL}\0` },
    { username: '%' },
    { username: "' or 1=1 --" },
    { username: '{"$ne":""}' },
  ]) {
    const response = await server.tryLogIn(input);
    const headers = Object.fromEntries(response.headers);
    const { request_id, ...body } = (await response.json()) as Record<string, unknown>;
    t.is(typeof request_id, 'string');
    for (const name of ['x-request-id', 'date']) delete headers[name];
    seen.add(JSON.stringify([response.status, headers, body]));
  }
  t.is(seen.size, 1);
  t.true([...seen][0]?.startsWith('[401,'));
  t.true([...seen][0]?.includes('INVALID_CREDENTIALS'));
});

/** How often each verb of the storage was called. */
function callsOf(server: AuthServer): Map<string, number> {
  const calls = [...parseMetrics(server.metrics())].filter(([name]) =>
    name.startsWith('hushbox_storage_operation_duration_seconds_count'),
  );
  return new Map(calls);
}

for (const engine of ENGINES) {
  engine.test(`${engine.name}: known, unknown and disabled accounts cost the same calls of the storage`, async (t) => {
    const server = await startAuth(t, engine, PROXY);
    await server.addAccount('disabled@example.com');
    await server.accounts.disable('disabled@example.com');
    const costs: string[] = [];
    for (const input of [
      { username: EMAIL, password: WRONG },
      { username: 'nobody@example.com', password: WRONG },
      { username: 'disabled@example.com', password: WRONG },
      { username: 'disabled@example.com', password: PASSWORD },
      { username: EMAIL, password: 'short' },
    ]) {
      const before = callsOf(server);
      t.is((await server.tryLogIn(input)).status, 401);
      const after = [...callsOf(server)].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
      costs.push(JSON.stringify(after.filter(([, count]) => count > 0)));
    }
    t.is(new Set(costs).size, 1, costs.join('\n'));
    t.regex(costs[0] ?? '', /findByEmail.*take|take.*findByEmail/);
  });
}

test('text alone is taken, and no member that would say who one is', async (t) => {
  const server = await startAuth(t, SQLITE);
  for (const body of [
    {},
    { username: EMAIL },
    { username: { $ne: '' }, password: PASSWORD },
    { username: EMAIL, password: { $ne: '' } },
    { username: [EMAIL], password: PASSWORD },
    { username: EMAIL, password: [PASSWORD] },
    { username: EMAIL, password: null },
    { username: true, password: 1 },
    { username: EMAIL, password: PASSWORD, role: 'admin' },
    { username: EMAIL, password: PASSWORD, id: 'x' },
    { username: EMAIL, password: PASSWORD, token: `hushbox_${'A'.repeat(43)}` },
    { username: EMAIL, password: PASSWORD, __proto__x: {} },
    { username: EMAIL, password: '\ud800 lone surrogate' },
  ]) {
    const response = await server.post('/login', body);
    t.is(response.status, 400, JSON.stringify(body));
    t.like(await response.json(), { code: 'INVALID_REQUEST' });
  }
  t.is(
    (await server.post('/login', `{"username":"${EMAIL}","password":"${PASSWORD}","__proto__":{"role":"admin"}}`))
      .status,
    400,
  );
});

test('each log-in has a token and a session of its own, whatever came with it', async (t) => {
  const server = await startAuth(t, SQLITE);
  const first = await server.logIn();
  const { session_id } = await server.validate(first);
  const second = await server.logIn({ token: first, authorization: `Bearer ${first}`, cookie: `token=${first}` });
  t.not(second, first);
  t.not((await server.validate(second)).session_id, session_id);
  t.like(await server.validate(first), { session_id });
});

test('a password is the same however its letters are composed', async (t) => {
  const server = await startAuth(t, SQLITE);
  const email = 'composed@example.com';
  await server.accounts.create({ email, password: 'pässwört-zwölf'.normalize('NFD'), role: 'member' });
  for (const form of ['NFC', 'NFD'] as const) {
    t.is((await server.tryLogIn({ username: email, password: 'pässwört-zwölf'.normalize(form) })).status, 200);
  }
});

async function storeOldHash(server: AuthServer): Promise<string> {
  const salt = Buffer.alloc(16, 7);
  const options = { algorithm: 2, memoryCost: 8_192, timeCost: 1, parallelism: 1, outputLen: 32, salt };
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '');
  const old = `$argon2id$v=19$m=8192,t=1,p=1$${base64(salt)}$${base64(await hashRaw(PASSWORD, options))}`;
  const account = await server.storage.accounts.findByEmail(EMAIL);
  await server.storage.accounts.rehash(account?.id ?? '', account?.passwordHash ?? '', old);
  return old;
}

for (const engine of ENGINES) {
  engine.test(
    `${engine.name}: a hash of an older cost is replaced at the next right log-in, and sessions stay`,
    async (t) => {
      const server = await startAuth(t, engine);
      const token = await server.logIn();
      const old = await storeOldHash(server);
      const stored = async (): Promise<string | undefined> =>
        (await server.storage.accounts.findByEmail(EMAIL))?.passwordHash;
      await server.tryLogIn({ password: WRONG });
      t.is(await stored(), old);
      t.is((await server.tryLogIn()).status, 200);
      t.regex((await stored()) ?? '', /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
      t.is((await server.tryLogIn()).status, 200);
      t.like(await server.validate(token), { authenticated: true });
    },
  );

  engine.test(
    `${engine.name}: a log-in at the same time as a reset, a disabling or a deletion leaves no session behind`,
    async (t) => {
      const server = await startAuth(t, engine);
      const { accounts } = server;
      for (let round = 0; round < 12; round++) {
        const change = [
          () => accounts.resetPassword(EMAIL, `${PASSWORD} ${round}`),
          () => accounts.disable(EMAIL),
          () => accounts.delete(EMAIL),
        ][round % 3];
        const tries = Array.from({ length: 4 }, () => server.tryLogIn());
        await new Promise((resolve) => setTimeout(resolve, round * 3));
        await change?.();
        for (const answer of await Promise.all(tries)) {
          if (answer.status !== 200) continue;
          const { token } = (await answer.json()) as { token: string };
          t.like(await server.validate(token), { authenticated: false });
        }
        await accounts.delete(EMAIL);
        await server.addAccount();
      }
    },
  );
}
