import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { send } from '../http/client.ts';
import { temporaryFolder } from '../storage/storage.ts';
import { findFreePort } from './free-port.ts';
import { expectNoLeaks, remember } from './leaks.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const READY = /^Hushbox is ready on (?<address>\S+) \(\d+ workers?\)$/m;
/** Generous: the machine may be busy with other tests. */
const PATIENCE_MS = 60_000;
/** How long what was said before the end may take to arrive. */
const OUTPUT_MS = 1_000;
/** Marks every process of one program, whatever group, session or parent it has by now. */
const MARK = 'HUSHBOX_TEST_PROGRAM';

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type ProgramOptions = {
  /** Added to, or in place of, a set-up with two workers on SQLite in a folder of its own and a free port. */
  env?: Readonly<Record<string, string>>;
  /** What to run in place of `node src/main.ts`. */
  command?: readonly [string, ...string[]];
  folder?: string;
};

export type Program = {
  folder: string;
  /** The process that was started: the primary, or what stands before it (make, a terminal). */
  pid: number;
  primary(): number;
  /** The workers there are now, by their numbers; two have the same one in a roll. */
  workers(): number[];
  /** All its processes that run. */
  processes(): number[];
  stdout(): string;
  stderr(): string;
  /** Waits for the ready line. @returns the address. @throws when the program ends before. */
  ready(): Promise<string>;
  /** Sends a signal to `pid`. */
  signal(name: NodeJS.Signals): void;
  /** Sends a signal to the process group of `pid`. */
  signalGroup(name: NodeJS.Signals): void;
  /** Resolves when `pid` has ended and what it said has arrived. */
  exit: Promise<Exit>;
  /** Kills all its processes with -9. The end of the test does the same. */
  end(): Promise<void>;
};

export type ReadyProgram = Program & { base: string };

/** Starts the real program. All its processes end with the test, whatever happens. */
export async function launch(t: ExecutionContext, options: ProgramOptions = {}): Promise<Program> {
  const { command = [process.execPath, 'src/main.ts'], folder = await temporaryFolder(t) } = options;
  const [file, ...args] = command;
  const mark = `${MARK}=${randomUUID()}`;
  const child = spawn(file, args, {
    cwd: ROOT,
    env: await environment(folder, mark, options.env),
    detached: true, // a process group of its own
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const guard = startGuard(mark);
  const exit = endOf(child);
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  await once(child, 'spawn');
  const pid = child.pid as number;
  let hasEnded = false;
  void exit.then(() => {
    hasEnded = true;
  });
  const program: Program = {
    folder,
    pid,
    primary: () => descendants(pid).find(isProgram) ?? pid,
    workers: () =>
      childrenOf(program.primary())
        .filter(isProgram)
        .sort((a, b) => numberOf(a) - numberOf(b)),
    processes: () => allProcesses().filter((pid) => read(pid, 'environ').includes(mark) && isAlive(pid)),
    stdout,
    stderr,
    async ready() {
      await until('the ready line', () => READY.test(stdout()) || hasEnded);
      const address = READY.exec(stdout())?.groups?.address;
      if (!address) throw new Error(`ended before it was ready: ${stderr()}`);
      return address;
    },
    signal: (name) => void process.kill(pid, name),
    signalGroup: (name) => void process.kill(-pid, name),
    exit,
    async end() {
      await until('the end of every process', () => {
        const left = program.processes();
        for (const pid of left) kill(pid);
        return left.length === 0;
      });
      guard.kill('SIGKILL');
    },
  };
  t.teardown(async () => {
    if (!t.passed) t.log(stderr());
    await program.end();
    for (const name of ['MASTER_KEY', 'CREATE_TOKEN', 'JWT_HEX_SECRET', 'PROXY_TOKEN']) remember(options.env?.[name]);
    expectNoLeaks(stdout() + stderr());
  });
  return program;
}

/** The last output arrives after the end. If other processes hold it open, the wait is short. */
async function endOf(child: ChildProcess): Promise<Exit> {
  const closed = once(child, 'close');
  const [code, signal] = await once(child, 'exit');
  await Promise.race([closed, sleep(OUTPUT_MS)]);
  return { code, signal };
}

/** Launches the program and waits until it is ready. */
export async function start(t: ExecutionContext, options?: ProgramOptions): Promise<ReadyProgram> {
  const program = await launch(t, options);
  return Object.assign(program, { base: await program.ready() });
}

/** Polls, for changes in other processes that no event shows. */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>, ms = PATIENCE_MS): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await sleep(10);
  }
}

