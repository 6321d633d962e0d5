import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createSecret, openUpload, readSecret, send, type Target } from '../support/http/client.ts';
import { findLeaks } from '../support/process/leaks.ts';
import { parseMetrics, type Series, sumOf } from '../support/process/metrics.ts';
import { isAlive, kill, type Program, start, until, untilReplaced } from '../support/process/program.ts';

const REQUESTS = 'hushbox_http_requests_total';

function internalOf({ folder }: Program): Target {
  return `unix:${join(folder, 'internal.sock')}`;
}

async function scrape(program: Program): Promise<string> {
  const { status, body, headers } = await send(internalOf(program), '/metrics');
  if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
  if (headers['content-type'] !== 'text/plain; version=0.0.4; charset=utf-8')
    throw new Error('not as Prometheus wants it');
  return body.text as string;
}

/** Waits until every worker has reported what it answered: they do so once a second. */
async function untilCounted(program: Program, requests: number): Promise<void> {
  await until(`${requests} requests`, async () => sumOf(parseMetrics(await scrape(program)), REQUESTS) === requests);
}

/** Creates and reads, each on a connection of its own, so that every worker gets some. */
async function makePairs(target: Target, count: number): Promise<void> {
  const pair = async (): Promise<void> => {
    const key = await createSecret(target, { secret: randomBytes(12).toString('hex') });
    const { status } = await readSecret(target, key);
    if (status !== 200) throw new Error(`read: ${status}`);
  };
  for (let left = count; left > 0; left -= 10) await Promise.all(Array.from({ length: 10 }, pair));
}

type Watch = { stop(): Promise<void>; scrapes: number; backwards: string[] };

