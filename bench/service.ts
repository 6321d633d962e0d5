import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = new URL('..', import.meta.url).pathname;
const CLOCK_TICKS_PER_SECOND = 100;

export type Service = { port: number; pid: number; workerPid: number; cpuSeconds(): number; stop(): Promise<void> };
export type ServiceOptions = {
  entry?: string;
  env?: Record<string, string>;
  cores?: string;
  storageUrl?: string;
  /** The larger, the more others go first. */
  niceness?: number;
};

/** Starts a service on a free port, pinned to `cores`, with an empty folder of its own, and waits until it is ready. */
export async function startService({
  entry = 'src/main.ts',
  env = {},
  cores = '0',
  storageUrl,
  niceness = 0,
}: ServiceOptions = {}): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), 'hushbox-bench-'));
  const port = await freePort();
  const child = spawn('nice', ['-n', String(niceness), 'taskset', '-c', cores, process.execPath, entry], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      HTTP_PORT: String(port),
      WORKERS: '1',
      LIMITS: 'off',
      LOG_LEVEL: 'error',
      DATA_DIR: folder,
      STORAGE_URL: storageUrl ?? `sqlite:${join(folder, 'hushbox.db')}`,
      ...env,
    },
  });
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${entry} ended with ${code}`)));
    child.stdout?.on('data', (chunk) => String(chunk).includes('ready on') && resolve());
  });
  const pid = child.pid as number;
  return {
    port,
    pid,
    workerPid: childrenOf(pid)[0] ?? pid,
    cpuSeconds: () => cpuSecondsOfAll([pid]),
    async stop() {
      await end(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs a client pinned to a core and returns its JSON answer. */
export async function runClient<Answer>(script: string, options: object, core = '1'): Promise<Answer> {
  const args = ['-c', core, process.execPath, join(ROOT, 'bench', script), JSON.stringify(options)];
  const { stdout } = await run('taskset', args, { maxBuffer: 1e8 });
  return JSON.parse(stdout) as Answer;
}

/** Processor time of processes and their children, in seconds. */
export function cpuSecondsOfAll(pids: readonly number[]): number {
  return pids.flatMap((pid) => [pid, ...childrenOf(pid)]).reduce((sum, one) => sum + cpuSecondsOf(one), 0);
}

/** Processor time of all threads of a process and its children, in milliseconds; finer than clock ticks. */
export function threadTimeMs(pid: number): number {
  const threads = [pid, ...childrenOf(pid)].flatMap((one) =>
    readdirSync(`/proc/${one}/task`).map((thread) => `/proc/${one}/task/${thread}/schedstat`),
  );
  return threads.reduce((sum, path) => sum + Number(readFileSync(path, 'utf8').split(' ')[0]) / 1e6, 0);
}

/** Resident memory of a process, in MiB. */
export function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text ? text.split(' ').map(Number) : [];
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
