import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { LargeAnswer, LargeLoad } from './bodies-client.ts';
import { whole } from './figures.ts';
import { residentMiB, runClient, type Service, startService } from './service.ts';

/**
 * What large secrets add to the memory of one worker, and to the time of small reads meanwhile. The aim is at most
 * `BODIES_MAX_BYTES` + 64 MiB, and 5 times. Run: node bench/bodies.ts [--clients 200] [--mib 1]
 */
const { values } = parseArgs({
  options: { clients: { type: 'string', default: '200' }, mib: { type: 'string', default: '1' } },
});
const CLIENTS = Number(values.clients);
const BYTES = Number(values.mib) * 1024 * 1024;
const SMALL = JSON.stringify({ secret: 's'.repeat(64) });

type Figures = { mostMiB: number; p99Ms: number; reads: number; cpuSeconds: number };

async function post(port: number, path: string, body: string): Promise<{ secret_key: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body });
  if (!response.ok) throw new Error(`a small request got ${response.status}`);
  return (await response.json()) as { secret_key: string };
}

/** @returns how long reading a small secret took, in ms. */
async function readSmall(port: number): Promise<number> {
  const { secret_key: key } = await post(port, '/generate', SMALL);
  const before = performance.now();
  await post(port, `/secrets/${key}`, '');
  return performance.now() - before;
}

/** Reads small secrets one after another while something goes on, and looks at the memory. */
async function watch<T>(
  { port, workerPid, cpuSeconds }: Service,
  begin: () => Promise<T>,
): Promise<Figures & { result: T }> {
  const times: number[] = [];
  const before = cpuSeconds();
  let isOver = false;
  let mostMiB = residentMiB(workerPid);
  const timer = setInterval(() => {
    mostMiB = Math.max(mostMiB, residentMiB(workerPid));
  }, 10);
  const reading = (async () => {
    while (!isOver) {
      times.push(await readSmall(port));
      await sleep(2);
    }
  })();
  const result = await begin().finally(() => {
    isOver = true;
  });
  await reading;
  clearInterval(timer);
  times.sort((a, b) => a - b);
  const p99Ms = times[Math.floor(times.length * 0.99)] ?? Number.NaN;
  return { result, mostMiB, p99Ms, reads: times.length, cpuSeconds: cpuSeconds() - before };
}

function print(what: string, { mostMiB, p99Ms, reads, cpuSeconds }: Figures, calm: Figures): void {
  const added = (mostMiB - calm.mostMiB).toFixed(0);
  const times = (p99Ms / calm.p99Ms).toFixed(1);
  process.stdout.write(`${what}: ${added} MiB more than ${calm.mostMiB.toFixed(0)}, `);
  process.stdout.write(`p99 of ${whole(reads)} small reads ${p99Ms.toFixed(1)} ms (${times} ×), `);
  process.stdout.write(`${cpuSeconds.toFixed(1)} s of a core\n`);
}

function statusesOf(answers: readonly LargeAnswer[]): string {
  const counts = Map.groupBy(answers, ({ status }) => status);
  return [...counts].map(([status, { length }]) => `${length} × ${status}`).join(', ');
}

const service = await startService({
  env: { ...(process.env.PROF && { NODE_OPTIONS: process.env.PROF }), LIMITS: 'on', CREATES_PER_MINUTE: '1000000' },
});
const run = (load: Pick<LargeLoad, 'creates' | 'reads'>) =>
  runClient<LargeAnswer[]>('bodies-client.ts', { port: service.port, bytes: BYTES, ...load } satisfies LargeLoad);
try {
  for (let index = 0; index < 300; index++) await readSmall(service.port);
  const calm = await watch(service, () => sleep(5_000));
  print('calm', calm, calm);
  const sent = await watch(service, () => run({ creates: CLIENTS }));
  print(`${CLIENTS} uploads (${statusesOf(sent.result)})`, sent, calm);
  const keys = sent.result.flatMap(({ key }) => key ?? []);
  const read = await watch(service, () => run({ reads: keys }));
  const arrived = read.result.filter(({ isWhole }) => isWhole).length;
  print(`${keys.length} slow readers (${statusesOf(read.result)}, ${arrived} whole)`, read, calm);
} finally {
  await service.stop();
}
