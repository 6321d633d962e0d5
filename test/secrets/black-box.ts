import { randomBytes } from 'node:crypto';
import type { ExecutionContext, TestFn } from 'ava';
import fc from 'fast-check';
import type { Api } from '../support/http/api.ts';

/** The default, which the service under test must have. */
const TTL_MAX_SECONDS = 604_800;

export type Opened = {
  api: Api;
  /** Asserts that the instant is this many seconds from now, on the service's clock. */
  isAt(instant: string, seconds: number): void;
};
export type Answer = Record<string, unknown> & { code?: string };

export const header = (): Record<string, string> => ({ 'idempotency-key': randomBytes(16).toString('base64url') });

export async function answerOf(response: Response): Promise<[status: number, body: Answer]> {
  return [response.status, (await response.json()) as Answer];
}

export async function expectError(
  t: ExecutionContext,
  response: Response,
  status: number,
  code: string,
): Promise<Answer> {
  const [actual, body] = await answerOf(response);
  t.deepEqual([actual, body.code], [status, code]);
  t.is(typeof body.Error, 'string');
  t.is(body.request_id, response.headers.get('x-request-id'));
  return body;
}

export async function expectSecret(t: ExecutionContext, response: Response, secret: string): Promise<void> {
  t.deepEqual(await answerOf(response), [200, { secret }]);
}

export const expectGone = (t: ExecutionContext, response: Response): Promise<Answer> =>
  expectError(t, response, 404, 'KEY_NOT_FOUND');

export async function receiptOf(api: Api, key: string): Promise<Answer> {
  return (await (await api.get(`/receipts/${key}`)).json()) as Answer;
}

/**
 * What the service promises a client, seen only from outside: runs on each engine, and on the complete setup.
 * @param open returns a service whose clock stands still or is the real one.
 */
