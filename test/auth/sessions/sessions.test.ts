import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { AppError } from '../../../src/errors.ts';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';
import { type AuthServer, EMAIL, PASSWORD, startAuth } from './support.ts';

const MAX_SECONDS = 43_200;

type Item = { id: string; current: boolean; refreshes: number; expires_at: string; last_used_at: string };

async function listOf(server: AuthServer, token: string): Promise<Item[]> {
  return (await (await server.get('/sessions', { token })).json()) as Item[];
}

async function code(response: Response): Promise<string> {
  return `${response.status} ${((await response.json()) as { code?: string }).code}`;
}

for (const engine of ENGINES) {
  const { name, test } = engine;

  test(`${name}: a client logs in, is known by its token, and after log-out no more`, async (t) => {
    const server = await startAuth(t, engine);
    const response = await server.tryLogIn({ username: EMAIL.toUpperCase() });
    t.is(response.status, 200);
    const body = (await response.json()) as { token: string };
    t.deepEqual(Object.keys(body), ['token']);
    const { token } = body;
    t.regex(token, /^hushbox_[\w-]{43}$/);
    const [session] = await listOf(server, token);
    t.deepEqual(await server.validate(token), {
      authenticated: true,
      user_id: ((await server.validate(token)) as { user_id: string }).user_id,
      email: EMAIL,
      role: 'member',
      session_id: session?.id,
    });
    const ended = await server.request('DELETE', '/logout', undefined, { authorization: `Bearer ${token}` });
    t.is(ended.status, 204);
    t.is(await ended.text(), '');
    t.deepEqual(await server.validate(token), { authenticated: false, code: 'UNAUTHORIZED' });
    t.is(await code(await server.get('/sessions', { token })), '401 UNAUTHORIZED');
    t.is(await code(await server.request('DELETE', '/logout', undefined, { token })), '401 UNAUTHORIZED');
  });

  test(`${name}: uses are noted also when the end of a session can be moved no more`, async (t) => {
    const server = await startAuth(t, engine, { SESSION_IDLE_SECONDS: '100', SESSION_MAX_SECONDS: '150' });
    const token = await server.logIn();
    for (let uses = 0; uses < 2; uses++) {
      server.clock.advance({ seconds: 60 });
      t.like(await server.validate(token), { authenticated: true });
    }
    t.like((await listOf(server, token))[0], { last_used_at: new Date(server.clock.now).toISOString() });
    server.clock.advance({ seconds: 30 });
    t.like(await server.validate(token), { authenticated: false });
  });

  test(`${name}: no session from before a restore is good, and a new one is, by a late clock too`, async (t) => {
    let refusedUntil = 0;
    const server = await startAuth(t, engine, {}, { refusedUntil: () => refusedUntil });
    const before = await server.logIn();
    t.like(await server.validate(before), { authenticated: true });
    refusedUntil = server.clock.now; // the session came back with a part of the database
    t.deepEqual(await server.validate(before), { authenticated: false, code: 'UNAUTHORIZED' });
    refusedUntil = server.clock.now + 60_000;
    const after = await server.logIn();
    t.like(await server.validate(after), { authenticated: true });
  });

  test(`${name}: sessions are listed, ended one by one, and all but the current one`, async (t) => {
    const server = await startAuth(t, engine);
    const first = await server.logIn({ 'user-agent': 'first' });
    server.clock.advance({ seconds: 1 });
    const second = await server.logIn({ 'user-agent': 'second' });
    server.clock.advance({ seconds: 1 });
    const third = await server.logIn({ 'user-agent': 'third' });
    const all = await listOf(server, second);
    t.like(all, [
      { user_agent: 'third', current: false, refreshes: 0 },
      { user_agent: 'second', current: true },
      { user_agent: 'first', current: false },
    ]);
    const [{ id = '' } = {}] = all;
    const end = (id: string, token: string): Promise<Response> =>
      server.request('DELETE', `/sessions/${id}`, undefined, { token });
    t.is((await end(id, second)).status, 204);
    t.is(await code(await end(id, second)), '404 UNKNOWN_ID');
    t.is(await code(await end(`${id}x`, second)), '404 UNKNOWN_ID');
    t.like(await server.validate(third), { authenticated: false });
    t.like(await server.validate(first), { authenticated: true });
    t.is((await server.request('DELETE', '/sessions', undefined, { token: second })).status, 204);
    t.like(await server.validate(first), { authenticated: false });
    t.is((await listOf(server, second)).length, 1);
  });

  test(`${name}: no session of another account is seen or ended`, async (t) => {
    const server = await startAuth(t, engine);
    await server.addAccount('other@example.com');
    const owner = await server.logIn();
    const { token: other } = (await (await server.tryLogIn({ username: 'other@example.com' })).json()) as {
      token: string;
    };
    const [{ id = '' } = {}] = await listOf(server, owner);
    t.is((await listOf(server, other)).length, 1);
    const ended = await server.request('DELETE', `/sessions/${id}`, undefined, { token: other });
    t.is(await code(ended), '404 UNKNOWN_ID');
    await server.request('DELETE', '/sessions', undefined, { token: other });
    t.like(await server.validate(owner), { authenticated: true });
  });

  test(`${name}: whatever the operator does to an account ends its sessions at once`, async (t) => {
    const server = await startAuth(t, engine);
    const { accounts } = server;
    for (const change of [
      () => accounts.resetPassword(EMAIL, PASSWORD),
      () => accounts.disable(EMAIL),
      () => accounts.enable(EMAIL),
      () => accounts.delete(EMAIL),
    ]) {
      await accounts.enable(EMAIL);
      const token = await server.logIn();
      t.like(await server.validate(token), { authenticated: true });
      t.is(await change(), undefined);
      t.like(await server.validate(token), { authenticated: false });
    }
    t.is(await code(await server.tryLogIn()), '401 INVALID_CREDENTIALS');
    await server.addAccount();
    t.is((await server.tryLogIn()).status, 200);
  });

  test(`${name}: a token dies between 0.9 and 1.0 of the idle time after its last validation, to the millisecond`, async (t) => {
    const server = await startAuth(t, engine, { SESSION_IDLE_SECONDS: '30' });
    const { clock } = server;
    const token = await server.logIn();
    const start = clock.now;
    clock.now = start + 2_999; // not written: it still has more than 0.9 of the idle time
    t.like(await server.validate(token), { authenticated: true });
    t.like(await listOf(server, token), [{ refreshes: 0 }]);
    clock.now = start + 29_999;
    t.like(await server.validate(token), { authenticated: true });
    t.like(await listOf(server, token), [{ refreshes: 1 }]);
    clock.now = start + 29_999 + 29_999;
    t.like(await server.validate(token), { authenticated: true });
    clock.now += 30_000;
    t.like(await server.validate(token), { authenticated: false });
    clock.now -= 1;
    t.like(await server.validate(token), { authenticated: true });
  });

  test(`${name}: however often a token is used, its session is written once per tenth of the idle time`, async (t) => {
    const server = await startAuth(t, engine, { SESSION_IDLE_SECONDS: '30' });
    const token = await server.logIn();
    for (let step = 0; step < 300; step++) {
      server.clock.now += 200;
      t.like(await server.validate(token), { authenticated: true });
    }
    t.like(await listOf(server, token), [{ refreshes: 20 }]); // 60 s, one per 3 s
  });

  test(`${name}: it ends ${MAX_SECONDS} s after log-in whatever it is used`, async (t) => {
    const server = await startAuth(t, engine, { SESSION_IDLE_SECONDS: '1800' });
    const token = await server.logIn();
    const start = server.clock.now;
    for (let step = 1; step <= 24; step++) {
      server.clock.now = start + step * 1_799_000;
      t.like(await server.validate(token), { authenticated: true });
    }
    server.clock.now = start + MAX_SECONDS * 1000 - 1;
    t.like(await server.validate(token), { authenticated: true });
    t.like(await listOf(server, token), [{ expires_at: new Date(start + MAX_SECONDS * 1000).toISOString() }]);
    server.clock.now += 1;
    t.like(await server.validate(token), { authenticated: false });
  });

  test(`${name}: a clock that is set back lets no token live longer than the idle time`, async (t) => {
    const server = await startAuth(t, engine, { SESSION_IDLE_SECONDS: '30' });
    const token = await server.logIn();
    server.clock.now -= 3_600_000;
    t.like(await server.validate(token), { authenticated: true });
    server.clock.now += 30_000;
    t.like(await server.validate(token), { authenticated: false });
  });

  test(`${name}: with SINGLE_SESSION the last log-in stands alone, also of 10 at once`, async (t) => {
    const server = await startAuth(t, engine, { SINGLE_SESSION: 'true' });
    const first = await server.logIn();
    const second = await server.logIn();
    t.like(await server.validate(first), { authenticated: false });
    t.like(await server.validate(second), { authenticated: true });
    const tokens = await Promise.all(Array.from({ length: 10 }, () => server.logIn()));
    const known = await Promise.all(tokens.map((token) => server.validate(token)));
    t.is(known.filter(({ authenticated }) => authenticated).length, 1);
  });

  test(`${name}: the hundred-and-first session ends the oldest`, async (t) => {
    const server = await startAuth(t, engine);
    const tokens: string[] = [];
    for (let count = 0; count < 101; count++) {
      tokens.push(await server.logIn());
      server.clock.now += 1;
    }
    t.like(await server.validate(tokens[0] as string), { authenticated: false });
    t.like(await server.validate(tokens[1] as string), { authenticated: true });
    t.is((await listOf(server, tokens[100] as string)).length, 100);
  });
}

