import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { expectNoLeaks } from '../process/leaks.ts';
import { testIf } from '../process/needs.ts';
import { until } from '../process/program.ts';
import { temporaryFolder } from '../storage/storage.ts';
import { type ConfigurationOptions, configure, isInstalled } from './nginx-files.ts';

/** Tests that need nginx: visible skips if it is missing. */
export const withNginx = testIf(isInstalled('nginx', '-v'), 'nginx');

export type NginxOptions = ConfigurationOptions & {
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

/** Starts nginx as it is shipped, before the workers of a program. It ends with the test; nothing secret is in its logs. */
export async function startNginx(t: ExecutionContext, options: NginxOptions): Promise<Nginx> {
  const folder = await temporaryFolder(t);
  const port = await configure(folder, { log: `${folder}/access.log requests`, ...options });
  await options.prepare?.(folder);
  const user = process.getuid?.() === 0 ? ' user root;' : ''; // otherwise it could not use the sockets
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
