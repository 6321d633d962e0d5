import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { send } from '../support/http/client.ts';
import { converse } from '../support/http/raw.ts';
import { type Nginx, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { echo, startUpstream } from '../support/nginx/upstream.ts';
import { until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

type Echo = { method: string; url: string; headers: Record<string, string>; names: string[]; body: string };

async function startEcho(t: ExecutionContext): Promise<Nginx> {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, echo);
  return startNginx(t, { sockets, workers: 1 });
}

/** What the worker sees of a request. */
async function pass(nginx: Nginx, request: string): Promise<Echo> {
  const conversation = await converse({ port: nginx.port });
  conversation.send(request);
  await conversation.untilAnswered(1);
  const [answer] = conversation.answers();
  conversation.reset();
  if (answer?.status !== 200) throw new Error(`${answer?.status} ${answer?.text}`);
  return JSON.parse(answer.text) as Echo;
}

withNginx('the worker gets the path as it was sent', async (t) => {
  const nginx = await startEcho(t);
  for (const path of [
    '/secrets/a%2fb',
    '/secrets/%61?x=%zz&y=/../',
    '//secrets///a//',
    '/a/./b/c/../d',
    '/%7e~;x=1,2/\'"(){}|^`<>',
    '/?',
    '/a%20b+c',
    '/secrets/a#b',
  ]) {
    t.is((await pass(nginx, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)).url, path);
  }
  t.is((await pass(nginx, 'GET http://other/a?b HTTP/1.1\r\nHost: x\r\n\r\n')).url, '/a?b');
});

withNginx('the worker gets the host with its port, and every header that means something to it', async (t) => {
  const nginx = await startEcho(t);
  const sent = {
    host: 'hush.example.org:8443',
    'idempotency-key': 'a-key-of-22-characters-or-more',
    authorization: 'Bearer a-token-of-some-length',
    'proxy-authorization': 'Bearer another-token-of-some-length',
    accept: 'text/html;q=0.8, application/json',
    destination: 'https://example.org/hook',
    token: 'a-token-of-a-session',
    cookie: 'access_token=a-cookie-of-a-session; csrftoken=b',
    dpop: 'a.proof.of-possession',
    'x-csrftoken': 'a-token-against-forgery',
    origin: 'https://hush.example.org:8443',
    'sec-fetch-site': 'same-origin',
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    'accept-encoding': 'gzip',
    range: 'bytes=0-1',
    'if-none-match': '"x"',
    via: '1.1 somebody',
    x_underscore: 'y',
  };
  const lines = Object.entries(sent).map(([name, value]) => `${name}: ${value}\r\n`);
  const seen = await pass(nginx, `POST /x HTTP/1.1\r\n${lines.join('')}Content-Length: 4\r\n\r\nbody`);
  t.like(seen, { method: 'POST', body: 'body' });
  for (const [name, value] of Object.entries(sent)) t.is(seen.headers[name], value, name);
});

withNginx('a request of HTTP/1.0 without a host is still one', async (t) => {
  const nginx = await startEcho(t);
  t.is((await pass(nginx, 'GET /x HTTP/1.0\r\n\r\n')).headers.host, 'localhost');
});

withNginx(
  "what a client says of itself or of other proxies is replaced, and a connection's headers end there",
  async (t) => {
    const nginx = await startEcho(t);
    const forged = ['For', 'Proto', 'Host', 'Port', 'Prefix', 'Server', 'Ssl', 'Scheme', 'User'].map(
      (name) => `X-Forwarded-${name}`,
    );
    const lines = ['X-Forwarded', 'Forwarded', 'X-Real-IP', ...forged]
      .map((name) => `${name}: for=6.6.6.6\r\n`)
      .join('');
    const own =
      'Connection: upgrade, x-own\r\nX-Own: y\r\nUpgrade: h2c\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\nExpect: 100-continue\r\n';
    const seen = await pass(
      nginx,
      `POST /x HTTP/1.1\r\nHost: x:1\r\n${lines}${lines}${own}Content-Length: 4\r\n\r\nbody`,
    );
    t.notRegex(JSON.stringify(seen), /6\.6\.6\.6/);
    t.deepEqual(seen.names.map((name) => name.toLowerCase()).sort(), [
      'content-length',
      'host',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-own',
      'x-real-ip',
    ]);
    t.like(seen.headers, {
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'x:1',
      'x-real-ip': '127.0.0.1',
    });
  },
);

withNginx('what a worker does not take goes to the next one; what it took and broke is never sent again', async (t) => {
  const sockets = await temporaryFolder(t);
  const broken: string[] = [];
  const served: string[] = [];
  const first = await startUpstream(t, sockets, 1, (request) => {
    broken.push(request.method as string);
    request.socket.destroy();
  });
  await startUpstream(t, sockets, 2, (request, response) => {
    served.push(request.method as string);
    response.end();
  });
  const nginx = await startNginx(t, { sockets });
  const ask = async (method: string, body?: object) =>
    (await Promise.all(Array.from({ length: 10 }, () => send(nginx.base, '/x', body, { method }))))
      .map(({ status }) => status)
      .sort();
  const posts = await ask('POST', { secret: 'a secret that is sent once' });
  t.is(posts.filter((status) => status === 502).length, broken.length);
  t.is(broken.length + served.length, 10, 'a POST was sent twice');
  t.true(broken.length > 0);
  t.deepEqual(await ask('GET'), Array(10).fill(200)); // may be repeated

  await until('the lines of both', () => nginx.requests().length === 20);
  await new Promise((resolve) => first.close(resolve));
  t.deepEqual(await ask('POST', { secret: 'a secret that is sent once' }), Array(10).fill(200));
  await until('the lines of the last', () => nginx.requests().length === 30);
  const last = nginx.requests().slice(20);
  t.true(last.some(({ upstream }) => String(upstream).includes(`${join(sockets, 'worker-1.sock')}, `)));
});

withNginx('workers that broke off a request are asked again at once', async (t) => {
  const sockets = await temporaryFolder(t);
  let isBroken = true;
  for (const number of [1, 2]) {
    await startUpstream(t, sockets, number, ({ socket }, response) => {
      if (isBroken) socket.destroy();
      else response.end();
    });
  }
  const nginx = await startNginx(t, { sockets });
  for (let n = 0; n < 6; n++) t.is((await send(nginx.base, '/x', {})).status, 502);
  isBroken = false;
  t.is((await send(nginx.base, '/x', {})).status, 200);
});

withNginx('a client that closes its side after its request gets the answer all the same', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, (_request, response) => void setTimeout(() => response.end('late'), 200));
  const nginx = await startNginx(t, { sockets, workers: 1 });
  const conversation = await converse({ port: nginx.port });
  conversation.send('POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}');
  conversation.end();
  await until('the end of the connection', () => conversation.isClosed());
  t.deepEqual(
    conversation.answers().map(({ status }) => status),
    [200],
  );
});
