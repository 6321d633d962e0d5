import { execFile, execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { type Bar, drawBars } from './draw.ts';
import { median, whole } from './figures.ts';
import { fillWithSecrets } from './fill.ts';
import type { Load, Rate } from './load.ts';
import type { Delay, Probe } from './probe.ts';
import { residentMiB, runClient, type Service, type ServiceOptions, startService, threadTimeMs } from './service.ts';

/**
 * Measures everything docs/benchmarks.md says, and writes it: `make bench`. The service has core 0, its client core 1.
 * Contestants of one comparison take turns, several rounds, and the median counts, so that a slow spell of the machine
 * meets all of them. `--quick` takes shorter turns and writes nothing.
 */
const { values: options } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const ROUNDS = options.quick ? 1 : 3;
const SECONDS = options.quick ? 2 : 4;
const CONNECTIONS = 32;
const DOCS = new URL('../docs/', import.meta.url).pathname;
const run = promisify(execFile);

/** Limits that are counted and never reached. */
const LIMITED = {
  LIMITS: 'on',
  CREATES_PER_MINUTE: '1000000',
  CLIENT_MAX_SECRETS: '999999999',
  CLIENT_MAX_BYTES: '999999999999',
};

type Row = { what: string; value: string; target?: string };
const sections: { title: string; note: string; rows: Row[]; bars?: Bar[] }[] = [];

const load = (service: Service, extra: Partial<Load> = {}): Promise<Rate> =>
  runClient<Rate>('load.ts', {
    port: service.port,
    connections: CONNECTIONS,
    seconds: SECONDS,
    warmupSeconds: 5,
    ...extra,
  } satisfies Load);
const probe = (service: Service, extra: Omit<Probe, 'port'>): Promise<Delay> =>
  runClient<Delay>('probe.ts', { port: service.port, ...extra } satisfies Probe);

const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const ratio = (value: number): string => value.toFixed(2);

function expectNoFailures(name: string, { failures }: { failures: number }): void {
  if (failures > 0) throw new Error(`${name}: ${failures} answers were wrong`);
}

async function measureOnce<Result>(
  start: ServiceOptions,
  measure: (service: Service) => Promise<Result>,
): Promise<Result> {
  const service = await startService(start);
  try {
    return await measure(service);
  } finally {
    await service.stop();
  }
}

function syncMs(): number {
  const folder = mkdtempSync(join(tmpdir(), 'hushbox-sync-'));
  const file = openSync(join(folder, 'file'), 'w');
  const block = Buffer.alloc(4096);
  const times = Array.from({ length: 300 }, () => {
    writeSync(file, block);
    const startedAt = performance.now();
    fsyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  rmSync(folder, { recursive: true });
  return median(times);
}

async function comparePairs(): Promise<void> {
  const mongoUrl = process.env.MONGODB_TEST_URL;
  const contestants: [string, ServiceOptions][] = [
    ['bare node:http, stores nothing', { entry: 'bench/bare/http.ts' }],
    ['bare Koa + router + koa-body, stores nothing', { entry: 'bench/bare/koa.ts' }],
    ['Hushbox on SQLite', {}],
    ['Hushbox on SQLite, limits per client on', { env: LIMITED }],
  ];
  if (mongoUrl) contestants.push(['Hushbox on MongoDB', { storageUrl: new URL('/hushbox_bench', mongoUrl).href }]);
  const rates = new Map<string, Rate[]>(contestants.map(([name]) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, start] of contestants) {
      const rate = await measureOnce(start, (service) => load(service));
      if (name.startsWith('Hushbox')) expectNoFailures(name, rate);
      rates.get(name)?.push(rate);
      process.stdout.write(`  ${name}: ${whole(rate.pairsPerSecond)} pairs/s, p99 ${ms(rate.p99Ms)}\n`);
    }
  }
  const pairs = (name: string): number => median((rates.get(name) ?? []).map(({ pairsPerSecond }) => pairsPerSecond));
  const koa = pairs('bare Koa + router + koa-body, stores nothing');
  sections.push({
    title: 'Create and read, without phrase',
    note: `Pairs per second, one worker on one core, ${CONNECTIONS} connections, 64-byte secrets, each write synced before its answer, limits per client off unless stated. Median of ${ROUNDS} rounds. Decision 13 (docs/decisions) says what is left of the distance to the target, and why it stays.`,
    rows: [
      ...contestants.map(([name]) => ({
        what: name,
        value: `${whole(pairs(name))} pairs/s, p99 ${ms(median((rates.get(name) ?? []).map(({ p99Ms }) => p99Ms)))}`,
      })),
      {
        what: 'Hushbox on SQLite against bare Koa',
        value: ratio(pairs('Hushbox on SQLite') / koa),
        target: '≥ 0.52, goal 0.63',
      },
    ],
    bars: contestants.map(([name]) => ({ label: name, value: pairs(name), isOurs: name.startsWith('Hushbox') })),
  });
}

async function comparePhrases(): Promise<void> {
  const cores = availableParallelism();
  const all = Array.from({ length: cores }, (_, core) => core).join(',');
  const bare: number[] = [];
  const ours: number[] = [];
  for (let round = 0; round < Math.min(ROUNDS, 3); round++) {
    const script = new URL('bare/argon2.ts', import.meta.url).pathname;
    bare.push(Number((await run(process.execPath, [script, String(cores), String(SECONDS)])).stdout));
    const rate = await measureOnce({ cores: all, env: { WORKERS: String(cores) } }, async (service) => {
      await load(service, { warmupSeconds: 0 }); // at a hundred pairs a second the code would stay cold for minutes
      return load(service, { phrase: 'correct horse', connections: 16 });
    });
    expectNoFailures('with phrase', rate);
    ours.push(rate.pairsPerSecond * 2);
    process.stdout.write(`  with phrase: ${whole(rate.pairsPerSecond * 2)} of ${whole(bare.at(-1) ?? 0)} hashes/s\n`);
  }
  sections.push({
    title: 'Create and read, with phrase',
    note: `Each pair is two argon2id hashes (19 MiB, 2 passes). ${cores} cores, shared by the service and its client; 16 connections, after ${SECONDS} s of pairs without phrase. Decision 13 (docs/decisions) says what is left of the distance to the target.`,
    rows: [
      { what: `argon2id alone, ${cores} threads`, value: `${whole(median(bare))} hashes/s` },
      { what: 'Hushbox, 2 hashes a pair', value: `${whole(median(ours))} hashes/s` },
      {
        what: 'Hushbox against argon2id alone',
        value: ratio(median(ours.map((rate, round) => rate / (bare[round] as number)))),
        target: '≥ 0.90',
      },
    ],
  });
}

async function compareReadsUnderHashing(): Promise<void> {
  const cores = availableParallelism();
  const all = Array.from({ length: cores }, (_, core) => core).join(',');
  const [calm, busy] = await measureOnce({ cores: all, env: { WORKERS: String(cores) } }, async (service) => {
    const reads = { kind: 'read', perSecond: 200, seconds: SECONDS * 2 } as const;
    await probe(service, reads);
    const alone = await probe(service, reads);
    const hashing = load(service, {
      phrase: 'correct horse',
      connections: 48,
      seconds: SECONDS * 2 + 6,
      warmupSeconds: 0,
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const crowded = await probe(service, reads);
    expectNoFailures('reads under hashing', crowded);
    expectNoFailures('hashing', await hashing);
    return [alone, crowded] as const;
  });
  sections.push({
    title: 'Reads while phrases are hashed',
    note: '200 reads a second without phrase, sent on schedule whether or not earlier ones were answered. At the same time 48 connections keep every hash slot busy.',
    rows: [
      { what: 'p99 alone', value: ms(calm.p99Ms) },
      { what: 'p99 while the gate is saturated', value: ms(busy.p99Ms) },
      { what: 'ratio', value: ratio(busy.p99Ms / calm.p99Ms), target: '≤ 3' },
    ],
  });
}

async function compareStanding(): Promise<void> {
  const count = options.quick ? 50_000 : 1_000_000;
  const folder = mkdtempSync(join(tmpdir(), 'hushbox-standing-'));
  const path = join(folder, 'hushbox.db');
  const dayMs = 24 * 3_600_000;
  await fillWithSecrets(path, count, [dayMs, 7 * dayMs]);
  const empty: number[] = [];
  const full: number[] = [];
  for (let round = 0; round < Math.min(ROUNDS, 3); round++) {
    empty.push((await measureOnce({}, (service) => load(service, { seconds: SECONDS * 2 }))).pairsPerSecond);
    full.push(
      (await measureOnce({ storageUrl: `sqlite:${path}` }, (service) => load(service, { seconds: SECONDS * 2 })))
        .pairsPerSecond,
    );
    process.stdout.write(`  standing: ${whole(full.at(-1) ?? 0)} against ${whole(empty.at(-1) ?? 0)} pairs/s\n`);
  }
  await run('sync'); // what filling left unwritten is not ours to wait for
  const calm = await measureLoop(path);
  await fillWithSecrets(path, count / 10, [-2 * dayMs, -dayMs]);
  await run('sync');
  const sweeping = await measureLoop(path);
  rmSync(folder, { recursive: true });
  sections.push({
    title: `${whole(count)} standing secrets`,
    note: 'The same create and read, on a file that already contains this many secrets. Then 20 s of a light load (4 connections), during which the worker measures the longest block of its event loop: first with nothing to sweep, then while a tenth of the secrets, expired, are swept.',
    rows: [
      { what: 'empty', value: `${whole(median(empty))} pairs/s` },
      { what: 'standing', value: `${whole(median(full))} pairs/s` },
      { what: 'ratio', value: ratio(median(full) / median(empty)), target: '≥ 0.80' },
      { what: 'longest block of the event loop', value: ms(calm) },
      { what: 'the same while sweeping', value: ms(sweeping), target: '≤ 20 ms' },
    ],
  });
}

/** The longest that the loop of a worker was held in 20 s under load, checkpoints included. @returns ms. */
async function measureLoop(path: string): Promise<number> {
  const file = join(mkdtempSync(join(tmpdir(), 'hushbox-loop-')), 'delays');
  const preload = new URL('loop-delay.ts', import.meta.url).href;
  const env = { NODE_OPTIONS: `--import=${preload}`, LOOP_DELAY_FILE: file };
  return measureOnce({ storageUrl: `sqlite:${path}`, env }, async (service) => {
    await load(service, { warmupSeconds: 0 });
    const startedAt = Date.now() + 500; // what was under way before counts in the next line
    await load(service, { seconds: 20, connections: 4, warmupSeconds: 1 });
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const delays = lines.map((line) => JSON.parse(line) as { at: number; maxMs: number });
    return Math.max(...delays.filter(({ at }) => at > startedAt).map(({ maxMs }) => maxMs));
  });
}

async function compareSlowDisk(): Promise<void> {
  const library = join(mkdtempSync(join(tmpdir(), 'hushbox-slow-')), 'slow-sync.so');
  execFileSync('cc', [
    '-shared',
    '-fPIC',
    '-O2',
    '-o',
    library,
    new URL('slow-sync.c', import.meta.url).pathname,
    '-ldl',
  ]);
  const live = await measureOnce({ env: { LD_PRELOAD: library } }, async (service) => {
    const loading = load(service, { seconds: SECONDS * 2 + 4, warmupSeconds: 0 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const delay = await probe(service, { kind: 'live', perSecond: 100, seconds: SECONDS * 2 });
    return { delay, rate: await loading };
  });
  expectNoFailures('slow disk', live.rate);
  sections.push({
    title: 'A disk that syncs in 10 ms',
    note: 'A preloaded library makes every fsync and fdatasync sleep 10 ms first. One worker on one core, 32 connections at full load.',
    rows: [
      { what: 'pairs', value: `${whole(live.rate.pairsPerSecond)} pairs/s, p99 ${ms(live.rate.p99Ms)}` },
      { what: 'p99 of GET /health/live', value: ms(live.delay.p99Ms), target: '≤ 15 ms' },
    ],
  });
}

async function compareMemory(): Promise<void> {
  const atRest = async (start: ServiceOptions): Promise<number> =>
    measureOnce(start, async (service) => {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      return residentMiB(service.workerPid);
    });
  const bare = await atRest({ entry: 'bench/bare/memory.ts' });
  await atRest({}); // fills the compile cache
  const ours = await atRest({});
  const requests = options.quick ? 100_000 : 1_000_000;
  const [before, after] = await measureOnce({}, async (service) => {
    const flood = (count: number): Promise<Rate> =>
      runClient<Rate>('load.ts', {
        port: service.port,
        connections: CONNECTIONS,
        seconds: 0,
        warmupSeconds: 0,
        requests: count,
      });
    await flood(requests / 2);
    const settled = residentMiB(service.workerPid);
    await flood(requests);
    return [settled, residentMiB(service.workerPid)] as const;
  });
  sections.push({
    title: 'Memory of a worker',
    note: `Resident. The growth is over ${whole(requests)} requests, half of them for unknown keys, after a warm-up of half as many.`,
    rows: [
      { what: 'bare Koa + zod + pino at rest', value: `${bare.toFixed(0)} MiB` },
      { what: 'Hushbox at rest', value: `${ours.toFixed(0)} MiB` },
      { what: 'ratio', value: ratio(ours / bare), target: '≤ 1.5' },
      { what: 'before and after', value: `${before.toFixed(0)} and ${after.toFixed(0)} MiB` },
      { what: 'growth', value: `${(((after - before) / before) * 100).toFixed(1)} %`, target: '≤ 10 %' },
    ],
  });
}

/** Processor time of an idle service in ms for each second, when its start is over. */
async function idleMs(start: ServiceOptions): Promise<number> {
  return measureOnce(start, async ({ pid }) => {
    const seconds = options.quick ? 5 : 30;
    await sleep(options.quick ? 5_000 : 15_000);
    const before = threadTimeMs(pid);
    await sleep(seconds * 1_000);
    return (threadTimeMs(pid) - before) / seconds;
  });
}

async function measureIdle(): Promise<void> {
  const bare = await idleMs({ entry: 'bench/bare/timer.ts' });
  const idle = await idleMs({ cores: '0,1', env: { WORKERS: '2', LIMITS: 'on' } });
  sections.push({
    title: 'Idle',
    note: 'Processor time of all processes and threads, in milliseconds for each second, without a request. A service with two workers is three processes, and each worker looks once a second whether its database was put back. Waking up is what it costs: decision 13 (docs/decisions).',
    rows: [
      { what: 'a Node process that wakes up once a second', value: `${bare.toFixed(2)} ms` },
      { what: 'Hushbox, 2 workers', value: `${idle.toFixed(1)} ms`, target: '≤ 2 ms' },
      { what: 'against three such processes', value: ratio(idle / bare / 3) },
    ],
  });
}

async function measureStart(): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const script = new URL('start.sh', import.meta.url).pathname;
    times.push(Number((await run('sh', [script])).stdout));
  }
  sections.push({
    title: 'Start',
    note: '`make run` in a built checkout with an empty data folder, until POST /generate is answered with 201.',
    rows: [{ what: 'median', value: ms(median(times)), target: '≤ 1 s' }],
  });
}

function writeResults(sync: number): void {
  const [comparison] = sections;
  if (comparison?.bars)
    writeFileSync(join(DOCS, 'benchmarks.svg'), drawBars(comparison.title, comparison.bars, 'pairs/s'));
  const tables = sections.map(({ title, note, rows }) => {
    const lines = rows.map(({ what, value, target }) => `| ${what} | ${value} | ${target ?? ''} |`);
    return [`## ${title}`, '', note, '', '| what | measured | target |', '|---|---|---|', ...lines, ''].join('\n');
  });
  const head = [
    '# Benchmarks',
    '',
    'Written by `make bench`; do not edit by hand. The figures compare parts of one run; they do not predict the speed of another machine.',
    '',
    `Run on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model.trim()}, a synced write of 4 KiB takes ${sync.toFixed(2)} ms (median).`,
    '',
    '![Create and read pairs per second](benchmarks.svg)',
    '',
  ];
  writeFileSync(join(DOCS, 'benchmarks.md'), `${head.join('\n')}\n${tables.join('\n')}`);
}

const all = {
  pairs: comparePairs,
  phrases: comparePhrases,
  reads: compareReadsUnderHashing,
  standing: compareStanding,
  slow: compareSlowDisk,
  memory: compareMemory,
  idle: measureIdle,
  start: measureStart,
};
const chosen = options.only ? options.only.split(',') : Object.keys(all);
const sync = syncMs();
process.stdout.write(`a synced write of 4 KiB takes ${sync.toFixed(2)} ms\n`);
for (const [index, name] of chosen.entries()) {
  process.stdout.write(`[${index + 1}/${chosen.length}] ${name}\n`);
  await all[name as keyof typeof all]();
  for (const { what, value, target } of sections.at(-1)?.rows ?? []) {
    process.stdout.write(`  ${what}: ${value}${target ? `   (${target})` : ''}\n`);
  }
}
if (!options.quick && !options.only) writeResults(sync);