async function refusedEverywhere(t: ExecutionContext, server: AuthServer, headers: Record<string, string>) {
  for (const [method, path] of [
    ['GET', '/sessions'],
    ['DELETE', '/sessions'],
    ['DELETE', '/sessions/x'],
    ['DELETE', '/logout'],
    ['GET', '/session_cookie_experiment'],
  ] as const) {
    const response = await server.request(method, path, undefined, headers);
    t.is(await code(response), '401 UNAUTHORIZED', `${method} ${path}`);
    t.is(response.headers.get('www-authenticate'), 'Bearer');
  }
}

test('anything but a living token is 401', async (t) => {
  const server = await startAuth(t, SQLITE);
  const token = await server.logIn();
  const { secret_key } = await server.create({ secret: 's' });
  for (const bad of [
    `${token}x`,
    token.slice(0, -1),
    token.toUpperCase(),
    token.replace('hushbox_', ''),
    ` ${token.slice(0, 20)}`,
    `hushbox_${'A'.repeat(43)}`,
    secret_key,
    'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.',
    '{"$ne":""}',
  ]) {
    await refusedEverywhere(t, server, { token: bad });
    await refusedEverywhere(t, server, { authorization: `Bearer ${bad}` });
    const isForeign = !bad.startsWith('hushbox_');
    const refusal = { authenticated: false, code: 'UNAUTHORIZED', ...(isForeign && { is_ours: false }) };
    t.deepEqual(await server.validate(bad), refusal);
  }
  await refusedEverywhere(t, server, {});
  await refusedEverywhere(t, server, { token: '' });
  await refusedEverywhere(t, server, { authorization: token });
  await refusedEverywhere(t, server, { authorization: `Basic ${Buffer.from(`x:${token}`).toString('base64')}` });
  await refusedEverywhere(t, server, { cookie: `token=${token}` });
  t.like(await server.validate(token), { authenticated: true });
});

