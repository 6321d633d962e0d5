import type { ExecutionContext } from 'ava';
import { AppError } from '../../src/errors.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { ENGINES } from '../support/storage/storage.ts';

const HEADERS = { 'idempotency-key': 'made for this one read, long enough' };

type Fence = { refusedUntil: number | undefined };
type Answer = { status: number; code: unknown };

async function answerTo(request: Promise<Response>): Promise<Answer> {
  const response = await request;
  const text = await response.text();
  return { status: response.status, code: text ? JSON.parse(text).code : undefined };
}

const NOT_FOUND: Answer = { status: 404, code: 'KEY_NOT_FOUND' };

for (const { name, test, place } of ENGINES) {
  /** A server whose fence the test sets. */
  async function start(t: ExecutionContext): Promise<TestServer & { fence: Fence }> {
    const fence: Fence = { refusedUntil: 0 };
    const refusedUntil = (): number => {
      if (fence.refusedUntil === undefined) throw new AppError('STORAGE_UNAVAILABLE', { retryAfterSeconds: 1 });
      return fence.refusedUntil;
    };
    return Object.assign(await startServer(t, { place: await place(t), refusedUntil }), { fence });
  }

  test(`${name}: what was created at the refused instant or before is not found, a millisecond later it is`, async (t) => {
    const { create, get, post, clock, fence } = await start(t);
    const [refused, withPhrase] = [await create({ secret: 's' }), await create({ secret: 's', phrase: 'p' })];
    fence.refusedUntil = clock.now;
    clock.now += 1;
    const kept = await create({ secret: 's' });
    for (const { secret_key } of [refused, withPhrase]) {
      const path = `/secrets/${secret_key}`;
      for (const request of [get(path), post(path), post(path, {}, HEADERS), post(path, { phrase: 'p' })]) {
        t.deepEqual(await answerTo(request), NOT_FOUND);
      }
    }
    t.is((await get(`/secrets/${kept.secret_key}`)).status, 200);
    t.is((await post(`/secrets/${kept.secret_key}`)).status, 200);
  });

  test(`${name}: a refused secret is not wiped: when the refusal is lifted, it can be read`, async (t) => {
    const { create, post, clock, fence, storage } = await start(t);
    const { secret_key } = await create({ secret: 's', phrase: 'p' });
    fence.refusedUntil = clock.now;
    await answerTo(post(`/secrets/${secret_key}`, { phrase: 'p' }));
    await storage.secrets.sweep(clock.now, 100, 0);
    fence.refusedUntil = 0;
    t.is((await post(`/secrets/${secret_key}`, { phrase: 'p' })).status, 200);
  });

  test(`${name}: a copy for rereading is refused too, by the creation time of its secret`, async (t) => {
    const { create, post, clock, fence } = await start(t);
    const { secret_key } = await create({ secret: 's' });
    clock.advance({ minutes: 1 });
    t.is((await post(`/secrets/${secret_key}`, {}, HEADERS)).status, 200);
    fence.refusedUntil = clock.now - 1;
    t.deepEqual(await answerTo(post(`/secrets/${secret_key}`, {}, HEADERS)), NOT_FOUND);
  });

  test(`${name}: a phrase that waited in the queue while its secret was refused does not open it`, async (t) => {
    const { create, post, clock, fence } = await start(t);
    const { secret_key } = await create({ secret: 's', phrase: 'p' });
    const reads = Array.from({ length: 8 }, () => answerTo(post(`/secrets/${secret_key}`, { phrase: 'wrong' })));
    const last = answerTo(post(`/secrets/${secret_key}`, { phrase: 'p' }));
    await Promise.race(reads);
    fence.refusedUntil = clock.now;
    await Promise.all(reads);
    t.deepEqual(await last, NOT_FOUND);
  });

  test(`${name}: the receipt of a refused secret shows only what is still true`, async (t) => {
    const { create, get, post, request, clock, fence } = await start(t);
    const wish = { secret: 's', receipt: true, ttl: { minutes: 1 } };
    const [waiting, read, burned] = [await create(wish), await create(wish), await create(wish)];
    await post(`/secrets/${read.secret_key}`);
    await request('DELETE', `/receipts/${burned.receipt_key}`);
    fence.refusedUntil = clock.now;
    for (const isExpired of [false, true]) {
      if (isExpired) clock.advance({ minutes: 1 });
      t.deepEqual(await answerTo(get(`/receipts/${waiting.receipt_key}`)), NOT_FOUND);
      for (const [{ receipt_key }, state] of [
        [read, 'read'],
        [burned, 'burned'],
      ] as const) {
        t.like(await (await get(`/receipts/${receipt_key}`)).json(), { state });
      }
    }
  });

  test(`${name}: a refused secret can be burned: the answer shows nothing, and it is gone when the refusal is lifted`, async (t) => {
    const { create, get, post, request, clock, fence } = await start(t);
    const { secret_key, receipt_key } = await create({ secret: 's', receipt: true });
    for (const limit of [clock.now, 0]) {
      fence.refusedUntil = limit;
      t.deepEqual(await answerTo(request('DELETE', `/receipts/${receipt_key}`)), NOT_FOUND);
      t.deepEqual(await answerTo(get(`/receipts/${receipt_key}`)), NOT_FOUND);
      t.deepEqual(await answerTo(post(`/secrets/${secret_key}`)), NOT_FOUND);
    }
  });

  test(`${name}: with a clock behind the last refused instant, a new secret can be read, and ends when it says`, async (t) => {
    const { create, get, post, clock, fence } = await start(t);
    const now = clock.now;
    fence.refusedUntil = now + 3_600_000;
    const [first, second] = [
      await create({ secret: 's', ttl: { minutes: 1 }, receipt: true }),
      await create({ secret: 's', phrase: 'p', ttl: { minutes: 1 } }),
    ];
    t.is(first.expires_at, new Date(now + 60_000).toISOString());
    t.is((await get(`/secrets/${first.secret_key}`)).status, 200);
    t.is((await post(`/secrets/${first.secret_key}`, {}, HEADERS)).status, 200);
    t.is((await post(`/secrets/${first.secret_key}`, {}, HEADERS)).status, 200);
    t.like(await (await get(`/receipts/${first.receipt_key}`)).json(), { state: 'read', reads: 2 });
    clock.advance({ minutes: 1 });
    t.deepEqual(await answerTo(post(`/secrets/${second.secret_key}`, { phrase: 'p' })), NOT_FOUND);
  });

  test(`${name}: until the refused instant is known, nothing is handed out, taken or shown`, async (t) => {
    const { create, get, post, request, fence } = await start(t);
    const { secret_key, receipt_key } = await create({ secret: 's', receipt: true });
    fence.refusedUntil = undefined;
    for (const answer of [
      get(`/secrets/${secret_key}`),
      post(`/secrets/${secret_key}`),
      post('/generate', { secret: 's' }),
      get(`/receipts/${receipt_key}`),
      request('DELETE', `/receipts/${receipt_key}`),
    ]) {
      t.deepEqual(await answerTo(answer), { status: 503, code: 'STORAGE_UNAVAILABLE' });
    }
    fence.refusedUntil = 0;
    t.is((await post(`/secrets/${secret_key}`)).status, 200);
  });
}