/** Waits until as many workers as before are there, and none of them was. */
export async function untilReplaced(program: Program, before: readonly number[]): Promise<void> {
  await until('new workers in place of all old ones', () => {
    const now = program.workers();
    return now.length === before.length && !now.some((pid) => before.includes(pid));
  });
}

/** Some worker serves. With none of them left to kill there would be no chaos, but a crash loop. */
export async function untilOneIsReady({ base }: Pick<ReadyProgram, 'base'>): Promise<void> {
  await until('a ready worker', () =>
    send(base, '/health/ready', undefined, { timeoutMs: 5_000 }).then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
}

export function isAlive(pid: number): boolean {
  return !['', 'Z', 'X'].includes(stateOf(pid).state);
}

/** Stopped by a signal. */
export function isStopped(pid: number): boolean {
  return stateOf(pid).state === 'T';
}

export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Of the tests' own environment only what Node and coverage need. */
async function environment(
  folder: string,
  mark: string,
  own: ProgramOptions['env'] = {},
): Promise<Record<string, string>> {
  const { NODE_V8_COVERAGE, HOME = '/', PATH = '' } = process.env;
  const [name, value] = mark.split('=') as [string, string];
  return {
    PATH: `${dirname(process.execPath)}:${PATH}`,
    HOME,
    ...(NODE_V8_COVERAGE !== undefined && { NODE_V8_COVERAGE }),
    HTTP_PORT: own.HTTP_PORT ?? String(await findFreePort()), // of this file: nobody takes it before the workers do
    WORKERS: '2',
    STORAGE_URL: `sqlite:${join(folder, 'hushbox.db')}`,
    DATA_DIR: folder,
    LIMITS: 'off', // all that is created comes from one address
    LOG_LEVEL: 'trace', // so that the search for what must not be logged sees everything
    ...own,
    [name]: value,
  };
}

/** Ends the program when we die before we could: nothing outlives a test that is aborted. */
function startGuard(mark: string): ChildProcess {
  const script = `cat; while found=$(grep -ls -- "$0" /proc/[0-9]*/environ); [ -n "$found" ]; do
    for file in $found; do pid=\${file#/proc/}; kill -9 "\${pid%/environ}"; done
  done`;
  return spawn('sh', ['-c', script, mark], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk.replaceAll('\r', ''); // a terminal's
  });
  return () => text;
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return ''; // it is gone
  }
}

function stateOf(pid: number): { state: string; parent: number } {
  const stat = read(pid, 'stat');
  const [state = '', parent = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state, parent: Number(parent) };
}

function allProcesses(): number[] {
  return readdirSync('/proc').map(Number).filter(Boolean);
}

function childrenOf(parent: number): number[] {
  return allProcesses().filter((pid) => stateOf(pid).parent === parent && isAlive(pid));
}

function descendants(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(descendants)];
}

/** Process ids do not show the order, because they start again after the highest. */
function numberOf(worker: number): number {
  return Number(/(?:^|\0)HUSHBOX_WORKER_NUMBER=(\d+)/.exec(read(worker, 'environ'))?.[1]);
}

/** The primary and its workers have the same command line. */
function isProgram(pid: number): boolean {
  const [file = '', ...args] = read(pid, 'cmdline').split('\0');
  return /\bnode$/.test(file) && args.find((arg) => !arg.startsWith('--'))?.endsWith('src/main.ts') === true;
}
