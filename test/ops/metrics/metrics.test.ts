import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { FAMILIES, type Family } from '../../../src/ops/metrics/families.ts';
import { startJobs } from '../../../src/processes/worker/jobs.ts';
import { startServer, type TestServer } from '../../support/http/server.ts';
import { parseMetrics, sumOf } from '../../support/process/metrics.ts';
import { testWith } from '../../support/process/tools.ts';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';

async function serve(t: ExecutionContext): Promise<TestServer> {
  return startServer(t, { place: await SQLITE.place(t) });
}

/** Requests whose code and method come from open sets: none may become a series. */
async function askAtRandom({ request, base, port }: TestServer): Promise<void> {
  const random = (): string => randomBytes(9).toString('base64url');
  await request('PROPFIND', `/${random()}`);
  await request('GET', `/secrets/${random()}?${random()}`, undefined, {
    'user-agent': random(),
    'x-request-id': random(),
  });
  await request('POST', `/secrets/${random()}`, { phrase: random() }, { 'idempotency-key': random().repeat(2) });
  await request('DELETE', `/receipts/${random()}`);
  await request('POST', '/generate', { [random()]: random() });
  await fetch(`${base}/${random()}/`);
  await sendRaw(port, `${random()} / HTTP/1.1\r\n\r\n`);
  await sendRaw(port, `GET /${random()} HTTP/1.1\r\n\r\n`);
}

/** Sends bytes, and waits until the other side closes. */
function sendRaw(port: number, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(text));
    socket.on('close', () => resolve()).on('error', reject);
    socket.resume();
  });
}

for (const { name, test, place } of ENGINES) {
  test(`${name}: what becomes of secrets is counted, each once`, async (t) => {
    const server = await startServer(t, { place: await place(t) });
    const { create, post, request } = server;
    const [plain, burned, guessed] = [
      await create({ secret: 'x' }),
      await create({ secret: 'x', receipt: true }),
      await create({ secret: 'x', phrase: 'a phrase that is right' }),
    ];
    await create({ secret: 'x', ttl: { minutes: 1 } });
    const headers = { 'idempotency-key': 'the same reader, the same one' };
    for (let n = 0; n < 3; n++) await post(`/secrets/${plain.secret_key}`, {}, headers);
    await post(`/secrets/${plain.secret_key}`, {});
    for (let n = 0; n < 2; n++) await request('DELETE', `/receipts/${burned.receipt_key}`);
    for (let n = 0; n < 12; n++) await post(`/secrets/${guessed.secret_key}`, { phrase: 'a wrong one' });
    const series = parseMetrics(server.metrics());
    const counts = ['created', 'read', 'reread', 'burned'].map((event) => series.get(`hushbox_secrets_${event}_total`));
    t.deepEqual(counts, [4, 1, 2, 1]);
    t.is(series.get('hushbox_wrong_tries_total'), 10);
    t.is(series.get('hushbox_exhausted_tries_total'), 1);
    t.is(sumOf(series, 'hushbox_http_errors_total', 'code="TOO_MANY_TRIES"'), 2);
    t.is(series.get('hushbox_storage_operation_duration_seconds_count{operation="create"}'), 4);
  });

  test(`${name}: jobs tell how many secrets expired`, async (t) => {
    const storage = await (await place(t)).open();
    const { secrets, sink, sessions, sightings } = storage;
    const server = await startServer(t, { place: { url: '', open: async () => storage } });
    for (let n = 0; n < 3; n++) await server.create({ secret: 'x', ttl: { minutes: 1 } });
    server.clock.advance({ minutes: 2 });
    const expired = new Promise<number>((resolve) => {
      const parts = {
        ...{ secrets, sink, sessions, sightings },
        clock: () => server.clock.now,
        refusedUntil: () => 0,
        refreshKeys: async () => {},
        onExpired: resolve,
        links: storage.links,
        mails: storage.mails,
        onMailsOver: () => {},
      };
      const jobs = startJobs({ ...parts, onError: (error) => t.fail(String(error)) });
      t.teardown(() => jobs.stop());
    });
    t.is(await expired, 3);
  });
}

