import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { connectionLimits } from '../../src/processes/worker/descriptors.ts';
import { createSecret, openUpload, readSecret, send } from '../support/http/client.ts';
import { parseMetrics } from '../support/process/metrics.ts';
import { type ReadyProgram, start, until } from '../support/process/program.ts';

const DESCRIPTORS = 256;
/** `FLOOD_CONNECTIONS=10000 FLOOD_SECONDS=60` for a longer run. */
const FLOOD_CONNECTIONS = Number(process.env.FLOOD_CONNECTIONS ?? 900);
const FLOOD_MS = Number(process.env.FLOOD_SECONDS ?? 10) * 1_000;
/** Sooner than our client gives up a connection on which nothing comes. */
const UPLOAD_MS = 10_000;
const MAX_MEMORY_GROWTH = 150_000_000;

function startWithFewDescriptors(t: ExecutionContext): Promise<ReadyProgram> {
  const script = `ulimit -n ${DESCRIPTORS}; exec ${process.execPath} src/main.ts`;
  return start(t, { command: ['sh', '-c', script] });
}

/** Idle connections, each opened again when it is closed. A process of its own, because ours has to be quick. */
const FLOOD = `
  const { connect } = require('node:net');
  const [port, count] = process.argv.slice(1).map(Number);
  let closed = 0;
  function open() {
    connect(port, '127.0.0.1').on('error', () => {}).resume().once('close', () => {
      closed += 1;
      setTimeout(open, 10);
    });
  }
  for (let n = 0; n < count; n++) open();
  process.on('SIGTERM', () => process.stdout.write(String(closed), () => process.exit()));
`;

function flood(t: ExecutionContext, base: string, count: number): { stop(): Promise<number> } {
  const child = spawn(process.execPath, ['-e', FLOOD, new URL(base).port, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  return {
    async stop() {
      child.kill('SIGTERM');
      return Number(await text(child.stdout));
    },
  };
}

async function metricsOf({ folder }: ReadyProgram): Promise<ReadonlyMap<string, number>> {
  const { body } = await send(`unix:${folder}/internal.sock`, '/metrics');
  return parseMetrics(body.text as string);
}

test.serial('a flood of idle connections ends no worker, and everybody else is answered', async (t) => {
  const program = await startWithFewDescriptors(t);
  const workers = program.workers();
  const memory = 'hushbox_worker_resident_memory_bytes{worker="1"}';
  let before = 0;
  await until('the first report of worker 1', async () => {
    before = (await metricsOf(program)).get(memory) ?? 0;
    return before > 0;
  });
  const { stop } = flood(t, program.base, FLOOD_CONNECTIONS);
  const end = performance.now() + FLOOD_MS;
  let answered = 0;
  let missed = 0;
  const isServed = (): boolean => answered > 3 && missed <= answered / 10;
  const isDone = (): boolean => performance.now() > end + (isServed() ? 0 : 60_000); // longer on a busy machine
  function onMissed({ message }: Error): void {
    // The kernel's queue of new connections is full. Or our request came more than 200 ms after its connection.
    t.regex(message, /no answer within|ECONNRESET|socket hang up/);
    missed += 1;
  }
  async function ask(): Promise<void> {
    const key = await createSecret(program.base, { secret: 'through the flood' });
    t.is((await readSecret(program.base, key)).status, 200);
    answered += 1;
  }
  async function askOn(): Promise<void> {
    while (!isDone()) await ask().catch(onMissed);
  }
  /** What is in progress is not closed for others. */
  async function uploadSlowly(tries = 5): Promise<void> {
    const upload = await openUpload(program.base, '/generate').catch((error) => {
      if (tries === 1) throw error;
    });
    if (!upload) return uploadSlowly(tries - 1);
    await sleep(UPLOAD_MS);
    t.is((await upload.finish('{"secret": "slow"}')).status, 201);
  }
  await Promise.all([askOn(), uploadSlowly()]);
  const series = await metricsOf(program);
  t.true((await stop()) > 500);
  t.true(isServed(), `${answered} pairs, ${missed} not answered`);
  t.log(`${answered} pairs answered, ${missed} not`);
  t.deepEqual(program.workers(), workers);
  const max = 2 * connectionLimits(DESCRIPTORS).public;
  t.is(series.get('hushbox_http_connections_max'), max);
  t.true((series.get('hushbox_http_connections') ?? Number.POSITIVE_INFINITY) <= max);
  t.true((series.get('hushbox_http_connections_closed_total') ?? 0) > 500);
  const after = series.get(memory) ?? Number.POSITIVE_INFINITY;
  t.true(after - before < MAX_MEMORY_GROWTH, `from ${before} to ${after} bytes`);
  t.notRegex(program.stderr(), /EMFILE|worker died/);
  t.is((await send(program.base, '/health/ready')).status, 200);
});

test('the limit on connections leaves at least as many descriptors for everything else', (t) => {
  for (const descriptors of [256, 1_024, 4_096, 20_000, 1_048_576, Number.POSITIVE_INFINITY]) {
    const limits = connectionLimits(descriptors);
    t.true(2 * (limits.public + limits.internal) + 96 <= descriptors, String(descriptors));
    t.true(limits.public <= 8_192 && limits.public >= 70 && limits.internal >= 10);
  }
  t.deepEqual(connectionLimits(64), { public: 14, internal: 2 }); // even then it serves
});
