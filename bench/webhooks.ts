import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Delay, Probe } from './probe.ts';
import { runClient, type Service, startService } from './service.ts';

/**
 * Measures what docs/benchmarks-webhooks.md says, and writes it: reads with a webhook against reads
 * without one, and the effect of a receiver that hangs on the others, each in turns. `--quick` takes shorter turns and writes
 * nothing.
 */
const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const ROUNDS = options.quick ? 1 : 3;
const READ_ROUNDS = options.quick ? 1 : 5;
const SECONDS = options.quick ? 3 : 10;
const HANG_SECONDS = options.quick ? 5 : 30;
const PER_SECOND = 500;
const RECEIVERS = 100;
/** How long the last events may take. */
const PATIENCE_MS = 30_000;
const loadBefore = (loadavg()[0] ?? 0).toFixed(1);
const PAGE = new URL('../docs/benchmarks-webhooks.md', import.meta.url).pathname;

type Measured = { read: Delay; eventP50Ms: number; eventP99Ms: number; eventMaxMs: number; cpuMicros: number };

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const median = (numbers: readonly number[]): number =>
  percentile(
    numbers.toSorted((a, b) => a - b),
    0.5,
  );

/** From when each read was to leave until its event arrived. @param isHealthy of the receivers, whose events count. */
async function waitForEvents({ told }: Delay, isHealthy: (url: string) => boolean): Promise<number[]> {
  const awaited = new Map(told.filter(({ url }) => isHealthy(url)).map(({ id, dueAt }) => [id, dueAt]));
  const delays: number[] = [];
  const deadline = performance.now() + PATIENCE_MS;
  while (awaited.size > 0) {
    if (performance.now() > deadline) throw new Error(`${awaited.size} events did not arrive`);
    await sleep(200);
    const arrivals = (await (await fetch(`http://127.0.0.1:${receiver.port}/`)).json()) as Record<string, number>;
    for (const [id, at] of Object.entries(arrivals)) {
      const dueAt = awaited.get(id);
      if (dueAt !== undefined) delays.push(at - dueAt);
      awaited.delete(id);
    }
  }
  return delays.sort((a, b) => a - b);
}

async function measure(service: Service, seconds: number, notify: readonly string[]): Promise<Measured> {
  const probe: Probe = { port: service.port, kind: 'read', perSecond: PER_SECOND, seconds, notify };
  const before = service.cpuSeconds();
  const read = await runClient<Delay>('probe.ts', probe);
  if (read.failures > 0) throw new Error(`${read.failures} reads failed`);
  const delays = await waitForEvents(read, (url) => url !== hanging);
  const cpuMicros = ((service.cpuSeconds() - before) / (PER_SECOND * seconds)) * 1e6;
  return {
    read,
    eventP50Ms: percentile(delays, 0.5),
    eventP99Ms: percentile(delays, 0.99),
    eventMaxMs: percentile(delays, 1),
    cpuMicros,
  };
}

type Way = { name: string; seconds: number; notify: readonly string[]; measured: Measured[] };

/** In turns, each pair of ways beginning with the other than before. */
async function compare(service: Service, ways: readonly [Way, Way], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const one = await measure(service, way.seconds, way.notify);
      way.measured.push(one);
      process.stdout.write(
        `  ${way.name}: read p99 ${ms(one.read.p99Ms)}, event p50 ${ms(one.eventP50Ms)}, p99 ${ms(one.eventP99Ms)}\n`,
      );
    }
  }
}

const ms = (value: number): string =>
  Number.isNaN(value) ? '' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

function row({ name, measured }: Way): string {
  const of = (pick: (one: Measured) => number): number => median(measured.map(pick));
  const reads = `p50 ${ms(of(({ read }) => read.p50Ms))}, p99 ${ms(of(({ read }) => read.p99Ms))}`;
  const p99 = of(({ eventP99Ms }) => eventP99Ms);
  const events = Number.isNaN(p99)
    ? ''
    : `p50 ${ms(of(({ eventP50Ms }) => eventP50Ms))}, p99 ${ms(p99)}, longest ${ms(Math.max(...measured.map(({ eventMaxMs }) => eventMaxMs)))}`;
  return `| ${name} | ${reads} | ${events} | ${Math.round(of(({ cpuMicros }) => cpuMicros))} µs |`;
}

/** The median of the rounds' ratios: what is compared ran side by side. */
function ratio([one, other]: readonly [Way, Way], pick: (one: Measured) => number): string {
  const ratios = one.measured.map((measured, round) => pick(other.measured[round] as Measured) / pick(measured));
  return median(ratios).toFixed(2);
}

function report(reads: readonly [Way, Way], hangs: readonly [Way, Way]): void {
  const eventP99 = median(reads[1].measured.map(({ eventP99Ms }) => eventP99Ms));
  const lines = [
    '# Benchmarks of webhooks',
    '',
    'Written by `node bench/webhooks.ts`, which `make bench` runs; do not edit by hand.',
    '',
    `Run on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model.trim()}; load average before the start ${loadBefore}, which should be near 0: other work on the machine slows both down.`,
    '',
    `${PER_SECOND} reads a second of existing secrets, sent on schedule whether or not earlier ones were answered; SQLite, one worker on one core, client and receivers on the other. There the client has priority, because its clock would otherwise count the receivers' work too. Times start when the read was scheduled: a read's ends with its answer, an event's with its arrival. CPU is that of the service, for one secret created, read and notified. Medians, measured in turns: ${READ_ROUNDS} rounds of ${SECONDS} s with no or one receiver, ${ROUNDS} rounds of ${HANG_SECONDS} s with ${RECEIVERS}.`,
    '',
    '| what | reads | events | CPU each |',
    '|---|---|---|---|',
    ...reads.map(row),
    ...hangs.map(row),
    '',
    '| what | measured | target |',
    '|---|---|---|',
    `| event p99 after the read | ${ms(eventP99)} | ≤ 1 s |`,
    `| read p99 with \`notify\` against without | ${ratio(reads, ({ read }) => read.p99Ms)} | ≤ 1.50 |`,
    `| event p99 of healthy receivers, with one that hangs against without | ${ratio(hangs, ({ eventP99Ms }) => eventP99Ms)} | ≤ 2.00 |`,
    '',
  ];
  process.stdout.write(`${lines.slice(8).join('\n')}\n`);
  if (!options.quick) writeFileSync(PAGE, lines.join('\n'));
}

const receiver = await startService({ entry: 'bench/bare/receiver.ts', cores: '1', niceness: 15 });
const hushbox = await startService({ env: { EGRESS_ALLOW: '127.0.0.0/8' } });
const at = (host: string): string => `http://${host}:${receiver.port}/hook`;
const hanging = at('127.9.9.9');
const healthy = Array.from({ length: RECEIVERS }, (_, index) => at(`127.0.1.${index + 1}`));
const way = (name: string, seconds: number, notify: readonly string[]): Way => ({
  name,
  seconds,
  notify,
  measured: [],
});
const reads: [Way, Way] = [way('no receiver', SECONDS, []), way('one receiver', SECONDS, [at('127.0.0.1')])];
const hangs: [Way, Way] = [
  way(`${RECEIVERS} receivers`, HANG_SECONDS, healthy),
  way(`${RECEIVERS} receivers and one that hangs`, HANG_SECONDS, [...healthy, hanging]),
];
try {
  await measure(hushbox, 3, reads[1].notify); // warms it up
  await compare(hushbox, reads, READ_ROUNDS);
  await compare(hushbox, hangs, ROUNDS);
  report(reads, hangs);
} finally {
  for (const { stop } of [hushbox, receiver]) await stop();
}