test('requests are counted by method, route and status, those that never had a path too', async (t) => {
  const server = await serve(t);
  await server.get('/');
  await server.get('/no/such/path');
  await server.request('PUT', '/generate', {});
  await server.post('/generate', 'not JSON');
  await server.request('PROPFIND', '/');
  await sendRaw(server.port, 'nonsense\r\n\r\n');
  const series = parseMetrics(server.metrics());
  const counted = [...series].filter(([key]) => /^hushbox_http_(requests|errors)_total/.test(key)).sort();
  t.deepEqual(counted, [
    ['hushbox_http_errors_total{route="/generate",code="INVALID_REQUEST"}', 1],
    ['hushbox_http_errors_total{route="none",code="INVALID_REQUEST"}', 1],
    ['hushbox_http_errors_total{route="none",code="METHOD_NOT_ALLOWED"}', 2],
    ['hushbox_http_errors_total{route="none",code="NOT_FOUND"}', 1],
    ['hushbox_http_requests_total{method="GET",route="/",status="200"}', 1],
    ['hushbox_http_requests_total{method="GET",route="none",status="404"}', 1],
    ['hushbox_http_requests_total{method="POST",route="/generate",status="400"}', 1],
    ['hushbox_http_requests_total{method="PUT",route="none",status="405"}', 1],
    ['hushbox_http_requests_total{method="other",route="none",status="400"}', 1],
    ['hushbox_http_requests_total{method="other",route="none",status="405"}', 1],
  ]);
  t.is(series.get('hushbox_http_request_duration_seconds_count{route="/generate"}'), 1);
});

test('refused creations are counted by what they were refused for', async (t) => {
  const storeLimits = { clientCreatesPerMinute: 3, clientMaxSecrets: 1, maxBytes: 10_000 };
  const server = await startServer(t, { place: await SQLITE.place(t), env: { LIMITS: 'on' }, storeLimits });
  await server.post('/generate', { secret: 'x'.repeat(20_000) });
  await server.create({ secret: 'x' });
  await server.post('/generate', { secret: 'x' });
  await server.post('/generate', { secret: '' });
  server.clock.advance({ seconds: 1 });
  for (let n = 0; n < 5; n++) await server.post('/generate', { secret: 'x' });
  const series = parseMetrics(server.metrics());
  const refused = (code: string): number =>
    sumOf(series, 'hushbox_http_errors_total', `{route="/generate",code="${code}"}`);
  t.is(refused('STORAGE_FULL'), 1);
  t.is(refused('INVALID_REQUEST'), 1);
  t.is(refused('QUOTA_EXCEEDED') + refused('RATE_LIMITED'), 6);
  t.is(series.get('hushbox_secrets_created_total'), 1);
});

test('no request makes a series of its own: label values come from closed sets', async (t) => {
  const server = await serve(t);
  await askAtRandom(server);
  await sendRaw(server.port, 'UNKNOWN / HTTP/1.1\r\n\r\n'); // a random method can be one such as this
  const before = [...parseMetrics(server.metrics()).keys()];
  for (let n = 0; n < 20; n++) await askAtRandom(server);
  t.deepEqual([...parseMetrics(server.metrics()).keys()], before);
});

test('storage that fails is counted as such, and fails for the caller', async (t) => {
  const place = await SQLITE.place(t);
  const server = await startServer(t, { place });
  const { secret_key } = await server.create({ secret: 'x' });
  const zero = parseMetrics(server.metrics()).get('hushbox_storage_errors_total{operation="create"}');
  t.is(zero, 0);
  await server.storage.close();
  t.is((await server.post('/generate', { secret: 'x' })).status, 503);
  t.is((await server.post(`/secrets/${secret_key}`, {})).status, 503);
  const series = parseMetrics(server.metrics());
  t.is(series.get('hushbox_storage_errors_total{operation="create"}'), 1);
  t.is(series.get('hushbox_storage_errors_total{operation="find"}'), 1);
  t.is(series.get('hushbox_storage_operation_duration_seconds_count{operation="create"}'), 2);
});

test('docs/operations.md lists every metric as it is', (t) => {
  const document = readFileSync('docs/operations.md', 'utf8');
  const rows = document.split('\n').filter((line) => /^\| `\w+` \| \w+ \| /.test(line) && line.includes('`hushbox_'));
  const expected = Object.entries<Family>(FAMILIES).map(([name, { type, labels, help }]) => {
    const names = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${names} | ${help} |`;
  });
  t.deepEqual(rows, expected);
});

testWith('promtool')("the text is Prometheus' format, and its names are as Prometheus wants them", async (t) => {
  const server = await serve(t);
  await askAtRandom(server);
  await server.create({ secret: 'x' });
  t.notThrows(() => execFileSync('promtool', ['check', 'metrics'], { input: server.metrics(), stdio: 'pipe' }));
});
