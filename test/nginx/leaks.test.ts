import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { createSecret, readSecret } from '../support/http/client.ts';
import { type Conversation, converse } from '../support/http/raw.ts';
import { type Nginx, type NginxOptions, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { startUpstream } from '../support/nginx/upstream.ts';
import { findLeaks, remember } from '../support/process/leaks.ts';
import { kill, start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

// That no key is in a log of nginx or of the program is asserted when they end: see startNginx and launch.

/** A made-up key of each kind, remembered. */
function makeKey(): string {
  const key = randomBytes(36).toString('base64url');
  remember(key);
  return key;
}

/** An unknown method, which still begins a request. */
function makeMethod(): string {
  const method = randomBytes(20).toString('hex').replaceAll(/\d/g, 'X').toUpperCase();
  remember(method);
  return method;
}

/** A request of each kind with keys where they can be: path, query, headers, body. */
function requests(): string[] {
  const read = (path: string, headers = '', body = '{}'): string =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
  return [
    read(`/secrets/${makeKey()}`),
    read(
      `/secrets/${makeKey()}/`,
      `Idempotency-Key: ${makeKey()}\r\nAuthorization: Bearer ${makeKey()}\r\n`,
      `{"phrase":"${makeKey()}"}`,
    ),
    read(`/secrets/${makeKey()}?${makeKey()}`, `Referer: http://x/secrets/${makeKey()}\r\nCookie: a=${makeKey()}\r\n`),
    read(`/proxy/?${makeKey()}`, `Destination: http://x.invalid/${makeKey()}\r\nx-my-jwt: ${makeKey()}\r\n`, makeKey()),
    read('/proxy', `Destination: http://${makeKey()}@x/\r\nProxy-Authorization: Bearer ${makeKey()}\r\n`),
    `GET /secrets/${makeKey()} HTTP/1.1\r\nHost: ${makeKey()}\r\nUser-Agent: ${makeKey()}\r\nX-Forwarded-For: ${makeKey()}\r\n\r\n`,
    `DELETE /receipts/${makeKey()} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `GET http://x/secrets/${makeKey()} HTTP/1.0\r\n\r\n`,
    `${makeMethod()} /secrets/${makeKey()} HTTP/1.1\r\nHost: x\r\n\r\n`,
  ];
}

/** Requests that nginx itself refuses, each with a key. */
function refused(): string[] {
  const get = (target: string, headers = 'Host: x\r\n'): string => `GET ${target} HTTP/1.1\r\n${headers}\r\n`;
  return [
    get(`/secrets/${makeKey()}/%zz`),
    get(`/../secrets/${makeKey()}`),
    get(`/secrets/${makeKey()}/../../../x`),
    get(`/secrets/${makeKey()}\x00`),
    get(`/secrets/${makeKey()}%00`),
    get(`/secrets/${makeKey()} /x`),
    get(`/secrets/${makeKey()}`, ''),
    get(`/secrets/${makeKey()}`, `Host: ${makeKey()}\x00\r\n`),
    get(`/secrets/${makeKey()}`, `Host: x\r\n${makeKey()} : y\r\n`),
    get(`/secrets/${makeKey()}`, `Host: x\r\nHost: ${makeKey()}\r\n`),
    get(`/secrets/${makeKey()}`, `Host: x\r\nA: ${makeKey().repeat(500)}\r\n`),
    get(`/secrets/${makeKey().repeat(500)}`),
    get(`/secrets/${makeKey()}`, `Host: x\r\nTransfer-Encoding: ${makeKey()}\r\n`),
    get(`/secrets/${makeKey()}`, `Host: x\r\nContent-Length: ${makeKey()}\r\n`),
    get(`/secrets/${makeKey()}`, `Host: x\r\nExpect: ${makeKey()}\r\n`),
    get(`/metrics/${makeKey()}`),
    get(`/metrics?${makeKey()}`),
    `TRACE /secrets/${makeKey()} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `${makeKey()} /secrets/${makeKey()} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `GET /secrets/${makeKey()} HTTP/2.0\r\nHost: x\r\n\r\n`,
    `GET /secrets/${makeKey()}\r\n\r\n`,
    `POST /secrets/${makeKey()} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n`,
    `POST /secrets/${makeKey()} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${makeKey()}\r\n`,
    makeKey(),
  ];
}

async function sendEach(nginx: Nginx, texts: readonly string[], { areAnswered = false } = {}): Promise<void> {
  for (const text of texts) {
    const conversation = await converse({ port: nginx.port });
    conversation.send(text);
    if (areAnswered) await conversation.untilAnswered(1);
    await conversation.settle();
    conversation.reset();
  }
}

async function startAlone(t: ExecutionContext, options: Partial<NginxOptions> = {}): Promise<Nginx> {
  return startNginx(t, { sockets: await temporaryFolder(t), ...options });
}

withNginx('sockets that are not there', async (t) => {
  const nginx = await startAlone(t);
  const texts = requests();
  await sendEach(nginx, texts, { areAnswered: true });
  await until('the log', () => nginx.requests().length >= texts.length);
  t.deepEqual(
    nginx.requests().map(({ status }) => status),
    texts.map(() => 502),
  );
  t.deepEqual([...new Set(nginx.requests().map(({ route }) => route))], ['/secrets/:key', '/proxy', '/receipts/:key']);
});

withNginx('requests that nginx refuses', async (t) => {
  const nginx = await startAlone(t);
  await sendEach(nginx, refused());
  await until('the log', () => nginx.requests().length > 20);
  t.pass();
});

withNginx('workers that refuse, hang up, break off, stay silent, answer nonsense', async (t) => {
  const sockets = await temporaryFolder(t);
  const ways: ((socket: import('node:net').Socket) => void)[] = [
    (socket) => socket.destroy(),
    (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', () => socket.destroy()),
    (socket) => socket.write('nonsense\r\n\r\n', () => socket.end()),
    (socket) => socket.write(`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(40_000)}\r\n\r\n`, () => socket.end()),
    () => {},
  ];
  let asked = 0;
  const upstream = await startUpstream(t, sockets, 1, ({ socket }) => ways[asked++ % ways.length]?.(socket));
  const soon = (_name: string, text: string) => text.replace('proxy_read_timeout 70s', 'proxy_read_timeout 100ms');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: soon });
  for (let n = 0; n < ways.length; n++) await sendEach(nginx, requests());
  t.true(asked >= (requests().length - 1) * ways.length); // an unknown method is Node's to refuse
  await new Promise((resolve) => {
    upstream.close(resolve);
    upstream.closeAllConnections();
  });
  await sendEach(nginx, requests());
  await until('the log', () => nginx.requests().some(({ status }) => status === 504));
});

withNginx('limits that are hit', async (t) => {
  const few = (_name: string, text: string) =>
    text.replace('rate=2000r/s', 'rate=1r/m').replace('burst=4000 nodelay', 'burst=1');
  const nginx = await startAlone(t, { edit: few });
  await Promise.all([sendEach(nginx, requests()), sendEach(nginx, requests())]);
  t.true(nginx.requests().some(({ status }) => status === 429));
});

withNginx('no connection left in nginx', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, () => {});
  const few = (_name: string, text: string) => text.replace('worker_connections 8000', 'worker_connections 25');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: few });
  const open: Conversation[] = [];
  for (let n = 0; n < 60; n++) {
    const conversation = await converse({ port: nginx.port });
    conversation.send(requests()[n % 5] as string);
    open.push(conversation);
  }
  await until('requests that found none', () => nginx.requests().some(({ status }) => status === 500));
  for (const conversation of open) conversation.reset();
  t.true(open.length > 25);
});

