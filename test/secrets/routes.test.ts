import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { startServer, type TestServer } from '../support/server.ts';
import { ENGINES } from '../support/storage.ts';

type Answer = Record<string, unknown> & { code?: string };
const header = (): Record<string, string> => ({ 'idempotency-key': randomBytes(16).toString('base64url') });

async function answerOf(response: Response): Promise<[status: number, body: Answer]> {
  return [response.status, (await response.json()) as Answer];
}

async function expectError(t: ExecutionContext, response: Response, status: number, code: string): Promise<Answer> {
  const [actual, body] = await answerOf(response);
  t.deepEqual([actual, body.code], [status, code]);
  t.is(typeof body.Error, 'string');
  t.is(body.request_id, response.headers.get('x-request-id'));
  return body;
}

async function expectSecret(t: ExecutionContext, response: Response, secret: string): Promise<void> {
  t.deepEqual(await answerOf(response), [200, { secret }]);
}

const expectGone = (t: ExecutionContext, response: Response): Promise<Answer> =>
  expectError(t, response, 404, 'KEY_NOT_FOUND');

async function receiptOf(server: TestServer, key: string): Promise<Answer> {
  return (await (await server.get(`/receipts/${key}`)).json()) as Answer;
}

for (const { name, test, place } of ENGINES) {
  const start = async (
    t: ExecutionContext,
    options: Partial<Parameters<typeof startServer>[1]> = {},
  ): Promise<TestServer> => startServer(t, { place: await place(t), ...options });

  test(`${name}: a secret is created, looked at, read once, and gone`, async (t) => {
    const server = await start(t);
    const created = await server.post('/generate', { secret: 'some secret' });
    t.is(created.status, 201);
    const body = (await created.json()) as { secret_key: string; expires_at: string };
    t.deepEqual(Object.keys(body), ['secret_key', 'expires_at']);
    t.is(body.expires_at, '2066-01-08T12:00:00.000Z');
    const path = `/secrets/${body.secret_key}`;
    for (let looks = 0; looks < 3; looks++) {
      t.deepEqual(await answerOf(await server.get(path)), [200, { phrase: false, expires_at: body.expires_at }]);
    }
    await expectSecret(t, await server.post(path), 'some secret');
    await expectGone(t, await server.post(path));
    await expectGone(t, await server.get(path));
  });

  test(`${name}: GET, HEAD, OPTIONS and prefetches never read`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's' });
    const path = `/secrets/${secret_key}`;
    for (const headers of [
      {},
      { purpose: 'prefetch' },
      { 'sec-purpose': 'prefetch;prerender' },
      header(),
      { accept: 'text/html' },
    ]) {
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        const response = await server.request(method, path, undefined, headers);
        t.true(response.ok, method);
        if (method === 'HEAD') t.is(await response.text(), '');
        else await response.text();
      }
    }
    t.is((await server.request('OPTIONS', path)).headers.get('allow'), 'POST, HEAD, GET, OPTIONS');
    await expectSecret(t, await server.post(path), 's');
  });

  test(`${name}: any text comes back byte for byte`, async (t) => {
    const server = await start(t);
    const texts = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'grapheme', minLength: 1 }));
    await fc.assert(
      fc.asyncProperty(texts, async (secret) => {
        const { secret_key } = await server.create({ secret });
        await expectSecret(t, await server.post(`/secrets/${secret_key}`), secret);
      }),
      { numRuns: 60 },
    );
  });

  test(`${name}: the longest secret fits, however it is escaped, and one byte more does not`, async (t) => {
    const server = await start(t);
    const longest = '\u0001'.repeat(65_536);
    const escaped = `{"secret":"${'\\u0001'.repeat(65_536)}","phrase":"${'\\u0001'.repeat(1024)}"}`;
    const created = (await (await server.post('/generate', escaped)).json()) as { secret_key: string };
    await expectSecret(
      t,
      await server.post(`/secrets/${created.secret_key}`, { phrase: '\u0001'.repeat(1024) }),
      longest,
    );
    const wide = 'é'.repeat(32_768);
    const { secret_key } = await server.create({ secret: wide });
    await expectSecret(t, await server.post(`/secrets/${secret_key}`), wide);
    t.regex(
      (await expectError(t, await server.post('/generate', { secret: `${wide}x` }), 413, 'TOO_LARGE')).Error as string,
      /^secret /,
    );
  });

  test(`${name}: a lifetime is any subset of days, hours and minutes, from one minute to the maximum`, async (t) => {
    const server = await start(t, { ttlMaxSeconds: 100_000 });
    const good: [object | undefined, number][] = [
      [{ minutes: 1 }, 60],
      [{ hours: 1, minutes: 5 }, 3900],
      [{ days: 1, hours: 3, minutes: 46 }, 99_960],
      [{ days: 0, hours: 0, minutes: 1666 }, 99_960],
      [undefined, 100_000],
    ];
    for (const [ttl, seconds] of good) {
      const { expires_at } = await server.create({ secret: 's', ttl });
      t.is(Date.parse(expires_at) - server.clock.now, seconds * 1000, JSON.stringify(ttl));
    }
    const bad: [unknown, RegExp][] = [
      [{}, /^ttl must be at least/],
      [{ minutes: 0 }, /^ttl must be at least/],
      [{ minutes: 1667 }, /^ttl must be at most/],
      [{ days: 2 }, /^ttl must be at most/],
      [{ days: 9e15, minutes: 1 }, /^ttl must be at most/],
      [{ minutes: -1 }, /^ttl.minutes must not be negative/],
      [{ days: 1, hours: -1 }, /^ttl.hours must not be negative/],
      [{ minutes: 1.5 }, /^ttl.minutes must be a whole number/],
      [{ minutes: 1e300 }, /^ttl.minutes must be a whole number/],
      [{ minutes: '5' }, /^ttl.minutes must be a whole number/],
      [{ minutes: null }, /^ttl.minutes must be a whole number/],
      [{ minutes: true }, /^ttl.minutes must be a whole number/],
      [{ minutes: [5] }, /^ttl.minutes must be a whole number/],
      [{ minutes: 5, seconds: 1 }, /^ttl has an unknown member; allowed are: days, hours, minutes$/],
      [null, /^ttl must be an object/],
      [60, /^ttl must be an object/],
      ['1h', /^ttl must be an object/],
      [[], /^ttl must be an object/],
    ];
    for (const [ttl, message] of bad) {
      const body = await expectError(t, await server.post('/generate', { secret: 's', ttl }), 400, 'INVALID_REQUEST');
      t.regex(body.Error as string, message, JSON.stringify(ttl));
    }
  });

  test(`${name}: wrong members are named, unknown ones are not`, async (t) => {
    const server = await start(t);
    const bad: [object, RegExp][] = [
      [{}, /^secret must be text/],
      [{ secret: '' }, /^secret must not be empty/],
      [{ secret: 5 }, /^secret must be text/],
      [{ secret: null }, /^secret must be text/],
      [{ secret: { $ne: '' } }, /^secret must be text/],
      [{ secret: ['s'] }, /^secret must be text/],
      [{ secret: 's', phrase: '' }, /^phrase must not be empty/],
      [{ secret: 's', phrase: 5 }, /^phrase must be text/],
      [{ secret: 's', phrase: null }, /^phrase must be text/],
      [{ secret: 's', phrase: 'x'.repeat(1025) }, /^phrase must not be longer than 1024/],
      [{ secret: 's', phrase: 'é'.repeat(513) }, /^phrase must not be longer than 1024/],
      [{ secret: 's', receipt: 'true' }, /^receipt must be true or false/],
      [{ secret: 's', hunter2: 1 }, /^The body has an unknown member; allowed are: secret, phrase, ttl, receipt$/],
      [{ secret: 5, phrase: 5 }, /^secret must be text; phrase must be text$/],
    ];
    for (const [body, message] of bad) {
      const answer = await expectError(t, await server.post('/generate', body), 400, 'INVALID_REQUEST');
      t.regex(answer.Error as string, message, JSON.stringify(body));
    }
    for (const lone of ['\\ud800', '\\udc00', 'a\\udfffb', '\\ud83dx']) {
      await expectError(t, await server.post('/generate', `{"secret":"${lone}"}`), 400, 'INVALID_REQUEST');
      await expectError(t, await server.post('/generate', `{"secret":"s","phrase":"${lone}"}`), 400, 'INVALID_REQUEST');
    }
    for (const text of [
      '{"secret":"s","__proto__":{"x":1}}',
      '{"secret":"s","constructor":1}',
      '{"__proto__":{"secret":"s"}}',
    ]) {
      await expectError(t, await server.post('/generate', text), 400, 'INVALID_REQUEST');
    }
    const { secret_key } = await server.create({ secret: 's', phrase: 'p' });
    const path = `/secrets/${secret_key}`;
    for (const body of [
      { phrase: 5 },
      { phrase: null },
      { phrase: { $gt: '' } },
      { secret: 's' },
      { phrase: 'x'.repeat(1025) },
    ]) {
      await expectError(t, await server.post(path, body), 400, 'INVALID_REQUEST');
    }
    await expectError(t, await server.post(path, '{"phrase":"\\ud800"}'), 400, 'INVALID_REQUEST');
    await expectSecret(t, await server.post(path, { phrase: 'p' }), 's');
  });

  test(`${name}: unknown, malformed, expired and read keys are answered alike`, async (t) => {
    const server = await start(t);
    const read = await server.create({ secret: 's' });
    await server.post(`/secrets/${read.secret_key}`);
    const expired = await server.create({ secret: 's', ttl: { minutes: 1 } });
    server.clock.advance({ minutes: 1 });
    const unknown = read.secret_key.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    const keys = [
      read.secret_key,
      expired.secret_key,
      unknown,
      'x',
      '%00',
      '%ff',
      '%e0%a4%a',
      '..%2f',
      'a'.repeat(2000),
      "'%20OR%201=1",
    ];
    for (const key of keys) {
      for (const method of ['GET', 'POST']) {
        const answer = await expectGone(t, await server.request(method, `/secrets/${key}`));
        t.is(answer.Error, 'Key not found');
        t.deepEqual(Object.keys(answer), ['Error', 'code', 'request_id']);
      }
      for (const method of ['GET', 'DELETE']) await expectGone(t, await server.request(method, `/receipts/${key}`));
    }
  });

  test(`${name}: a phrase is needed where one was given, and compared after NFC`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key } = await server.create({ secret: 's', phrase: 'Caf\u00e9', receipt: true });
    const path = `/secrets/${secret_key}`;
    t.like(await (await server.get(path)).json(), { phrase: true });
    for (const body of [undefined, {}, { phrase: '' }])
      await expectError(t, await server.post(path, body), 403, 'PHRASE_REQUIRED');
    t.like(await expectError(t, await server.post(path, { phrase: 'cafe' }), 403, 'WRONG_PHRASE'), { tries_left: 9 });
    t.like(await receiptOf(server, receipt_key), { state: 'waiting', wrong_tries: 1 });
    await expectSecret(t, await server.post(path, { phrase: 'Cafe\u0301' }), 's');
    t.like(await receiptOf(server, receipt_key), { state: 'read', wrong_tries: 1, reads: 1 });
    await expectGone(t, await server.post(path, { phrase: 'Caf\u00e9' }));
    await expectGone(t, await server.post(path, { phrase: 'wrong' }));
  });

  test(`${name}: a phrase that is not needed is ignored`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's' });
    await expectSecret(t, await server.post(`/secrets/${secret_key}`, { phrase: 'whatever' }), 's');
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

  test(`${name}: of 40 parallel guesses exactly ten are evaluated`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key } = await server.create({ secret: 's', phrase: 'right', receipt: true });
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, guess) =>
        answerOf(await server.post(`/secrets/${secret_key}`, { phrase: `no ${guess}` })),
      ),
    );
    const wrong = answers.filter(([status]) => status === 403).map(([, body]) => body.tries_left);
    t.deepEqual(wrong.sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    t.is(answers.filter(([status]) => status === 429).length, 30);
    t.like(await receiptOf(server, receipt_key), { state: 'waiting', wrong_tries: 10 });
  });

  test(`${name}: of 40 parallel readers with the right phrase one wins, and none is told to wait`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key } = await server.create({ secret: 's', phrase: 'right', receipt: true });
    const answers = await Promise.all(
      Array.from({ length: 40 }, async () => (await server.post(`/secrets/${secret_key}`, { phrase: 'right' })).status),
    );
    t.deepEqual(
      [answers.filter((status) => status === 200).length, answers.filter((status) => status === 404).length],
      [1, 39],
    );
    t.like(await receiptOf(server, receipt_key), { state: 'read', wrong_tries: 0, reads: 1 });
  });

  test(`${name}: with an Idempotency-Key the same reader gets the same answer, five times in 60 seconds`, async (t) => {
    const server = await start(t);
    for (const phrase of [undefined, 'right']) {
      const { secret_key, receipt_key } = await server.create({ secret: 's', phrase, receipt: true });
      const path = `/secrets/${secret_key}`;
      const mine = header();
      for (let reads = 1; reads <= 5; reads++) {
        await expectSecret(t, await server.post(path, { phrase }, mine), 's');
        t.like(await receiptOf(server, receipt_key), { state: 'read', reads, wrong_tries: 0 });
        await expectGone(t, await server.post(path, { phrase }));
        await expectGone(t, await server.post(path, { phrase }, header()));
        await expectGone(t, await server.get(path));
      }
      await expectGone(t, await server.post(path, { phrase }, mine));
    }
  });

  test(`${name}: in the reread window a wrong phrase is told to who has the header, and to nobody else`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key } = await server.create({ secret: 's', phrase: 'right', receipt: true });
    const path = `/secrets/${secret_key}`;
    const mine = header();
    await expectSecret(t, await server.post(path, { phrase: 'right' }, mine), 's');
    t.like(await expectError(t, await server.post(path, { phrase: 'wrong' }, mine), 403, 'WRONG_PHRASE'), {
      tries_left: 9,
    });
    await expectError(t, await server.post(path, {}, mine), 403, 'PHRASE_REQUIRED');
    await expectGone(t, await server.post(path, { phrase: 'wrong' }, header()));
    await expectGone(t, await server.post(path, { phrase: 'wrong' }));
    for (let left = 8; left >= 0; left--) await server.post(path, { phrase: 'wrong' }, mine);
    await expectError(t, await server.post(path, { phrase: 'right' }, mine), 429, 'TOO_MANY_TRIES');
    t.like(await receiptOf(server, receipt_key), { state: 'read', wrong_tries: 10, reads: 1 });
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

  test(`${name}: 40 parallel reads under one header get at most five answers, all alike; the first read loses none`, async (t) => {
    const server = await start(t);
    for (let round = 0; round < 5; round++) {
      const { secret_key, receipt_key } = await server.create({ secret: 's', receipt: true });
      const mine = header();
      const answers = await Promise.all(
        Array.from({ length: 40 }, async () => answerOf(await server.post(`/secrets/${secret_key}`, {}, mine))),
      );
      const served = answers.filter(([status]) => status === 200);
      t.is(served.length, 5);
      t.true(served.every(([, body]) => body.secret === 's'));
      t.is(answers.filter(([status]) => status === 404).length, 35);
      t.like(await receiptOf(server, receipt_key), { reads: 5 });
    }
  });

  test(`${name}: 40 parallel readers with headers of their own: one gets it, and only that one again`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's' });
    const headers = Array.from({ length: 40 }, header);
    const read = async (mine: Record<string, string>): Promise<number> =>
      (await server.post(`/secrets/${secret_key}`, {}, mine)).status;
    const first = await Promise.all(headers.map(read));
    t.is(first.filter((status) => status === 200).length, 1);
    t.deepEqual(await Promise.all(headers.map(read)), first);
  });

  test(`${name}: a malformed Idempotency-Key is 400 and reads nothing`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's' });
    const path = `/secrets/${secret_key}`;
    for (const value of [
      '',
      'x'.repeat(21),
      'x'.repeat(129),
      `${'x'.repeat(22)}\u00e9`,
      `${'x'.repeat(11)}\t${'x'.repeat(11)}`,
    ]) {
      await expectError(t, await server.post(path, {}, { 'idempotency-key': value }), 400, 'INVALID_REQUEST');
    }
    await expectSecret(t, await server.post(path, {}, { 'idempotency-key': `"${'~'.repeat(126)}"` }), 's');
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
    await server.storage.secrets.sweep(server.clock.now + 1000, 100);
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

  test(`${name}: burning what was read is 409 and still takes the copy for rereading away`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key } = await server.create({ secret: 's', receipt: true });
    const mine = header();
    await expectSecret(t, await server.post(`/secrets/${secret_key}`, {}, mine), 's');
    await expectError(t, await server.request('DELETE', `/receipts/${receipt_key}`), 409, 'NOT_WAITING');
    await expectGone(t, await server.post(`/secrets/${secret_key}`, {}, mine));
    t.like(await receiptOf(server, receipt_key), { state: 'read', reads: 1 });
  });

  test(`${name}: a receipt never reads, and without one there is none`, async (t) => {
    const server = await start(t);
    const { secret_key, receipt_key } = await server.create({ secret: 's', receipt: true });
    for (const path of [`/secrets/${receipt_key}`, `/receipts/${secret_key}`])
      await expectGone(t, await server.get(path));
    await expectGone(t, await server.post(`/secrets/${receipt_key}`));
    const other = await server.create({ secret: 's', receipt: false });
    t.false('receipt_key' in other);
    const forged = `${receipt_key.slice(0, -4)}AAAA`;
    await expectGone(t, await server.get(`/receipts/${forged}`));
    await expectGone(t, await server.request('DELETE', `/receipts/${forged}`));
    await expectSecret(t, await server.post(`/secrets/${secret_key}`), 's');
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