test('a token under both headers counts if they agree, and is 401 if they differ', async (t) => {
  const server = await startAuth(t, SQLITE);
  const [one, other] = [await server.logIn(), await server.logIn()];
  t.is((await server.get('/sessions', { token: one, authorization: `Bearer ${one}` })).status, 200);
  await refusedEverywhere(t, server, { token: one, authorization: `Bearer ${other}` });
  await refusedEverywhere(t, server, { token: one, authorization: `Bearer x` });
  t.is((await server.get('/sessions', { authorization: `bearer ${one}` })).status, 200);
});

test('two different tokens in one header are none', async (t) => {
  const server = await startAuth(t, SQLITE);
  const [token, other] = [await server.logIn(), await server.logIn()];
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(server.port, '127.0.0.1');
    const head = `GET /sessions HTTP/1.1\r\nhost: localhost\r\ntoken: ${token}\r\ntoken: ${other}\r\n\r\n`;
    socket.once('data', (bytes) => {
      resolve(String(bytes));
      socket.destroy();
    });
    socket.write(head);
  });
  t.regex(answer, /^HTTP\/1\.1 401 /);
});

test('/validateToken is internal: the public listener has no such path, whatever comes with it', async (t) => {
  const server = await startAuth(t, SQLITE);
  const token = await server.logIn();
  for (const path of ['/validateToken', '/validateToken/', '//validateToken']) {
    t.is(await code(await server.post(path, { token }, { token })), '404 NOT_FOUND');
    t.is(await code(await server.get(path)), '404 NOT_FOUND');
  }
  t.is(await code(await server.internal.get('/validateToken')), '405 METHOD_NOT_ALLOWED');
});

