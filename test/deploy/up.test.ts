import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { testWith } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const withCurl = testWith('curl', 'openssl');

/** What a pretended `docker compose` answers: a file for each command. */
type Compose = Partial<Record<'ps' | 'ps -a' | 'up' | 'logs' | 'port 8080' | 'port 8443' | 'token', string>>;
type Result = { code: number; stdout: string; stderr: string; calls: string[] };

/** Answers from files. A command without a file fails; those it was called with are written down. */
const PRETENDED = `#!/bin/sh
cd "\${0%/*}"
echo "$*" >>calls
case $1 in
  ps) file="$*" ;;
  port) file="port $3" ;;
  exec) file=token ;;
  *) file=$1 ;;
esac
cat "answer $file" 2>/dev/null
`;

async function up(t: ExecutionContext, answers: Compose): Promise<Result> {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'compose'), PRETENDED, { mode: 0o755 });
  for (const [name, text] of Object.entries(answers)) writeFileSync(join(folder, `answer ${name}`), text);
  return new Promise((resolve) => {
    const env = { ...process.env, COMPOSE: join(folder, 'compose') };
    execFile('scripts/up', { env, timeout: 50_000 }, (error, stdout, stderr) => {
      const calls = join(folder, 'calls');
      resolve({
        code: error ? Number(error.code ?? -1) : 0,
        stdout,
        stderr,
        calls: existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : [],
      });
    });
  });
}

async function portOf(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Answers as nginx does, with these statuses, the last one for ever. */
function answering(...statuses: number[]): RequestListener & { paths: string[] } {
  const paths: string[] = [];
  const listener: RequestListener = ({ url = '' }, response) => {
    paths.push(url);
    const status = (statuses.length > 1 ? statuses.shift() : statuses[0]) as number;
    response.writeHead(status, status === 308 ? { location: 'https://secrets.example.com/' } : {}).end();
  };
  return Object.assign(listener, { paths });
}

const RUNNING: Compose = { ps: 'web Up', 'ps -a': 'web Up\nsetup Exited (0)\n', up: '', logs: 'the reason\n' };

withCurl('make up prints the address that is published, and asks readiness there', async (t) => {
  const nginx = answering(502, 503, 200);
  const port = await portOf(t, createServer(nginx));
  const { code, stdout, calls } = await up(t, { ...RUNNING, 'port 8080': `127.0.0.1:${port}\n` });
  t.is(code, 0);
  t.is(stdout, `Hushbox is ready on http://127.0.0.1:${port}\n`);
  t.deepEqual(
    nginx.paths,
    Array.from({ length: 3 }, () => '/health/ready'),
  );
  t.true(calls.includes('up -d --build'));
});

withCurl('with TLS it prints the https address, although the other port is published too', async (t) => {
  const folder = await temporaryFolder(t);
  await makeCertificate(folder);
  const [cert, key] = ['fullchain.pem', 'privkey.pem'].map((name) => readFileSync(join(folder, name), 'utf8'));
  const secure = await portOf(t, createSecureServer({ cert: cert as string, key: key as string }, answering(502, 200)));
  const plain = await portOf(t, createServer(answering(308)));
  const ports: Compose = { 'port 8080': `0.0.0.0:${plain}\n`, 'port 8443': `0.0.0.0:${secure}\n[::]:${secure}\n` };
  const { code, stdout } = await up(t, { ...RUNNING, ...ports, token: 'a-token\n' });
  t.is(code, 0);
  t.is(stdout, `Hushbox is ready on https://127.0.0.1:${secure}\n`);
});

withCurl('a redirect is not readiness', async (t) => {
  const nginx = answering(308, 308, 301, 200);
  const port = await portOf(t, createServer(nginx));
  const { code } = await up(t, { ...RUNNING, 'port 8080': `127.0.0.1:${port}\n` });
  t.is(code, 0);
  t.is(nginx.paths.length, 4);
});

withCurl('a port that compose has not published yet (:0) does not count', async (t) => {
  const port = await portOf(t, createServer(answering(200)));
  const ports: Compose = { 'port 8443': ':0\n', 'port 8080': `127.0.0.1:${port}\n` };
  const { code, stdout } = await up(t, { ...RUNNING, ...ports });
  t.is(code, 0);
  t.is(stdout, `Hushbox is ready on http://127.0.0.1:${port}\n`);
});

for (const [what, services] of [
  ['web restarts again and again', 'web   Restarting (1) 2 seconds ago\n'],
  ['setup has failed', 'web Created\nsetup   Exited (1) 3 seconds ago\n'],
  ['setup was killed', 'setup   Exited (137) 3 seconds ago\n'],
  ['setup has failed, as docker-compose 1.29 shows it', 'setup   docker-entrypoint   Exit 1\n'],
] as const) {
  withCurl(`${what}: make up says so soon, with the last lines of the log`, async (t) => {
    const port = await portOf(t, createServer(answering(502)));
    const answers = { ...RUNNING, 'ps -a': services, 'port 8080': `127.0.0.1:${port}\n` };
    const startedAt = performance.now();
    const { code, stdout, stderr, calls } = await up(t, answers);
    t.is(code, 1);
    t.true(performance.now() - startedAt < 30_000);
    t.notRegex(stdout, /is ready/);
    t.regex(stderr, /Hushbox is not ready: a service has ended/);
    t.true(calls.includes('logs --tail=10 setup web'));
  });
}

withCurl('a service that restarts once and is ready after that is no failure', async (t) => {
  const port = await portOf(t, createServer(answering(502, 502, 200)));
  const answers = { ...RUNNING, 'ps -a': 'web   Restarting (1)\n', 'port 8080': `127.0.0.1:${port}\n` };
  t.is((await up(t, answers)).code, 0);
});

withCurl('plain HTTP on every address, and creating open to anyone, are said', async (t) => {
  const port = await portOf(t, createServer(answering(200)));
  const open = await up(t, { ...RUNNING, 'port 8080': `0.0.0.0:${port}\n` });
  t.regex(open.stdout, /without TLS/);
  t.regex(open.stdout, /set CREATE_TOKEN/);
  const guarded = await up(t, { ...RUNNING, 'port 8080': `0.0.0.0:${port}\n`, token: 'a-token\n' });
  t.notRegex(guarded.stdout, /CREATE_TOKEN|a-token/);
});

test('without Docker, and where a service does not start, make up says what to do', async (t) => {
  const none = await up(t, {});
  t.is(none.code, 1);
  t.regex(none.stderr, /Install and start Docker with Compose/);
  const { up: _, ...broken } = RUNNING;
  const failed = await up(t, { ...broken, 'port 8080': '127.0.0.1:1\n' });
  t.is(failed.code, 1);
  t.regex(failed.stderr, /Hushbox is not ready: a service did not start/);
  const hidden = await up(t, RUNNING);
  t.is(hidden.code, 1);
  t.regex(hidden.stderr, /Hushbox is not ready: nginx does not run, or publishes no port/);
});