/** Scrapes the whole time, and notes each series that goes back. */
function watchCounters(program: Program): Watch {
  let isStopping = false;
  let before: Series = new Map();
  const watch: Watch = {
    scrapes: 0,
    backwards: [],
    async stop() {
      isStopping = true;
      await watching;
    },
  };
  const watching = (async () => {
    while (!isStopping) {
      // Who asks a worker that is being killed gets no answer.
      const text = await scrape(program).catch(() => undefined);
      if (text === undefined) continue;
      const now = parseMetrics(text);
      for (const [key, value] of before) {
        const isCount = /_(?:total|bucket|sum|count)(?:\{|$)/.test(key);
        if (isCount && !((now.get(key) ?? -1) >= value)) watch.backwards.push(`${key} ${value} ${now.get(key)}`);
      }
      before = now;
      watch.scrapes += 1;
    }
  })();
  return watch;
}

async function roll(program: Program): Promise<void> {
  const before = program.workers();
  process.kill(program.primary(), 'SIGHUP');
  await untilReplaced(program, before);
}

test.serial('metrics cover all workers, exact to the second, whichever worker answers', async (t) => {
  const program = await start(t, { env: { WORKERS: '3' } });
  await makePairs(program.base, 60);
  await untilCounted(program, 120);
  await until('a second of each', async () => {
    const delays = parseMetrics(await scrape(program)).get('hushbox_event_loop_delay_seconds_count') ?? 0;
    return delays >= 3;
  });
  for (let n = 0; n < 10; n++) {
    const series = parseMetrics(await scrape(program));
    t.is(sumOf(series, REQUESTS), 120);
    t.is(series.get(`${REQUESTS}{method="POST",route="/secrets/:key",status="200"}`), 60);
    t.is(series.get('hushbox_secrets_created_total'), 60);
    t.is(series.get('hushbox_secrets_read_total'), 60);
    t.is(series.get('hushbox_http_request_duration_seconds_count{route="/generate"}'), 60);
    t.is(series.get('hushbox_workers_ready'), 3);
    t.is(series.get('hushbox_workers_wanted'), 3);
    t.is(series.get('hushbox_worker_restarts_total{reason="died"}'), 0);
    for (const worker of [1, 2, 3]) {
      t.true((series.get(`hushbox_worker_resident_memory_bytes{worker="${worker}"}`) ?? 0) > 1e7);
    }
    t.true((series.get('hushbox_storage_batch_calls_sum') ?? 0) >= 120);
  }
});

test.serial('nothing goes back while workers are replaced and killed, and what was reported stays', async (t) => {
  const program = await start(t);
  const watch = watchCounters(program);
  await makePairs(program.base, 50);
  await roll(program); // a worker that leaves reports at its end, so that nothing is lost
  await makePairs(program.base, 50);
  await untilCounted(program, 200);
  for (const pid of program.workers()) {
    const before = program.stderr().match(/"worker is ready"/g)?.length ?? 0;
    kill(pid);
    await until('its successor', () => (program.stderr().match(/"worker is ready"/g)?.length ?? 0) > before);
  }
  await makePairs(program.base, 50);
  await untilCounted(program, 300);
  await watch.stop();
  const series = parseMetrics(await scrape(program));
  t.deepEqual(watch.backwards, []);
  t.true(watch.scrapes > 20, `${watch.scrapes} scrapes`);
  t.is(sumOf(series, REQUESTS), 300);
  t.is(series.get('hushbox_secrets_read_total'), 150);
  t.is(series.get('hushbox_workers_ready'), 2);
  t.is(series.get('hushbox_worker_restarts_total{reason="replaced"}'), 2);
  t.is(series.get('hushbox_worker_restarts_total{reason="died"}'), 2);
});

test.serial('the counts of the last moments of a worker that leaves are not lost', async (t) => {
  const program = await start(t, { env: { WORKERS: '1' } });
  for (let rolls = 1; rolls <= 3; rolls++) {
    const [old] = program.workers();
    const { finish } = await openUpload(program.base, '/generate');
    process.kill(program.primary(), 'SIGHUP');
    await until('its successor', () => program.stderr().match(/"worker is ready"/g)?.length === 1 + rolls);
    await sleep(1_100); // nothing keeps it any longer but the upload; and by then the next SIGHUP is another one
    t.is((await finish('{"secret": "one of the last moment"}')).status, 201);
    await until('the end of the old one', () => !isAlive(old as number));
    await until('the end of the roll', () => program.stderr().match(/"done replacing/g)?.length === rolls);
    t.is(parseMetrics(await scrape(program)).get('hushbox_secrets_created_total'), rolls);
  }
});

test.serial('the public listener has no metrics, and asking for them is an unknown path', async (t) => {
  const program = await start(t);
  const answers = await Promise.all(
    ['/metrics', '/metrics/', '//metrics', '/METRICS'].map((path) => send(program.base, path)),
  );
  for (const { status, body } of answers) {
    t.is(status, 404);
    t.is(body.code, 'NOT_FOUND');
  }
});

test.serial(
  'metrics hold what every worker has counted up to now; one that does not answer delays them little',
  async (t) => {
    const program = await start(t, { env: { WORKERS: '2' } });
    let isExact = false; // not each time: on a busy machine the other worker can be the one that does not answer
    for (let round = 1; round <= 5 && !isExact; round++) {
      await makePairs(program.base, 20);
      isExact = sumOf(parseMetrics(await scrape(program)), REQUESTS) === 40 * round;
    }
    t.true(isExact);
    const [one = 0] = program.workers();
    process.kill(one, 'SIGSTOP');
    const text = await scrape(program);
    process.kill(one, 'SIGCONT');
    t.is(parseMetrics(text).get('hushbox_workers_wanted'), 2);
  },
);

test.serial('while the primary does not answer, metrics are a 503 in the usual form, and come back', async (t) => {
  const program = await start(t);
  process.kill(program.primary(), 'SIGSTOP');
  const { status, body, headers } = await send(internalOf(program), '/metrics');
  process.kill(program.primary(), 'SIGCONT');
  t.is(status, 503);
  t.like(body, { code: 'TOTALS_UNAVAILABLE', request_id: headers['x-request-id'] });
  t.is(headers['retry-after'], '1');
  await until('metrics', async () => (await send(internalOf(program), '/metrics')).status === 200);
});

test.serial('whatever was sent and answered, the metrics hold nothing secret', async (t) => {
  const CREATE_TOKEN = randomBytes(16).toString('hex');
  const program = await start(t, { env: { CREATE_TOKEN } });
  const headers = { authorization: `Bearer ${CREATE_TOKEN}` };
  const phrase = 'a phrase that must not be seen';
  const secret = 'a secret that must not be seen';
  const created = await send(program.base, '/generate', { secret, phrase, receipt: true }, { headers });
  const { secret_key, receipt_key } = created.body as Record<string, string>;
  const reread = { headers: { 'idempotency-key': randomBytes(16).toString('hex') } };
  for (const body of [{ phrase: 'a wrong phrase, not to be seen' }, { phrase }, { phrase }, {}]) {
    await send(program.base, `/secrets/${secret_key}`, body, reread);
  }
  for (const method of ['GET', 'HEAD', 'DELETE', 'PUT', 'OPTIONS']) {
    for (const path of [`/secrets/${secret_key}`, `/receipts/${receipt_key}`, `/${secret_key}?${receipt_key}`]) {
      await send(program.base, path, undefined, { method, ...reread });
    }
  }
  await untilCounted(program, 20);
  const text = await scrape(program);
  t.deepEqual(findLeaks(text), []);
  t.true(findLeaks(`${text} ${secret_key}`).length > 0, 'the search finds what is there');
});