withNginx('clients that leave or are too slow, and nginx reloaded and ended meanwhile', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, (_request, response) => void setTimeout(() => response.end('late'), 300));
  const soon = (_name: string, text: string) =>
    text.replace(/client_(header|body)_timeout \d+s/g, 'client_$1_timeout 200ms');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: soon });
  for (const request of requests()) {
    for (const bytes of [40, request.length - 1, request.length]) {
      const conversation = await converse({ port: nginx.port });
      conversation.send(request.slice(0, bytes));
      await sleep(20);
      if (bytes === 40) conversation.end();
      else if (bytes === request.length) conversation.reset();
    }
  }
  nginx.signal('SIGHUP');
  await sendEach(nginx, requests());
  await sleep(400);
  t.true(nginx.requests().length > requests().length);
});

withNginx('the real program: keys that work, a worker killed in the middle, and its own log', async (t) => {
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  const program = await start(t, { folder, env: { SOCKET_DIR: sockets } });
  const nginx = await startNginx(t, { sockets });
  const keys: string[] = [];
  for (let n = 0; n < 5; n++)
    keys.push(
      await createSecret(nginx.base, {
        secret: 'a secret worth hiding',
        phrase: 'a phrase worth hiding',
        receipt: true,
      }),
    );
  for (const key of keys) {
    await readSecret(nginx.base, key, { phrase: 'a phrase that is wrong' });
    await readSecret(nginx.base, key, { phrase: 'a phrase worth hiding' });
  }
  await sendEach(nginx, [...requests(), ...refused()]);
  const reading = Promise.allSettled(
    Array.from({ length: 30 }, () => readSecret(nginx.base, makeKey(), { phrase: 'a phrase worth hiding' })),
  );
  for (const pid of program.workers()) kill(pid);
  rmSync(join(sockets, 'worker-1.sock'), { force: true });
  await reading;
  await sendEach(nginx, requests());
  t.true(nginx.requests().length > 60);
});

withNginx('a leak would be found', async (t) => {
  const sockets = await temporaryFolder(t);
  const loud = (_name: string, text: string) =>
    text.replace('error_log /dev/null emerg', `error_log ${sockets}/error.log error`);
  const nginx = await startNginx(t, { sockets, edit: loud });
  await sendEach(nginx, requests().slice(0, 1));
  const leaks = (): string[] => findLeaks(readFileSync(join(sockets, 'error.log'), 'utf8'));
  await until('the leak', () => leaks().length > 0);
  t.is(leaks().length, 1);
});
