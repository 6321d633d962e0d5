import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { send } from '../support/http/client.ts';
import { kill, type ReadyProgram, start, until, untilReplaced } from '../support/process/program.ts';

/** Within this time every worker has reported what it counted. */
const EXACT_WITHIN_MS = 1_000;
/** The same on a busy machine, for what cannot be asked again. */
const REPORTED_MS = 3_000;

type Status = { started_at: string; uptime_seconds: number; requests: number };

/** Asks until all answers are counted, its own questions included, and reported. @returns how often it asked. */
async function untilCounted(program: ReadyProgram, before: number): Promise<number> {
  let asked = 0;
  let counted: number;
  await until(`${before} requests`, async () => {
    await sleep(EXACT_WITHIN_MS);
    counted = (await statusOf(program)).requests;
    asked += 1;
    if (counted > before + asked - 1) throw new Error(`${counted} requests, of ${before} and ${asked - 1} questions`);
    return counted === before + asked - 1;
  });
  await sleep(REPORTED_MS);
  return asked;
}

async function statusOf(program: ReadyProgram): Promise<Status> {
  const { status, body } = await send(program.base, '/status');
  if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
  return body as Status;
}

/** Each on its own connection, so that every worker gets some. */
async function makeRequests(program: ReadyProgram, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 10) {
    await Promise.all(Array.from({ length: 10 }, () => send(program.base, '/health/live')));
  }
}

test.serial(
  'requests are counted over all workers, exact within a second, and kept when workers are replaced and killed',
  async (t) => {
    const program = await start(t, { env: { WORKERS: '3' } });
    const first = await statusOf(program);
    await makeRequests(program, 90);
    let answered = 91;
    answered += await untilCounted(program, answered);

    const workers = program.workers();
    process.kill(program.primary(), 'SIGHUP');
    await untilReplaced(program, workers);
    await makeRequests(program, 30);
    answered += 30;
    answered += await untilCounted(program, answered);

    for (const pid of program.workers()) kill(pid);
    await until('the successors', () => (program.stderr().match(/"worker is ready"/g)?.length ?? 0) === 9);
    answered += await untilCounted(program, answered);

    const last = await statusOf(program);
    t.is(last.started_at, first.started_at);
    t.is(new Date(last.started_at).toISOString(), last.started_at);
    t.true(last.uptime_seconds > first.uptime_seconds);
    t.true(Math.abs(Date.parse(last.started_at) + last.uptime_seconds * 1000 - Date.now()) < 60_000);
    t.true(answered > 120);
  },
);

test.serial('a worker that is killed loses at most what it counted since its last report', async (t) => {
  const program = await start(t, { env: { WORKERS: '1' } });
  let answered = 0;
  for (let kills = 1; kills <= 4; kills++) {
    await makeRequests(program, 10);
    answered += 10;
    await sleep(REPORTED_MS);
    kill(program.workers()[0] as number);
    await until('the successor', () => program.stderr().match(/"worker is ready"/g)?.length === 1 + kills);
  }
  t.is((await statusOf(program)).requests, answered);
});

test.serial('while the primary does not answer, the status is a 503, and comes back', async (t) => {
  const program = await start(t);
  process.kill(program.primary(), 'SIGSTOP');
  const { status, body, headers } = await send(program.base, '/status');
  process.kill(program.primary(), 'SIGCONT');
  t.is(status, 503);
  t.like(body, { code: 'TOTALS_UNAVAILABLE', request_id: headers['x-request-id'] });
  t.is(headers['retry-after'], '1');
  await until('the status', async () => (await send(program.base, '/status')).status === 200);
});
