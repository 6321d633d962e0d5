import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from './figures.ts';
import { startService } from './service.ts';

/**
 * Measures what docs/benchmarks-command.md says, and writes it: `hushbox send` of a checkout and of the package as whole
 * processes, against curl in turns, and what 10 MB cost. `--quick` has fewer rounds and writes nothing.
 */
const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const ROUNDS = options.quick ? 5 : 25;
const LARGE_ROUNDS = options.quick ? 3 : 9;
const LARGE_BYTES = 10_000_000;
const ROOT = new URL('..', import.meta.url).pathname;
const PAGE = new URL('../docs/benchmarks-command.md', import.meta.url).pathname;
const loadBefore = (loadavg()[0] ?? 0).toFixed(1);

/** @returns how long a process took from start to end. */
async function timeOf([program = '', ...args]: readonly string[], stdin: string): Promise<number> {
  const before = performance.now();
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(stdin);
  child.stdout.resume();
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return performance.now() - before;
}

/** The most that a process had in memory, in MB, as the kernel counts it. */
function memoryOf(command: readonly string[]): number {
  const script = `import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`;
  return (Number(execFileSync('python3', ['-c', script, ...command], { env })) * 1024) / 1e6;
}

/** Packs the package and installs it, as a user would. */
function installPackage(into: string): string {
  const quiet = { stdio: 'ignore' } as const;
  execFileSync('npm', ['pack', '--pack-destination', into], { cwd: join(ROOT, 'client'), ...quiet });
  writeFileSync(join(into, 'package.json'), '{}');
  execFileSync('sh', ['-c', 'npm install --offline --no-audit --no-fund ./hushbox-*.tgz'], { cwd: into, ...quiet });
  return join(into, 'node_modules/.bin/hushbox');
}

async function inTurns(ways: readonly (readonly string[])[], rounds: number, stdin: string): Promise<number[]> {
  const times = ways.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, way] of ways.entries()) {
      const time = await timeOf(way, stdin);
      if (round > 0) times[index]?.push(time); // the first one fills caches
    }
  }
  return times.map(median);
}

const folder = mkdtempSync(join(tmpdir(), 'hushbox-bench-'));
const service = await startService({ env: { SECRET_MAX_BYTES: String(11 << 20) } });
const url = `http://127.0.0.1:${service.port}`;
const env = { PATH: process.env.PATH, HOME: folder, HUSHBOX_URL: url };
try {
  const checkout = join(ROOT, 'bin/hushbox');
  const installed = installPackage(folder);
  const large = join(folder, 'large');
  writeFileSync(large, randomBytes(LARGE_BYTES));
  const curl = ['curl', '-s', `${url}/generate`, '--data-binary', '@-'];
  const small = [curl, [checkout, 'send'], [installed, 'send']];
  const [curlMs = 0, ...smallMs] = await inTurns(small, ROUNDS, '{"secret":"some secret"}');
  const sends = [checkout, installed].map((program) => [program, 'send', large]);
  const largeMs = await inTurns(sends, LARGE_ROUNDS, '');
  const memory = sends.map((send) => median(Array.from({ length: LARGE_ROUNDS }, () => memoryOf(send))));
  const [more, wall, most] = [
    smallMs.map((ms) => `${(ms - curlMs).toFixed(0)} ms`),
    largeMs.map((ms) => `${(ms / 1000).toFixed(2)} s`),
    memory.map((megabytes) => `${megabytes.toFixed(0)} MB`),
  ];
  const lines = [
    '# Benchmarks of the command line',
    '',
    'Written by `node bench/command.ts`, which `make bench` runs; do not edit by hand.',
    '',
    `Run on ${new Date().toISOString().slice(0, 10)}: Node ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model}; load average before the start ${loadBefore}, which should be near 0: other work on the machine slows all of it down.`,
    '',
    `Whole processes, from start to end, against a server on the same machine. Medians of ${ROUNDS} rounds in turns, and of ${LARGE_ROUNDS} for 10 MB. \`curl\` alone took ${curlMs.toFixed(0)} ms.`,
    '',
    '| what | in a checkout | the package | target |',
    '|---|---|---|---|',
    `| \`hushbox send\` of a few words, more than \`curl\` | ${more.join(' | ')} | ≤ 150 ms |`,
    `| \`hushbox send\` of a file of 10 MB, time | ${wall.join(' | ')} | ≤ 1 s |`,
    `| … the most memory it had | ${most.join(' | ')} | ≤ 120 MB |`,
    '',
  ];
  process.stdout.write(`${lines.slice(6).join('\n')}\n`);
  if (!options.quick) writeFileSync(PAGE, lines.join('\n'));
} finally {
  await service.stop();
  rmSync(folder, { recursive: true, force: true });
}