test('/validateToken wants INTERNAL_TOKEN where one is set', async (t) => {
  const server = await startAuth(t, SQLITE, { INTERNAL_TOKEN: 'a-token-between-services' });
  const token = await server.logIn();
  t.is(await code(await server.internal.post('/validateToken', { token })), '401 UNAUTHORIZED');
  const headers = { authorization: 'Bearer a-token-between-services' };
  t.like(await server.validate(token, {}, headers), { authenticated: true });
});

test('/validateToken takes a strict body, with text alone', async (t) => {
  const server = await startAuth(t, SQLITE);
  const token = await server.logIn();
  for (const body of [
    {},
    { token: { $ne: '' } },
    { token: [token] },
    { token: 1 },
    { token, role: 'admin' },
    { token, cookie: { $gt: '' } },
    { token, dpop: 'x' },
    { token, dpop: { proof: { $ne: '' }, method: 'GET', url: 'http://x/' } },
    { token, dpop: { proof: 'x', method: 'GET' } },
  ]) {
    t.is(await code(await server.internal.post('/validateToken', body)), '400 INVALID_REQUEST', JSON.stringify(body));
  }
});

test('while the storage is away nobody is logged in, and no token is good', async (t) => {
  const server = await startAuth(t, SQLITE);
  const token = await server.logIn();
  await server.storage.close();
  for (const answer of [
    await server.tryLogIn(),
    await server.get('/sessions', { token }),
    await server.request('DELETE', '/logout', undefined, { token }),
    await server.internal.post('/validateToken', { token }),
  ]) {
    t.truthy(answer.headers.get('retry-after'));
    t.is(await code(answer), '503 STORAGE_UNAVAILABLE');
  }
});

test('while it is unknown whether the database was restored, no token is good', async (t) => {
  let isKnown = true;
  const refusedUntil = (): number => {
    if (!isKnown) throw new AppError('STORAGE_UNAVAILABLE', { retryAfterSeconds: 1 });
    return 0;
  };
  const server = await startAuth(t, SQLITE, {}, { refusedUntil });
  const token = await server.logIn();
  isKnown = false;
  t.is(await code(await server.tryLogIn()), '503 STORAGE_UNAVAILABLE');
  t.is(await code(await server.get('/sessions', { token })), '503 STORAGE_UNAVAILABLE');
  t.is(await code(await server.internal.post('/validateToken', { token })), '503 STORAGE_UNAVAILABLE');
  isKnown = true;
  t.like(await server.validate(token), { authenticated: true });
});

test('log-in and log-out work while the storage is full', async (t) => {
  const server = await startAuth(t, SQLITE, {}, { storeLimits: { maxBytes: 20_000 } });
  for (let count = 0; count < 30; count++) await server.post('/generate', { secret: 'x'.repeat(2_000) });
  t.is((await server.post('/generate', { secret: 'x'.repeat(2_000) })).status, 507);
  const token = await server.logIn();
  t.is((await server.request('DELETE', '/logout', undefined, { token })).status, 204);
});

test('what happens to sessions is audited and counted, with ids and without the address', async (t) => {
  const server = await startAuth(t, SQLITE);
  const token = await server.logIn();
  const other = await server.logIn();
  const [{ id = '' } = {}] = await listOf(server, token);
  const { user_id } = await server.validate(token);
  await server.tryLogIn({ password: 'another password' });
  await server.tryLogIn({ username: 'nobody@example.com' });
  await server.logIn();
  const [{ id: third } = { id: '' }] = await listOf(server, token);
  await server.request('DELETE', `/sessions/${third}`, undefined, { token });
  await server.request('DELETE', '/sessions', undefined, { token });
  await server.request('DELETE', '/logout', undefined, { token });
  t.like(await server.validate(other), { authenticated: false });
  const events = server
    .logged()
    .split('\n')
    .filter((line) => line.includes('"audit"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.deepEqual(
    events.map(({ audit, account }) => [audit, account]),
    [
      ['session.created', user_id],
      ['session.created', user_id],
      ['login.refused', user_id],
      ['login.refused', undefined],
      ['session.created', user_id],
      ['session.ended', user_id],
      ['session.others_ended', user_id],
      ['session.ended', user_id],
    ],
  );
  t.true(events.some(({ session }) => session === id));
  t.notRegex(server.logged(), /owner@|nobody@/);
  t.true(server.metrics().includes('hushbox_logins_total{result="succeeded"} 3'));
  t.true(server.metrics().includes('hushbox_logins_total{result="refused"} 2'));
  t.true(server.metrics().includes('hushbox_session_ends_total{reason="ended"} 2'));
});
