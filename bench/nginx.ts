import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { configure, isInstalled } from '../test/support/nginx/nginx-files.ts';
import { median } from './figures.ts';
import type { Load, Rate } from './load.ts';
import { cpuSecondsOfAll, runClient, type Service, startService } from './service.ts';

/**
 * Measures what nginx costs, and writes docs/benchmarks-nginx.md: create and read through nginx and over the workers' own
 * sockets, the same workers, in turns. What counts is pairs for each second of processor time of all that serves.
 */
const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const ROUNDS = options.quick ? 1 : 3;
const SECONDS = options.quick ? 3 : 5;
const WORKERS = 4;
const CONNECTIONS = 32;
/** Fewer than any limit stops, of nginx or of the service. */
const PAIRS_PER_CLIENT = 400;
const loadBefore = (loadavg()[0] ?? 0).toFixed(1);
const PAGE = new URL('../docs/benchmarks-nginx.md', import.meta.url).pathname;

type Nginx = { pid: number; port: number; child: ChildProcess };
type Way = { name: string; pids: number[]; target: Pick<Load, 'port' | 'sockets'>; measured: Measured[] };
type Measured = { rate: Rate; perCpuSecond: number; share: number };

let usedClients = 0;

async function startNginx(folder: string, sockets: string): Promise<Nginx> {
  const port = await configure(folder, { sockets, workers: WORKERS });
  const user = process.getuid?.() === 0 ? ' user root;' : '';
  const args = ['-c', '0', 'nginx', '-c', join(folder, 'nginx', 'nginx.conf'), '-g', `daemon off;${user}`];
  const child = spawn('taskset', args, { stdio: ['ignore', openSync(join(folder, 'requests'), 'w'), 'ignore'] });
  await sleep(500);
  return { pid: child.pid as number, port, child };
}

async function measure(way: Way, warmupSeconds: number): Promise<void> {
  const load = (seconds: number): Load => {
    usedClients += 5_000; // many more than there are in a run
    const clients = { connections: CONNECTIONS, pairsPerClient: PAIRS_PER_CLIENT, usedClients };
    return { ...way.target, ...clients, seconds, warmupSeconds: 0 };
  };
  await runClient<Rate>('load.ts', load(warmupSeconds));
  const before = cpuSecondsOfAll(way.pids);
  const rate = await runClient<Rate>('load.ts', load(SECONDS));
  const cpuSeconds = cpuSecondsOfAll(way.pids) - before;
  if (rate.failures > 0) throw new Error(`${way.name}: ${rate.failures} answers were wrong`);
  const perCpuSecond = (rate.pairsPerSecond * SECONDS) / cpuSeconds;
  way.measured.push({ rate, perCpuSecond, share: cpuSeconds / SECONDS });
  process.stdout.write(
    `  ${way.name}: ${Math.round(perCpuSecond)} pairs for a CPU second, ${Math.round(rate.pairsPerSecond)} pairs/s\n`,
  );
}

function row({ name, measured }: Way): string {
  const whole = (pick: (one: Measured) => number): string =>
    Math.round(median(measured.map(pick))).toLocaleString('en');
  const p99 = median(measured.map(({ rate }) => rate.p99Ms)).toFixed(1);
  return `| ${name} | ${whole(({ perCpuSecond }) => perCpuSecond)} | ${whole(({ rate }) => rate.pairsPerSecond)} | ${p99} ms |`;
}

function writePage([direct, through]: readonly [Way, Way]): void {
  const ratio = median(
    through.measured.map(
      ({ perCpuSecond }, round) => perCpuSecond / (direct.measured[round]?.perCpuSecond ?? Number.NaN),
    ),
  );
  const lines = [
    '# What nginx costs',
    '',
    'Written by `make bench`; do not edit by hand.',
    '',
    `Run on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model.trim()}; load average before the start ${loadBefore}, which should be near 0: other work on the machine slows both ways down.`,
    '',
    `Create and read, 64-byte secrets, SQLite, ${WORKERS} workers, ${CONNECTIONS} connections, limits on. The service (and nginx) has one core, the client the other. Direct: over the workers' sockets. Through nginx: to its port, configured as shipped, with its log in a file. Processor time is that of the program, and through nginx also that of nginx. Median of ${ROUNDS} rounds, taken in turns, ${SECONDS} s each.`,
    '',
    '| way | pairs per second of processor time | pairs/s | p99 |',
    '|---|---|---|---|',
    row(direct),
    row(through),
    '',
    `Through nginx against direct: ${ratio.toFixed(2)} (target: at least 0.60). What nginx takes for a pair stays the same, so this falls when the service gets faster.`,
    '',
  ];
  process.stdout.write(`  ratio: ${ratio.toFixed(2)}   (≥ 0.60)\n`);
  if (!options.quick) writeFileSync(PAGE, lines.join('\n'));
}

async function compare(service: Service, sockets: string, nginx: Nginx): Promise<void> {
  const paths = Array.from({ length: WORKERS }, (_, index) => join(sockets, `worker-${index + 1}.sock`));
  const direct: Way = { name: 'direct', pids: [service.pid], target: { port: 0, sockets: paths }, measured: [] };
  const through: Way = {
    name: 'through nginx',
    pids: [service.pid, nginx.pid],
    target: { port: nginx.port },
    measured: [],
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of [direct, through]) await measure(way, round === 0 ? 5 : 1);
  }
  writePage([direct, through]);
}

if (!isInstalled('nginx', '-v')) {
  process.stdout.write('nginx is not installed: nothing to measure\n');
} else {
  const folder = mkdtempSync(join(tmpdir(), 'hushbox-nginx-'));
  const sockets = join(folder, 's');
  const service = await startService({ env: { SOCKET_DIR: sockets, WORKERS: String(WORKERS), LIMITS: 'on' } });
  const nginx = await startNginx(folder, sockets);
  try {
    await compare(service, sockets, nginx);
  } finally {
    nginx.child.kill('SIGTERM');
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
