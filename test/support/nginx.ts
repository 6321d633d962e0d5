import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext, type TestFn } from 'ava';
import { expectNoLeaks } from './leaks.ts';
import { until } from './program.ts';
import { temporaryFolder } from './storage.ts';

export const CONFIGURATION = new URL('../../nginx/', import.meta.url).pathname;

/** Tests that need nginx: visible skips where there is none. */
export const withNginx = (
  isInstalled('nginx', '-v') ? test : Object.assign(test.skip, { serial: test.skip })
) as TestFn & { serial: TestFn };

export type NginxOptions = {
  /** Where the workers' sockets are. */
  sockets: string;
  workers?: number;
  /** The server that nginx.conf includes. */
  server?: 'plain.conf' | 'tls.conf';
  /** Changes a file before it is used. */
  edit?: (name: string, text: string) => string;
  /** Puts into nginx's folder what it needs. */
  prepare?: (folder: string) => Promise<void>;
};

export type Nginx = {
  folder: string;
  port: number;
  base: string;
  accessLog(): string;
  /** What nginx said beside it. */
  errorLog(): string;
  /** The lines of the access log so far. */
  requests(): Record<string, unknown>[];
  signal(name: NodeJS.Signals): void;
};

/** The files of nginx/, with the paths and the port of a test in place of a container's. */
export async function configure(folder: string, options: NginxOptions): Promise<number> {
  const { sockets, workers = 2, server = 'plain.conf', edit = (_name, text) => text } = options;
  const port = await findFreePort();
  mkdirSync(join(folder, 'nginx'), { recursive: true });
  for (const name of readdirSync(CONFIGURATION).filter((name) => name.endsWith('.conf'))) {
    const text = readFileSync(join(CONFIGURATION, name), 'utf8')
      .replaceAll(/ *server unix:.*worker-(\d+)\.sock.*\n/g, (line, number) => (Number(number) <= workers ? line : ''))
      .replaceAll('/tmp/', `${folder}/`)
      .replaceAll('/run/hushbox', sockets)
      .replaceAll('/run/tls', folder)
      .replaceAll('listen 8080', `listen 127.0.0.1:${port}`)
      .replaceAll('listen 8443', `listen 127.0.0.1:${port + 1}`)
      .replaceAll('include plain.conf', `include ${server}`)
      // Written at once, for tests to read.
      .replaceAll('/dev/stdout requests buffer=4k flush=1s', `${folder}/access.log requests`);
    writeFileSync(join(folder, 'nginx', name), edit(name, text));
  }
  return port;
}

/** Starts nginx as it is shipped, before the workers of a program. It ends with the test; nothing secret is in its logs. */
export async function startNginx(t: ExecutionContext, options: NginxOptions): Promise<Nginx> {
  const folder = await temporaryFolder(t);
  const port = await configure(folder, options);
  await options.prepare?.(folder);
  const user = process.getuid?.() === 0 ? ' user root;' : ''; // else it could not use the sockets
  // Ends with its standard input, and so with us, however that goes.
  const script = 'nginx -c "$0" -g "$1" </dev/null & cat; kill $!; wait $!';
  const args = ['-c', script, join(folder, 'nginx', 'nginx.conf'), `daemon off;${user}`];
  const child = spawn('sh', args, { stdio: ['pipe', 'ignore', 'pipe'], detached: true });
  let errorLog = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errorLog += text;
  });
  const exit = once(child, 'exit');
  const nginx: Nginx = {
    folder,
    port,
    base: `http://127.0.0.1:${port}`,
    accessLog: () => readFileSync(join(folder, 'access.log'), 'utf8'),
    errorLog: () => errorLog,
    requests: () =>
      nginx
        .accessLog()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    signal: (name) => void process.kill(Number(readFileSync(join(folder, 'nginx.pid'), 'utf8')), name),
  };
  t.teardown(async () => {
    child.stdin.end();
    await exit;
    if (!t.passed) t.log(errorLog);
    expectNoLeaks(nginx.accessLog() + errorLog);
  });
  await until('nginx', () => /start worker process \d/.test(errorLog) || child.exitCode !== null);
  await sleep(20); // the line comes just before the process
  return nginx;
}

function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

export function isInstalled(command: string, argument: string): boolean {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
