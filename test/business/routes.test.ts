import { createHash } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { type LoggedIn, logInAt } from '../support/auth/log-in.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { many } from '../support/storage/many.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { startReceiver } from '../support/webhooks/receiver.ts';

type Customer = { id: string; name: string; dob: string; updated_at: string };
type World = TestServer & {
  me: LoggedIn;
  /** As somebody who is logged in. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  add(given?: Partial<Customer>): Promise<Customer>;
  list(query?: string): Promise<Customer[]>;
};

const ROUTES: readonly [method: string, path: string, body?: object][] = [
  ['GET', '/data'],
  ['GET', '/customers'],
  ['GET', '/customers?numbers=1'],
  ['POST', '/customers/create', { name: 'n', dob: '2000-01-01' }],
  ['POST', '/customers/update', { id: 'x', name: 'n' }],
  ['DELETE', '/customers/delete?id=x'],
];

for (const { name: engine, test, place } of ENGINES) {
  const start = async (t: ExecutionContext, options: Omit<TestServerOptions, 'place'> = {}): Promise<World> => {
    const server = await startServer(t, { place: await place(t), ...options });
    const me = await logInAt(server.storage, server.clock.now);
    const ask: World['ask'] = (method, path, body, headers = {}) =>
      server.request(method, path, body, { token: me.token, ...headers });
    return {
      ...server,
      ...{ me, ask },
      async add(given = {}) {
        const response = await ask('POST', '/customers/create', { name: 'somebody', dob: '1999-12-31', ...given });
        if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
        return (await response.json()) as Customer;
      },
      list: async (query = '') => (await ask('GET', `/customers${query}`)).json() as Promise<Customer[]>,
    };
  };

  async function isError(t: ExecutionContext, response: Response, status: number, code: string): Promise<string> {
    const body = (await response.json()) as { Error: string; code: string };
    t.is(response.status, status, JSON.stringify(body));
    t.is(body.code, code);
    return body.Error;
  }

  test(`${engine}: business: every route needs a token that is good`, async (t) => {
    const { request, me, storage, clock } = await start(t);
    const other = await logInAt(storage, clock.now);
    await storage.sessions.end({ id: other.sessionId, accountId: other.accountId });
    const bad: Record<string, string>[] = [
      {},
      { token: '' },
      { token: 'x' },
      { token: other.token },
      { token: me.token.slice(0, -1) },
      { token: `${me.token}x` },
      { authorization: me.token },
      { authorization: `Basic ${me.token}` },
      { cookie: `token=${me.token}` },
      { token: me.token, authorization: `Bearer ${other.token}` },
      { authorization: `DPoP ${me.token}` },
      { authorization: `DPoP ${me.token}`, dpop: 'x' },
    ];
    for (const [method, path, body] of ROUTES) {
      for (const headers of bad) {
        const response = await request(method, path, body, headers);
        await isError(t, response, 401, 'UNAUTHORIZED');
        const scheme = headers.authorization?.startsWith('DPoP') ? 'DPoP' : 'Bearer';
        t.is(response.headers.get('www-authenticate')?.split(' ')[0], scheme);
      }
    }
    // Before anything about the request is judged.
    await isError(t, await request('POST', '/customers/create', 'x'), 401, 'UNAUTHORIZED');
    t.deepEqual(await storage.customers.listCustomers(undefined, 10), []);
    for (const headers of [{ token: me.token }, { authorization: `bearer ${me.token}` }]) {
      t.is((await request('GET', '/data', undefined, headers as Record<string, string>)).status, 200);
    }
  });

  test(`${engine}: business: data says whose token it is`, async (t) => {
    const { ask, me } = await start(t);
    t.deepEqual(await (await ask('GET', '/data/')).json(), { data: { email: me.email, role: 'member' } });
  });

  test(`${engine}: business: a customer is created, changed, listed and deleted`, async (t) => {
    const { ask, add, list, clock } = await start(t);
    t.deepEqual(await list(), []);
    const created = await add({ name: 'Роман', dob: '2000-02-29' });
    t.deepEqual(Object.keys(created), ['id', 'name', 'dob', 'updated_at']);
    t.like(created, { name: 'Роман', dob: '2000-02-29', updated_at: new Date(clock.now).toISOString() });
    clock.advance({ minutes: 1 });
    const updated = await ask('POST', '/customers/update', { id: created.id, dob: '1999-01-01' });
    t.is(updated.status, 200);
    const now = { ...created, dob: '1999-01-01', updated_at: new Date(clock.now).toISOString() };
    t.deepEqual(await updated.json(), now);
    const renamed = await ask('POST', '/customers/update', { id: created.id, name: '山田' });
    t.deepEqual(await renamed.json(), { ...now, name: '山田' });
    t.deepEqual(await list(), [{ ...now, name: '山田' }]);
    const deleted = await ask('DELETE', `/customers/delete?id=${created.id}`);
    t.is(deleted.status, 204);
    t.is(await deleted.text(), '');
    for (const response of [
      await ask('DELETE', `/customers/delete?id=${created.id}`),
      await ask('POST', '/customers/update', { id: created.id, name: 'x' }),
      await ask('DELETE', '/customers/delete?id='),
      await ask('DELETE', `/customers/delete?id=${'x'.repeat(5000)}`),
      await ask('POST', '/customers/update', { id: '' }),
      await ask('POST', '/customers/update', { id: '$ne', name: 'x' }),
    ]) {
      await isError(t, response, 404, 'UNKNOWN_ID');
    }
    t.deepEqual(await list(), []);
  });

  test(`${engine}: business: names of any script come back byte for byte`, async (t) => {
    const { add, list } = await start(t);
    const names = [
      'Роман Романов',
      '山田 太郎',
      'عمر بن',
      'e\u0301',
      '\u00e9',
      ' a ',
      'a\u0000b',
      '🔑'.repeat(200),
      '{"$ne":""}',
    ];
    for (const name of names) t.is((await add({ name })).name, name);
    t.deepEqual((await list()).map(({ name }) => name).sort(), names.toSorted());
  });

  test(`${engine}: business: what is no name and no date of birth is refused, and nothing is stored`, async (t) => {
    const { ask, add, list } = await start(t);
    const { id, ...there } = await add();
    const odd = [null, 1, true, [], {}, ['x'], { $ne: '' }, { $gt: '' }, { $regex: '.*' }, { $where: '1' }];
    const wrong: object[] = [
      ...['', ' ', '\u200b', 'x'.repeat(201), '🔑'.repeat(201), ...odd].map((name) => ({ name, dob: '2000-01-01' })),
      ...['', '2024-02-30', '2000-1-1', '01.01.2000', '2066-01-03', '2000-01-01T00:00:00Z', ...odd].map((dob) => ({
        name: 'n',
        dob,
      })),
    ];
    for (const body of wrong) {
      await isError(t, await ask('POST', '/customers/create', body), 400, 'INVALID_REQUEST');
      await isError(t, await ask('POST', '/customers/update', { id, ...body }), 400, 'INVALID_REQUEST');
    }
    for (const value of [...odd, '\ud800']) {
      await isError(t, await ask('POST', '/customers/update', { id: value, name: 'n' }), 400, 'INVALID_REQUEST');
    }
    for (const body of [
      {},
      { name: 'n' },
      { dob: '2000-01-01' },
      { name: 'n', dob: '2000-01-01', id: 'x' },
      { name: 'n', dob: '2000-01-01', updated_at: '2000-01-01T00:00:00Z' },
      { name: 'n', dob: '2000-01-01', role: 'admin' },
      '{"name":"\\ud800","dob":"2000-01-01"}',
      '[]',
      'x',
    ]) {
      await isError(t, await ask('POST', '/customers/create', body), 400, 'INVALID_REQUEST');
    }
    await isError(
      t,
      await ask('POST', '/customers/create', { name: 'x'.repeat(20_000), dob: '2000-01-01' }),
      413,
      'TOO_LARGE',
    );
    for (const query of ['id[$ne]=', 'id[]=x', 'id=x&id=y', 'x=y', '', 'id=x&all=true']) {
      await isError(t, await ask('DELETE', `/customers/delete?${query}`), 400, 'INVALID_REQUEST');
    }
    t.deepEqual(await list(), [{ id, ...there }]);
  });

  test(`${engine}: business: the youngest come first, of one day the one created last`, async (t) => {
    const { ask, add, list, clock } = await start(t);
    const all: Customer[] = [];
    for (const dob of ['2000-01-01', '1980-05-05', '2000-01-01', '2024-02-29', '1999-12-31']) {
      all.push(await add({ dob }));
      clock.advance({ seconds: 1 });
    }
    const expected = [3, 2, 0, 4, 1].map((n) => all[n]);
    t.deepEqual(await list('?numbers=1000'), expected as Customer[]);
    t.deepEqual(await list('?numbers=2'), expected.slice(0, 2) as Customer[]);
    for (const numbers of ['0', '1001', '-1', '1.0', '1e2', '', '01', ' 1', '+1', 'x', '10000', '١']) {
      await isError(t, await ask('GET', `/customers?numbers=${encodeURIComponent(numbers)}`), 400, 'INVALID_REQUEST');
    }
    for (const query of [
      'numbers=1&numbers=2',
      'numbers[$gt]=1',
      'numbers=1&limit=1',
      `numbers=1&after=${all[0]?.id}`,
      'x=1',
    ]) {
      await isError(t, await ask('GET', `/customers?${query}`), 400, 'INVALID_REQUEST');
    }
  });

  test(`${engine}: business: more than a page is read page by page, by the links of the answers`, async (t) => {
    const { request, me, ask, add, clock, base } = await start(t);
    const all: Customer[] = [];
    for (let left = 7; left > 0; left--) {
      all.push(await add());
      clock.advance({ seconds: 1 });
    }
    const seen: Customer[] = [];
    const lengths: number[] = [];
    for (let next: string | undefined = '/customers?limit=3'; next !== undefined; ) {
      const response: Response = await request('GET', next, undefined, { token: me.token });
      const page = (await response.json()) as Customer[];
      seen.push(...page);
      lengths.push(page.length);
      const link = response.headers.get('link');
      const [, url] = /^<([^<>]+)>; rel="next"$/.exec(link ?? '') ?? [];
      t.is(link === null, url === undefined);
      t.true(url === undefined || url.startsWith(`${base}/customers?`));
      next = url?.slice(base.length);
    }
    t.deepEqual(lengths, [3, 3, 1]);
    t.deepEqual(seen, all);
    const whole = await ask('GET', '/customers?limit=7');
    t.is(whole.headers.get('link'), null, 'nothing comes after the last one');
    t.deepEqual(await whole.json(), all);
    for (const query of [
      'limit=0',
      'limit=1001',
      'limit=x',
      'after=',
      'after=x',
      'after[$ne]=',
      `after=${'0'.repeat(33)}`,
    ]) {
      await isError(t, await ask('GET', `/customers?${query}`), 400, 'INVALID_REQUEST');
    }
  });

  test(`${engine}: business: without a limit a thousand come, and then the rest`, async (t) => {
    const { storage, ask, request, me, base } = await start(t);
    const ids = Array.from({ length: 1005 }, (_, n) => n.toString(16).padStart(32, '0'));
    for (const id of ids) {
      await storage.customers.createCustomer({ id, name: 'n', dob: '2000-01-01', updatedAt: 0 });
    }
    const first = await ask('GET', '/customers');
    const page = (await first.json()) as Customer[];
    const next = /<(.+)>/.exec(first.headers.get('link') ?? '')?.[1]?.slice(base.length) ?? '';
    const rest = (await (await request('GET', next, undefined, { token: me.token })).json()) as Customer[];
    t.is(page.length, 1000);
    t.deepEqual(
      [...page, ...rest].map(({ id }) => id),
      ids,
    );
    t.is(((await (await ask('GET', '/customers?numbers=1000')).json()) as Customer[]).length, 1000);
  });

  test(`${engine}: business: changes are audited by ids, and say nothing of a customer`, async (t) => {
    const { ask, add, me, logged, metrics } = await start(t);
    const { id } = await add({ name: 'Unmistakable', dob: '1987-06-05' });
    await ask('POST', '/customers/update', { id, name: 'Unmistakable too' });
    await ask('DELETE', `/customers/delete?id=${id}`);
    const audited = logged()
      .split('\n')
      .filter((line) => line.includes('"audit":"customer.'))
      .map((line) => JSON.parse(line) as Record<string, string>);
    t.deepEqual(
      audited.map(({ audit }) => audit),
      ['customer.created', 'customer.updated', 'customer.deleted'],
    );
    for (const { customer, account, requestId } of audited) {
      t.deepEqual([customer, account], [id, me.accountId]);
      t.regex(requestId ?? '', /^[\w-]{36}$/);
    }
    for (const text of ['Unmistakable', '1987', me.email]) t.false((logged() + metrics()).includes(text), text);
    for (const change of ['created', 'updated', 'deleted']) {
      t.true(metrics().includes(`hushbox_customers_changed_total{change="${change}"} 1`));
    }
  });

  test(`${engine}: business: when the store is full, creating is 507 and the rest goes on`, async (t) => {
    const { ask, list, me } = await start(t, { storeLimits: { maxBytes: 30_000 } });
    const create = () => ask('POST', '/customers/create', { name: 'x'.repeat(200), dob: '2000-01-01' });
    let response = await create();
    const { id } = (await response.json()) as Customer;
    for (let left = 200; left > 0 && response.status === 201; left--) response = await create();
    for (let left = 200; left > 0 && response.status !== 507; left--) response = await create();
    await isError(t, response, 507, 'STORAGE_FULL');
    t.true(Number(response.headers.get('retry-after')) >= 1);
    await isError(t, await ask('POST', '/customers/update', { id, name: '🔑'.repeat(200) }), 507, 'STORAGE_FULL');
    t.is((await ask('POST', '/customers/update', { id, name: 'y' })).status, 200);
    t.true((await list()).some((customer) => customer.id === id));
    t.is((await ask('GET', '/data', undefined, { token: me.token })).status, 200);
    t.is((await ask('DELETE', `/customers/delete?id=${id}`)).status, 204);
  });

  test(`${engine}: business: a session has 300 requests a minute for customers, and others have theirs`, async (t) => {
    const { ask, request, storage, clock } = await start(t, { env: { LIMITS: 'on' } });
    const all = await many(310, () => ask('GET', '/customers?numbers=1'));
    t.is(all.filter(({ status }) => status === 200).length, 300);
    const refused = all.filter(({ status }) => status === 429);
    t.is(refused.length, 10);
    t.is(refused[0]?.headers.get('retry-after'), '1');
    for (const [method, path, body] of ROUTES.slice(1)) {
      await isError(t, await ask(method, path, body), 429, 'RATE_LIMITED');
    }
    t.is((await ask('GET', '/data')).status, 200);
    const other = await logInAt(storage, clock.now);
    t.is((await request('GET', '/customers', undefined, { token: other.token })).status, 200);
    clock.advance({ seconds: 60 });
    t.is((await ask('GET', '/customers')).status, 200);
  });

  test(`${engine}: business: bad tokens of one network are limited, and lock nobody out`, async (t) => {
    const { ask, request, clock } = await start(t, { env: { LIMITS: 'on' } });
    const bad = () => request('GET', '/data', undefined, { token: 'not-good' });
    const all = await many(310, bad);
    t.is(all.filter(({ status }) => status === 401).length, 300);
    t.is(all.filter(({ status }) => status === 429).length, 10);
    await isError(t, await bad(), 429, 'RATE_LIMITED');
    await isError(t, await request('GET', '/data'), 401, 'UNAUTHORIZED');
    t.is((await ask('GET', '/data')).status, 200);
    clock.advance({ seconds: 60 });
    await isError(t, await bad(), 401, 'UNAUTHORIZED');
  });

  test(`${engine}: business: LIMITS=off lifts both`, async (t) => {
    const { ask, request } = await start(t);
    const all = await many(310, () => ask('GET', '/customers?numbers=1'));
    t.true(all.every(({ status }) => status === 200));
    const bad = await many(310, () => request('GET', '/data', undefined, { token: 'not-good' }));
    t.true(bad.every(({ status }) => status === 401));
  });

  test(`${engine}: business: a proof is of the method and the URL that the client used`, async (t) => {
    const { request, storage, clock, base } = await start(t);
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const jwk = await exportJWK(publicKey);
    const { token } = await logInAt(storage, clock.now, { keyThumbprint: await calculateJwkThumbprint(jwk) });
    const proofOf = (htm: string, htu: string): Promise<string> =>
      new SignJWT({ htm, htu, jti: crypto.randomUUID(), ath: createHash('sha256').update(token).digest('base64url') })
        .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
        .setIssuedAt(clock.now / 1000)
        .sign(privateKey);
    const get = async (path: string, dpop: string, scheme = 'DPoP'): Promise<number> =>
      (await request('GET', path, undefined, { authorization: `${scheme} ${token}`, dpop })).status;
    const right = await proofOf('GET', `${base}/customers`);
    t.is(await get('/customers?numbers=1', right), 200);
    t.is(await get('/customers?numbers=1', right), 401, 'used before');
    t.is(await get('/customers', await proofOf('POST', `${base}/customers`)), 401);
    t.is(await get('/customers', await proofOf('GET', `${base}/data`)), 401);
    t.is(await get('/customers', await proofOf('GET', `${base}/customers`), 'Bearer'), 401);
    t.is(await get('/data', await proofOf('GET', `${base}/data`)), 200);
  });

  test(`${engine}: the proxy signs for whoever is logged in, and for nobody whose token is not good`, async (t) => {
    const { request, me, storage, clock } = await start(t, { env: { EGRESS_ALLOW: '127.0.0.1' } });
    const receiver = await startReceiver(t);
    const userOf = async (headers: Record<string, string>): Promise<unknown> => {
      const { status } = await request('POST', '/proxy/', 'x', { destination: receiver.url, ...headers });
      const call = receiver.calls.pop();
      if (!call) return status;
      for (const name of ['token', 'authorization', 'dpop', 'cookie']) t.is(call.headers[name], undefined, name);
      const [, claims = ''] = String(call.headers['x-my-jwt']).split('.');
      return JSON.parse(Buffer.from(claims, 'base64url').toString()).payload.user;
    };
    t.is(await userOf({}), 'username');
    t.is(await userOf({ token: me.token }), me.email);
    t.is(await userOf({ authorization: `Bearer ${me.token}` }), me.email);
    t.is(await userOf({ token: 'somebody-elses-token' }), 'username');
    t.is(await userOf({ authorization: 'Basic dXNlcjpwYXNz' }), 'username');
    t.is(await userOf({ authorization: 'Bearer a.jwt.of-others', token: me.token }), me.email);
    t.is(await userOf({ token: `hushbox_${'x'.repeat(43)}` }), 401);
    t.is(await userOf({ token: 'hushbox_x' }), 401);
    t.is(await userOf({ authorization: `Bearer ${me.token}x` }), 401);
    t.is(await userOf({ authorization: me.token }), 401);
    const other = await logInAt(storage, clock.now);
    t.is(await userOf({ token: me.token, authorization: `Bearer ${other.token}` }), 401);
    await storage.sessions.end({ id: me.sessionId, accountId: me.accountId });
    t.is(await userOf({ token: me.token }), 401);
    const own = await request('POST', '/proxy/', 'x', { token: other.token });
    t.like(await own.json(), { payload: { user: other.email } });
  });
}
