import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { startServer, type TestServer, type TestServerOptions } from '../http/server.ts';
import { SQLITE } from '../storage/storage.ts';

const HUSHBOX = fileURLToPath(new URL('../../../bin/hushbox', import.meta.url));
/** Generous: the machine may be busy with other tests. */
const PATIENCE_MS = 60_000;

export type Result = {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  bytes: Buffer;
};
export type RunOptions = {
  env?: Readonly<Record<string, string>>;
  stdin?: string | Uint8Array;
  cwd?: string;
  /** What is run in place of bin/hushbox. */
  program?: string;
};

/** Starts the command of users, without a terminal: also without that of whoever runs the tests. */
export function spawnCommand(args: readonly string[], { env, cwd, program = HUSHBOX }: RunOptions = {}): ChildProcess {
  const { NODE_V8_COVERAGE, PATH = '', HOME = '/' } = process.env;
  const coverage = NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE };
  return spawn(program, args, {
    env: { PATH: `${dirname(process.execPath)}:${PATH}`, HOME, ...coverage, ...env },
    ...(cwd && { cwd }),
    detached: true,
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  });
}

export async function runCommand(args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const child = spawnCommand(args, options);
  child.stdin?.on('error', () => {}).end(options.stdin ?? ''); // not every command reads it
  return resultOf(child);
}

export async function resultOf(child: ChildProcess): Promise<Result> {
  const ended = once(child, 'close');
  const [bytes, errors] = await Promise.all([child.stdout, child.stderr].map((stream) => buffer(stream as never)));
  const [code, signal] = await ended;
  return { code, signal, stdout: `${bytes}`, stderr: `${errors}`, bytes: bytes as Buffer };
}

/**
 * Runs a command of the shell on a pseudo-terminal.
 * @param typed what a person types, each after a text that the terminal has shown by then.
 */
export async function runOnTerminal(
  command: string,
  { env, cwd }: RunOptions,
  typed: readonly (readonly [after: string, keys: string])[] = [],
): Promise<{ code: number | null; shown: string }> {
  const child = spawnCommand(['-qec', command, '/dev/null'], {
    program: 'script',
    env: { PATH: `${dirname(HUSHBOX)}:${dirname(process.execPath)}:${process.env.PATH}`, TERM: 'xterm', ...env },
    ...(cwd && { cwd }),
  });
  let shown = '';
  const left = [...typed];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    for (; left[0] && shown.includes(left[0][0]); left.shift()) child.stdin?.write(left[0][1]);
  });
  const [code] = await once(child, 'close');
  return { code, shown };
}

export type Share = () => TestServer & { run(args: readonly string[], options?: RunOptions): Promise<Result> };

/** One service for all tests of a file, which run one after another. The command knows its address. */
export function shareServer(options: Partial<TestServerOptions> = {}): Share {
  const ends: (() => unknown)[] = [];
  let server: TestServer;
  test.before(async () => {
    const t = { teardown: (end: () => unknown) => void ends.push(end) } as ExecutionContext;
    server = await startServer(t, { place: await SQLITE.place(t), ...options });
  });
  test.after.always(async () => {
    for (const end of ends.reverse()) await end();
  });
  return () => ({
    ...server,
    run: (args, more = {}) => runCommand(args, { ...more, env: { HUSHBOX_URL: server.base, ...more.env } }),
  });
}