export function blackBoxSuite(name: string, test: TestFn, open: (t: ExecutionContext) => Promise<Opened>): void {
  test(`${name}: unknown, malformed and read keys get the same answer`, async (t) => {
    const { api } = await open(t);
    const read = await api.create({ secret: 's' });
    await api.post(`/secrets/${read.secret_key}`);
    const unknown = read.secret_key.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    for (const key of [read.secret_key, unknown, 'x', '%ff', '..%2f', 'a'.repeat(2000), "'%20OR%201=1"]) {
      for (const method of ['GET', 'POST']) {
        const answer = await expectGone(t, await api.request(method, `/secrets/${key}`));
        t.is(answer.Error, 'Key not found');
        t.deepEqual(Object.keys(answer), ['Error', 'code', 'request_id']);
      }
      for (const method of ['GET', 'DELETE']) await expectGone(t, await api.request(method, `/receipts/${key}`));
    }
  });

  test(`${name}: the receipt burns a waiting secret, once`, async (t) => {
    const { api, isAt } = await open(t);
    const { secret_key, receipt_key } = await api.create({ secret: 's', receipt: true });
    t.is((await api.request('DELETE', `/receipts/${receipt_key}`)).status, 204);
    await expectGone(t, await api.post(`/secrets/${secret_key}`));
    const receipt = await receiptOf(api, receipt_key);
    t.like(receipt, { state: 'burned', wrong_tries: 0, reads: 0 });
    isAt(receipt.ended_at as string, 0);
    await expectError(t, await api.request('DELETE', `/receipts/${receipt_key}`), 409, 'NOT_WAITING');
  });

  test(`${name}: a secret is created, looked at, read once, and gone`, async (t) => {
    const { api, isAt } = await open(t);
    const created = await api.post('/generate', { secret: 'some secret' });
    t.is(created.status, 201);
    const body = (await created.json()) as { secret_key: string; expires_at: string };
    t.deepEqual(Object.keys(body), ['secret_key', 'expires_at']);
    isAt(body.expires_at, TTL_MAX_SECONDS);
    const path = `/secrets/${body.secret_key}`;
    for (let looks = 0; looks < 3; looks++) {
      t.deepEqual(await answerOf(await api.get(path)), [200, { phrase: false, expires_at: body.expires_at }]);
    }
    await expectSecret(t, await api.post(path), 'some secret');
    await expectGone(t, await api.post(path));
    await expectGone(t, await api.get(path));
  });

  test(`${name}: GET, HEAD, OPTIONS and prefetches never read`, async (t) => {
    const { api } = await open(t);
    const { secret_key } = await api.create({ secret: 's' });
    const path = `/secrets/${secret_key}`;
    for (const headers of [
      {},
      { purpose: 'prefetch' },
      { 'sec-purpose': 'prefetch;prerender' },
      header(),
      { accept: 'text/html' },
    ]) {
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        const response = await api.request(method, path, undefined, headers);
        t.true(response.ok, method);
        if (method === 'HEAD') t.is(await response.text(), '');
        else await response.text();
      }
    }
    t.is((await api.request('OPTIONS', path)).headers.get('allow'), 'POST, HEAD, GET, DELETE, OPTIONS');
    await expectSecret(t, await api.post(path), 's');
  });

  test(`${name}: any text comes back byte for byte`, async (t) => {
    const { api } = await open(t);
    const texts = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'grapheme', minLength: 1 }));
    await fc.assert(
      fc.asyncProperty(texts, async (secret) => {
        const { secret_key } = await api.create({ secret });
        await expectSecret(t, await api.post(`/secrets/${secret_key}`), secret);
      }),
      { numRuns: 60 },
    );
  });

  test(`${name}: the longest secret fits, however it is escaped, and one byte more does not`, async (t) => {
    const { api } = await open(t);
    const longest = '\u0001'.repeat(1_048_576);
    const escaped = `{"secret":"${'\\u0001'.repeat(1_048_576)}","phrase":"${'\\u0001'.repeat(1024)}"}`;
    const created = (await (await api.post('/generate', escaped)).json()) as { secret_key: string };
    await expectSecret(t, await api.post(`/secrets/${created.secret_key}`, { phrase: '\u0001'.repeat(1024) }), longest);
    const wide = 'é'.repeat(524_288);
    const { secret_key } = await api.create({ secret: wide });
    await expectSecret(t, await api.post(`/secrets/${secret_key}`), wide);
    t.regex(
      (await expectError(t, await api.post('/generate', { secret: `${wide}x` }), 413, 'TOO_LARGE')).Error as string,
      /^secret /,
    );
  });

  test(`${name}: a lifetime is any subset of days, hours and minutes, from one minute to the maximum`, async (t) => {
    const { api, isAt } = await open(t);
    const good: [object | undefined, number][] = [
      [{ minutes: 1 }, 60],
      [{ hours: 1, minutes: 5 }, 3900],
      [{ days: 1, hours: 3, minutes: 46 }, 99_960],
      [{ days: 0, hours: 0, minutes: 10_080 }, TTL_MAX_SECONDS],
      [{ days: 7 }, TTL_MAX_SECONDS],
      [undefined, TTL_MAX_SECONDS],
    ];
    for (const [ttl, seconds] of good) {
      const { expires_at } = await api.create({ secret: 's', ttl });
      isAt(expires_at, seconds);
    }
    const bad: [unknown, RegExp][] = [
      [{}, /^ttl must be at least/],
      [{ minutes: 0 }, /^ttl must be at least/],
      [{ minutes: 10_081 }, /^ttl must be at most/],
      [{ days: 7, minutes: 1 }, /^ttl must be at most/],
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
      const body = await expectError(t, await api.post('/generate', { secret: 's', ttl }), 400, 'INVALID_REQUEST');
      t.regex(body.Error as string, message, JSON.stringify(ttl));
    }
  });

  test(`${name}: wrong members are named, unknown ones are not`, async (t) => {
    const { api } = await open(t);
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
      [
        { secret: 's', hunter2: 1 },
        /^The body has an unknown member; allowed are: secret, sealed, proof_hash, phrase, ttl, receipt, notify$/,
      ],
      [{ secret: 's', ttl: { seconds: 90 } }, /^ttl has an unknown member; allowed are: days, hours, minutes$/],
      [
        { secret: 's', ttl: { days: 8, weeks: 1 }, hunter2: 1 },
        /^ttl has an unknown member; allowed are: days, hours, minutes; The body has an unknown member; allowed are: [a-z_, ]+$/,
      ],
      [{ secret: 's', ttl: { minutes: -1, x: 1 } }, /^ttl.minutes must not be negative; ttl has an unknown member/],
      [{ secret: 's', ttl: {} }, /^ttl must be at least one minute in all$/],
      [{ secret: 5, phrase: 5 }, /^secret must be text; phrase must be text$/],
    ];
    for (const [body, message] of bad) {
      const answer = await expectError(t, await api.post('/generate', body), 400, 'INVALID_REQUEST');
      t.regex(answer.Error as string, message, JSON.stringify(body));
    }
    for (const lone of ['\\ud800', '\\udc00', 'a\\udfffb', '\\ud83dx']) {
      await expectError(t, await api.post('/generate', `{"secret":"${lone}"}`), 400, 'INVALID_REQUEST');
      await expectError(t, await api.post('/generate', `{"secret":"s","phrase":"${lone}"}`), 400, 'INVALID_REQUEST');
    }
    for (const text of [
      '{"secret":"s","__proto__":{"x":1}}',
      '{"secret":"s","constructor":1}',
      '{"__proto__":{"secret":"s"}}',
    ]) {
      await expectError(t, await api.post('/generate', text), 400, 'INVALID_REQUEST');
    }
    const { secret_key } = await api.create({ secret: 's', phrase: 'p' });
    const path = `/secrets/${secret_key}`;
    for (const body of [
      { phrase: 5 },
      { phrase: null },
      { phrase: { $gt: '' } },
      { secret: 's' },
      { phrase: 'x'.repeat(1025) },
    ]) {
      await expectError(t, await api.post(path, body), 400, 'INVALID_REQUEST');
    }
    await expectError(t, await api.post(path, '{"phrase":"\\ud800"}'), 400, 'INVALID_REQUEST');
    await expectSecret(t, await api.post(path, { phrase: 'p' }), 's');
  });

  test(`${name}: a phrase is needed if the secret was created with one, and compared after NFC`, async (t) => {
    const { api } = await open(t);
    const { secret_key, receipt_key } = await api.create({ secret: 's', phrase: 'Caf\u00e9', receipt: true });
    const path = `/secrets/${secret_key}`;
    t.like(await (await api.get(path)).json(), { phrase: true });
    for (const body of [undefined, {}, { phrase: '' }])
      await expectError(t, await api.post(path, body), 403, 'PHRASE_REQUIRED');
    t.like(await expectError(t, await api.post(path, { phrase: 'cafe' }), 403, 'WRONG_PHRASE'), { tries_left: 9 });
    t.like(await receiptOf(api, receipt_key), { state: 'waiting', wrong_tries: 1 });
    await expectSecret(t, await api.post(path, { phrase: 'Cafe\u0301' }), 's');
    t.like(await receiptOf(api, receipt_key), { state: 'read', wrong_tries: 1, reads: 1 });
    await expectGone(t, await api.post(path, { phrase: 'Caf\u00e9' }));
    await expectGone(t, await api.post(path, { phrase: 'wrong' }));
    const decomposed = await api.create({ secret: 's', phrase: 'Cafe\u0301' });
    await expectSecret(t, await api.post(`/secrets/${decomposed.secret_key}`, { phrase: 'Caf\u00e9' }), 's');
  });

  test(`${name}: a phrase may have 1024 bytes after NFC; a longer one is 400 and costs no try`, async (t) => {
    const { api } = await open(t);
    const longest = 'e\u0301'.repeat(512); // 1536 bytes, and 1024 after NFC
    const { secret_key, receipt_key } = await api.create({ secret: 's', phrase: longest, receipt: true });
    const path = `/secrets/${secret_key}`;
    const tooLong = [`${longest}x`, 'x'.repeat(1025), '\u0958'.repeat(171), 'a\u0315\u0316'.repeat(60_000)]; // U+0958 grows
    for (const phrase of tooLong) {
      const read = await expectError(t, await api.post(path, { phrase }), 400, 'INVALID_REQUEST');
      t.is(read.Error, 'phrase must not be longer than 1024 bytes of UTF-8');
      await expectError(t, await api.post('/generate', { secret: 's', phrase }), 400, 'INVALID_REQUEST');
    }
    t.like(await receiptOf(api, receipt_key), { state: 'waiting', wrong_tries: 0 });
    await expectSecret(t, await api.post(path, { phrase: '\u00e9'.repeat(512) }), 's');
  });

  test(`${name}: a client that prefers text/plain gets the link alone and the secret alone, byte for byte`, async (t) => {
    const { api } = await open(t);
    const secret = '\ufeff one\r\n\u202etwo 🔑\n\n';
    const asText = { accept: 'text/plain' };
    const created = await api.post('/generate', { secret, receipt: true }, asText);
    const link = await created.text();
    const [, path = ''] = /^(\/secrets\/[A-Za-z0-9_-]+)$/.exec(link.slice(api.base.length)) ?? [];
    t.deepEqual([created.status, link], [201, api.base + path]);
    const read = await api.post(path, {}, asText);
    t.deepEqual([read.status, Buffer.from(await read.arrayBuffer())], [200, Buffer.from(secret)]);
    for (const { headers } of [created, read]) {
      t.is(headers.get('content-type'), 'text/plain; charset=utf-8');
      t.is(headers.get('vary'), 'accept');
      t.is(headers.get('cache-control'), 'no-store');
      t.truthy(headers.get('x-request-id'));
    }
    await expectGone(t, await api.post(path, {}, { accept: 'application/json, text/plain' }));
  });

  test(`${name}: an error in plain text is one line, and nothing else answers in plain text`, async (t) => {
    const { api } = await open(t);
    const asText = { accept: 'text/plain' };
    const { secret_key } = await api.create({ secret: 's', phrase: 'p' });
    const path = `/secrets/${secret_key}`;
    const errors: [Promise<Response>, number, string | RegExp][] = [
      [api.post('/generate', 'secret=x', asText), 400, /^The body is not valid JSON: send a JSON object/],
      [api.post('/generate', { secret: '', ttl: 5 }, asText), 400, 'secret must not be empty; ttl must be an object'],
      [api.post('/generate', { secret: 'x' }, { ...asText, origin: 'http://other.example' }), 403, /^Pages of other/],
      [api.post(path, {}, asText), 403, 'This secret needs a phrase'],
      [api.post(path, { phrase: 'wrong' }, asText), 403, 'Incorrect phrase'],
      [api.post('/secrets/unknown', {}, asText), 404, 'Key not found'],
      [api.post('/secrets/unknown', {}, { ...asText, 'idempotency-key': 'short' }), 400, /^Idempotency-Key must/],
    ];
    for (const [answer, status, text] of errors) {
      const response = await answer;
      const line = await response.text();
      t.is(response.status, status);
      t.is(response.headers.get('content-type'), 'text/plain; charset=utf-8');
      if (typeof text === 'string') t.is(line, text);
      else t.regex(line, text);
      t.false(line.includes('\n'));
    }
    const others = [
      'GET /secrets/unknown',
      'GET /receipts/unknown',
      'DELETE /receipts/unknown',
      'GET /nowhere',
      'POST /',
    ];
    for (const line of [...others, `GET ${path}`, 'GET /status', 'GET /generate', 'POST /nowhere']) {
      const [method = '', target = ''] = line.split(' ');
      const response = await api.request(method, target, undefined, asText);
      t.is(response.headers.get('content-type'), 'application/json; charset=utf-8', line);
    }
  });

  test(`${name}: a body may begin with a byte order mark`, async (t) => {
    const { api } = await open(t);
    const mark = Buffer.of(0xef, 0xbb, 0xbf);
    const created = await api.post('/generate', Buffer.concat([mark, Buffer.from('{"secret": "\ufeffs"}')]));
    t.is(created.status, 201);
    const { secret_key } = (await created.json()) as { secret_key: string };
    await expectSecret(t, await api.post(`/secrets/${secret_key}`, mark), '\ufeffs');
  });

  test(`${name}: a phrase that is not needed is ignored`, async (t) => {
    const { api } = await open(t);
    const { secret_key } = await api.create({ secret: 's' });
    await expectSecret(t, await api.post(`/secrets/${secret_key}`, { phrase: 'whatever' }), 's');
  });

  test(`${name}: exactly ten of 40 parallel guesses are evaluated`, async (t) => {
    const { api } = await open(t);
    const { secret_key, receipt_key } = await api.create({ secret: 's', phrase: 'right', receipt: true });
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, guess) =>
        answerOf(await api.post(`/secrets/${secret_key}`, { phrase: `no ${guess}` })),
      ),
    );
    const wrong = answers.filter(([status]) => status === 403).map(([, body]) => body.tries_left);
    t.deepEqual(wrong.sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    t.is(answers.filter(([status]) => status === 429).length, 30);
    t.like(await receiptOf(api, receipt_key), { state: 'waiting', wrong_tries: 10 });
  });

  test(`${name}: exactly one of 40 parallel readers with the right phrase wins, and none must wait`, async (t) => {
    const { api } = await open(t);
    const { secret_key, receipt_key } = await api.create({ secret: 's', phrase: 'right', receipt: true });
    const answers = await Promise.all(
      Array.from({ length: 40 }, async () => (await api.post(`/secrets/${secret_key}`, { phrase: 'right' })).status),
    );
    t.deepEqual(
      [answers.filter((status) => status === 200).length, answers.filter((status) => status === 404).length],
      [1, 39],
    );
    t.like(await receiptOf(api, receipt_key), { state: 'read', wrong_tries: 0, reads: 1 });
  });

  test(`${name}: with an Idempotency-Key the same reader gets the same answer, five times in 60 seconds`, async (t) => {
    const { api } = await open(t);
    for (const phrase of [undefined, 'right']) {
      const { secret_key, receipt_key } = await api.create({ secret: 's', phrase, receipt: true });
      const path = `/secrets/${secret_key}`;
      const mine = header();
      for (let reads = 1; reads <= 5; reads++) {
        await expectSecret(t, await api.post(path, { phrase }, mine), 's');
        t.like(await receiptOf(api, receipt_key), { state: 'read', reads, wrong_tries: 0 });
        await expectGone(t, await api.post(path, { phrase }));
        await expectGone(t, await api.post(path, { phrase }, header()));
        await expectGone(t, await api.get(path));
      }
      await expectGone(t, await api.post(path, { phrase }, mine));
    }
  });

  test(`${name}: in the reread window only a reader with the header learns that a phrase is wrong`, async (t) => {
    const { api } = await open(t);
    const { secret_key, receipt_key } = await api.create({ secret: 's', phrase: 'right', receipt: true });
    const path = `/secrets/${secret_key}`;
    const mine = header();
    await expectSecret(t, await api.post(path, { phrase: 'right' }, mine), 's');
    t.like(await expectError(t, await api.post(path, { phrase: 'wrong' }, mine), 403, 'WRONG_PHRASE'), {
      tries_left: 9,
    });
    await expectError(t, await api.post(path, {}, mine), 403, 'PHRASE_REQUIRED');
    await expectGone(t, await api.post(path, { phrase: 'wrong' }, header()));
    await expectGone(t, await api.post(path, { phrase: 'wrong' }));
    for (let left = 8; left >= 0; left--) await api.post(path, { phrase: 'wrong' }, mine);
    await expectError(t, await api.post(path, { phrase: 'right' }, mine), 429, 'TOO_MANY_TRIES');
    t.like(await receiptOf(api, receipt_key), { state: 'read', wrong_tries: 10, reads: 1 });
  });

  test(`${name}: 40 parallel reads with one header get at most five answers, all the same; the first read loses none`, async (t) => {
    const { api } = await open(t);
    for (let round = 0; round < 5; round++) {
      const { secret_key, receipt_key } = await api.create({ secret: 's', receipt: true });
      const mine = header();
      const answers = await Promise.all(
        Array.from({ length: 40 }, async () => answerOf(await api.post(`/secrets/${secret_key}`, {}, mine))),
      );
      const served = answers.filter(([status]) => status === 200);
      t.is(served.length, 5);
      t.true(served.every(([, body]) => body.secret === 's'));
      t.is(answers.filter(([status]) => status === 404).length, 35);
      t.like(await receiptOf(api, receipt_key), { reads: 5 });
    }
  });

  test(`${name}: 40 parallel readers with headers of their own: one gets it, and only that one again`, async (t) => {
    const { api } = await open(t);
    const { secret_key } = await api.create({ secret: 's' });
    const headers = Array.from({ length: 40 }, header);
    const read = async (mine: Record<string, string>): Promise<number> =>
      (await api.post(`/secrets/${secret_key}`, {}, mine)).status;
    const first = await Promise.all(headers.map(read));
    t.is(first.filter((status) => status === 200).length, 1);
    t.deepEqual(await Promise.all(headers.map(read)), first);
  });

  test(`${name}: a malformed Idempotency-Key is 400 and reads nothing`, async (t) => {
    const { api } = await open(t);
    const { secret_key } = await api.create({ secret: 's' });
    const path = `/secrets/${secret_key}`;
    for (const value of [
      '',
      'x'.repeat(21),
      'x'.repeat(129),
      `${'x'.repeat(22)}\u00e9`,
      `${'x'.repeat(11)}\t${'x'.repeat(11)}`,
    ]) {
      await expectError(t, await api.post(path, {}, { 'idempotency-key': value }), 400, 'INVALID_REQUEST');
    }
    await expectSecret(t, await api.post(path, {}, { 'idempotency-key': `"${'~'.repeat(126)}"` }), 's');
  });

  test(`${name}: burning what was read is 409 and still takes the copy for rereading away`, async (t) => {
    const { api } = await open(t);
    const { secret_key, receipt_key } = await api.create({ secret: 's', receipt: true });
    const mine = header();
    await expectSecret(t, await api.post(`/secrets/${secret_key}`, {}, mine), 's');
    await expectError(t, await api.request('DELETE', `/receipts/${receipt_key}`), 409, 'NOT_WAITING');
    await expectGone(t, await api.post(`/secrets/${secret_key}`, {}, mine));
    t.like(await receiptOf(api, receipt_key), { state: 'read', reads: 1 });
  });

  test(`${name}: a receipt never reads, and a secret created without one has none`, async (t) => {
    const { api } = await open(t);
    const { secret_key, receipt_key } = await api.create({ secret: 's', receipt: true });
    for (const path of [`/secrets/${receipt_key}`, `/receipts/${secret_key}`]) await expectGone(t, await api.get(path));
    await expectGone(t, await api.post(`/secrets/${receipt_key}`));
    const other = await api.create({ secret: 's', receipt: false });
    t.false('receipt_key' in other);
    const forged = `${receipt_key.slice(0, -4)}AAAA`;
    await expectGone(t, await api.get(`/receipts/${forged}`));
    await expectGone(t, await api.request('DELETE', `/receipts/${forged}`));
    await expectSecret(t, await api.post(`/secrets/${secret_key}`), 's');
  });
}
