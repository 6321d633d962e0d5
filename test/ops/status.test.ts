import test, { type ExecutionContext } from 'ava';
import { AppError } from '../../src/errors.ts';
import type { Samples } from '../../src/ops/metrics/families.ts';
import { createStatus } from '../../src/ops/status.ts';
import { expectError } from '../secrets/black-box.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const STARTED_AT = Date.UTC(2066, 0, 1, 12);

async function start(t: ExecutionContext, options: Omit<TestServerOptions, 'place'> = {}): Promise<TestServer> {
  return startServer(t, { place: await SQLITE.place(t), ...options });
}

const totalsOf = (...counts: number[]): Samples => ({
  hushbox_start_time_seconds: { '': [STARTED_AT / 1000] },
  hushbox_http_requests_total: Object.fromEntries(counts.map((count, index) => [`GET / ${200 + index}`, [count]])),
});

test('requests of every kind are added up; the start is told to the millisecond, the time since then too', async (t) => {
  let now = STARTED_AT;
  const readStatus = createStatus(
    async () => totalsOf(1, 20, 300),
    () => now,
  );
  t.deepEqual(await readStatus(), { startedAt: STARTED_AT, uptimeSeconds: 0, requests: 321 });
  now += 86_400_001;
  t.like(await readStatus(), { uptimeSeconds: 86_400.001 });
  now = STARTED_AT - 5_000; // by a clock that was put back
  t.like(await readStatus(), { uptimeSeconds: 0 });
});

test('before anything was counted there is nothing to add up', async (t) => {
  const { requests } = await createStatus(
    async () => totalsOf(),
    () => STARTED_AT,
  )();
  t.is(requests, 0);
});

test('a program gets JSON, a browser a page that says the same, each with nothing to cache', async (t) => {
  const server = await start(t, { readTotals: async () => totalsOf(1_234_567) });
  server.clock.advance({ days: 2, hours: 3, minutes: 4, seconds: 5 });
  for (const path of ['/status', '/status/']) {
    for (const accept of ['*/*', 'application/json', 'application/json, text/html;q=0.9']) {
      const response = await server.get(path, { accept });
      t.is(response.status, 200);
      t.is(response.headers.get('vary')?.toLowerCase(), 'accept');
      const started_at = new Date(STARTED_AT).toISOString();
      t.deepEqual(await response.json(), { started_at, uptime_seconds: 183_845, requests: 1_234_567 });
    }
    const page = await server.get(path, BROWSER);
    t.is(page.headers.get('content-type'), 'text/html; charset=utf-8');
    t.is(page.headers.get('vary')?.toLowerCase(), 'accept, accept-language, cookie');
    t.is(page.headers.get('cache-control'), 'no-store');
    const html = await page.text();
    t.true(html.includes('>1,234,567<'));
    t.true(html.includes('>2 d 03:04:05<'));
    t.true(html.includes(`datetime="${new Date(STARTED_AT).toISOString()}"`));
    t.regex(html, /<noscript><meta http-equiv="refresh" content="\d">/);
  }
});

test('what was answered is counted, also what was refused; who asks is counted with the next', async (t) => {
  const server = await start(t);
  const counted = async (): Promise<unknown> =>
    ((await (await server.get('/status')).json()) as { requests: number }).requests;
  t.is(await counted(), 0);
  await server.get('/no/such/path');
  await server.create({ secret: 'x' });
  t.is(await counted(), 3);
  t.is(await counted(), 4);
});

test('where the counts are not at hand, a program is told when to come back, and a browser comes back', async (t) => {
  const server = await start(t, {
    async readTotals() {
      throw new AppError('TOTALS_UNAVAILABLE', { retryAfterSeconds: 1 });
    },
  });
  const response = await server.get('/status');
  t.is(response.headers.get('retry-after'), '1');
  await expectError(t, response, 503, 'TOTALS_UNAVAILABLE');
  const page = await server.get('/status', BROWSER);
  t.is(page.status, 503);
  const html = await page.text();
  t.regex(html, /http-equiv="refresh"/);
  t.false(html.includes('secret is there'), 'there is no talk of a secret');
});
