import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { startServer, type TestServer } from '../support/http/server.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { blackBoxSuite, expectError, expectGone, expectSecret, header, receiptOf } from './black-box.ts';

for (const { name, test, place } of ENGINES) {
  const start = async (
    t: ExecutionContext,
    options: Partial<Parameters<typeof startServer>[1]> = {},
  ): Promise<TestServer> => startServer(t, { place: await place(t), ...options });

  blackBoxSuite(name, test, async (t) => {
    const api = await start(t);
    const isAt = (instant: string, seconds: number): void =>
      void t.is(Date.parse(instant) - api.clock.now, seconds * 1000);
    return { api, isAt };
  });

  test(`${name}: expired keys and those that cannot be decoded are answered as unknown ones`, async (t) => {
    const server = await start(t);
    const expired = await server.create({ secret: 's', ttl: { minutes: 1 } });
    server.clock.advance({ minutes: 1 });
    for (const key of [expired.secret_key, '%00', '%e0%a4%a']) {
      for (const method of ['GET', 'POST']) {
        const answer = await expectGone(t, await server.request(method, `/secrets/${key}`));
        t.is(answer.Error, 'Key not found');
        t.deepEqual(Object.keys(answer), ['Error', 'code', 'request_id']);
      }
      for (const method of ['GET', 'DELETE']) await expectGone(t, await server.request(method, `/receipts/${key}`));
    }
  });

  test(`${name}: ten wrong tries, then one an hour; a right one costs none and guessing destroys nothing`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key } = await server.create({ secret: 's', phrase: 'right', receipt: true });
    const path = `/secrets/${secret_key}`;
    const guess = (phrase = 'wrong'): Promise<Response> => server.post(path, { phrase });
    for (let left = 9; left >= 0; left--) {
      t.like(await expectError(t, await guess(), 403, 'WRONG_PHRASE'), { tries_left: left });
    }
    const refused = await guess();
    t.is(refused.headers.get('retry-after'), '3600');
    await expectError(t, refused, 429, 'TOO_MANY_TRIES');
    await expectError(t, await guess('right'), 429, 'TOO_MANY_TRIES');
    await expectError(t, await server.post(path), 403, 'PHRASE_REQUIRED');
    await expectError(t, await guess('x'.repeat(1025)), 400, 'INVALID_REQUEST');
    server.clock.advance({ minutes: 59, seconds: 59 });
    const almost = await guess();
    t.is(almost.headers.get('retry-after'), '1');
    await expectError(t, almost, 429, 'TOO_MANY_TRIES');
    server.clock.advance({ seconds: 1 });
    t.like(await expectError(t, await guess(), 403, 'WRONG_PHRASE'), { tries_left: 0 });
    await expectError(t, await guess(), 429, 'TOO_MANY_TRIES');
    t.like(await receiptOf(server, receipt_key), { state: 'waiting', wrong_tries: 11, reads: 0 });
    server.clock.advance({ hours: 24 });
    t.like(await expectError(t, await guess(), 403, 'WRONG_PHRASE'), { tries_left: 9 });
    await expectSecret(t, await guess('right'), 's');
    t.like(await receiptOf(server, receipt_key), { state: 'read', wrong_tries: 12, reads: 1 });
  });

  test(`${name}: the reread window ends to the millisecond, and is not shortened by expiry`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's', ttl: { minutes: 1 } });
    const path = `/secrets/${secret_key}`;
    const mine = header();
    server.clock.advance({ seconds: 59.999 });
    await expectSecret(t, await server.post(path, {}, mine), 's');
    server.clock.advance({ seconds: 59.999 });
    await expectSecret(t, await server.post(path, {}, mine), 's');
    server.clock.advance({ seconds: 0.001 });
    await expectGone(t, await server.post(path, {}, mine));
  });

  test(`${name}: a reread survives a restart`, async (t) => {
    const shared = await place(t);
    const masterKeys = [randomBytes(32)] as [Buffer];
    const first = await startServer(t, { place: shared, masterKeys });
    const { secret_key } = await first.create({ secret: 's', phrase: 'p' });
    const mine = header();
    await expectSecret(t, await first.post(`/secrets/${secret_key}`, { phrase: 'p' }, mine), 's');
    await first.storage.close();
    const second = await startServer(t, { place: shared, masterKeys, clock: first.clock });
    await expectSecret(t, await second.post(`/secrets/${secret_key}`, { phrase: 'p' }, mine), 's');
  });

  test(`${name}: a secret expires at its instant, and its receipt says so for seven days`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key, expires_at } = await server.create({
      secret: 's',
      ttl: { minutes: 1 },
      receipt: true,
    });
    const created_at = new Date(server.clock.now).toISOString();
    server.clock.advance({ seconds: 59.999 });
    t.is((await server.get(`/secrets/${secret_key}`)).status, 200);
    t.deepEqual(await receiptOf(server, receipt_key), {
      state: 'waiting',
      created_at,
      expires_at,
      wrong_tries: 0,
      reads: 0,
    });
    server.clock.advance({ seconds: 0.001 });
    await expectGone(t, await server.get(`/secrets/${secret_key}`));
    await expectGone(t, await server.post(`/secrets/${secret_key}`));
    const expired = { state: 'expired', created_at, expires_at, ended_at: expires_at, wrong_tries: 0, reads: 0 };
    t.deepEqual(await receiptOf(server, receipt_key), expired);
    await expectError(t, await server.request('DELETE', `/receipts/${receipt_key}`), 409, 'NOT_WAITING');
    await server.storage.secrets.sweep(server.clock.now + 1000, 100, 0);
    t.deepEqual(await receiptOf(server, receipt_key), expired);
    server.clock.advance({ days: 7, seconds: -0.001 });
    t.deepEqual(await receiptOf(server, receipt_key), expired);
    server.clock.advance({ seconds: 0.001 });
    await expectGone(t, await server.get(`/receipts/${receipt_key}`));
    await expectGone(t, await server.request('DELETE', `/receipts/${receipt_key}`));
  });

  test(`${name}: a receipt burns a waiting secret, once`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key, expires_at } = await server.create({ secret: 's', phrase: 'p', receipt: true });
    const created_at = new Date(server.clock.now).toISOString();
    server.clock.advance({ minutes: 5 });
    const burned = await server.request('DELETE', `/receipts/${receipt_key}`);
    t.deepEqual([burned.status, await burned.text()], [204, '']);
    await expectGone(t, await server.post(`/secrets/${secret_key}`, { phrase: 'p' }));
    await expectGone(t, await server.get(`/secrets/${secret_key}`));
    const ended_at = new Date(server.clock.now).toISOString();
    t.deepEqual(await receiptOf(server, receipt_key), {
      state: 'burned',
      created_at,
      expires_at,
      ended_at,
      wrong_tries: 0,
      reads: 0,
    });
    await expectError(t, await server.request('DELETE', `/receipts/${receipt_key}`), 409, 'NOT_WAITING');
  });

  test(`${name}: without the master key a secret is refused and not used up`, async (t) => {
    const shared = await place(t);
    const [older, newer] = [randomBytes(32), randomBytes(32)];
    const before = await startServer(t, { place: shared, masterKeys: [older] });
    const { secret_key } = await before.create({ secret: 's', phrase: 'p' });
    const read = (server: TestServer): Promise<Response> => server.post(`/secrets/${secret_key}`, { phrase: 'p' });
    const without = await startServer(t, { place: shared, masterKeys: [newer], clock: before.clock });
    const refused = await read(without);
    t.truthy(refused.headers.get('retry-after'));
    await expectError(t, refused, 503, 'MASTER_KEY_UNAVAILABLE');
    const rotated = await startServer(t, { place: shared, masterKeys: [newer, older], clock: before.clock });
    await expectSecret(t, await read(rotated), 's');
  });

  test(`${name}: nothing that was logged holds a secret, a phrase, a key or a header`, async (t) => {
    const server = await start(t);
    const words = { secret: 'Xyzzy-secret-Xyzzy', phrase: 'Plugh-phrase-Plugh' };
    const mine = { 'idempotency-key': 'Frotz-header-Frotz-header' };
    const { secret_key, receipt_key } = await server.create({ ...words, receipt: true });
    await server.post('/generate', `{"secret":"${words.secret}`);
    await server.post('/generate', { [words.secret]: words.phrase });
    await server.post(`/secrets/${secret_key}`, { phrase: `${words.phrase}!` }, mine);
    await server.post(`/secrets/${secret_key}`, { phrase: words.phrase }, mine);
    await server.post(`/secrets/${secret_key}/${words.secret}`, { phrase: words.phrase });
    await server.get(`/receipts/${receipt_key}?${words.secret}`);
    const logged = server.logged();
    t.true(logged.includes('/secrets/:key'));
    for (const word of [...Object.values(words), ...Object.values(mine), secret_key, receipt_key])
      t.false(logged.includes(word));
  });
}
