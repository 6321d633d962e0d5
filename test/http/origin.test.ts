import { type IncomingHttpHeaders, request as sendRequest } from 'node:http';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { converse } from '../support/http/raw.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

type Reply = { status: number; code: string | undefined; headers: IncomingHttpHeaders; text: string };
type Headers = Readonly<Record<string, string>>;

async function start(t: ExecutionContext, env: Headers = {}): Promise<TestServer> {
  return startServer(t, { place: await SQLITE.place(t), env });
}

/** Sends these headers as they are; `fetch` would set some itself. */
function ask(server: TestServer, method: string, path: string, headers: Headers = {}, body = ''): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const options = { port: server.port, host: '127.0.0.1', method, path, headers, agent: false } as const;
    const outgoing = sendRequest(options, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      response.on('end', () => {
        const isJson = response.headers['content-type']?.startsWith('application/json') && text !== '';
        const code = isJson ? JSON.parse(text).code : undefined;
        resolve({ status: response.statusCode as number, code, headers: response.headers, text });
      });
    });
    outgoing.on('error', reject).end(body);
  });
}

const create = (server: TestServer, headers: Headers): Promise<Reply> =>
  ask(server, 'POST', '/generate', headers, '{"secret":"s"}');

async function statusesOf(server: TestServer, cases: readonly Headers[]): Promise<number[]> {
  const statuses = [];
  for (const headers of cases) statuses.push((await create(server, headers)).status);
  return statuses;
}

const FOREIGN = { origin: 'https://evil.example' };

test('Sec-Fetch-Site decides where a browser sends it, whatever Origin is', async (t) => {
  const server = await start(t);
  for (const site of ['same-origin', 'same-site', 'none']) {
    for (const origin of ['null', 'https://evil.example']) {
      t.is((await create(server, { 'sec-fetch-site': site, origin })).status, 201, site);
    }
  }
  const own = `http://127.0.0.1:${server.port}`;
  for (const site of ['cross-site', 'Same-Origin', '', 'same-origin, cross-site', 'x']) {
    const { status, code } = await create(server, { 'sec-fetch-site': site, origin: own });
    t.deepEqual([status, code], [403, 'FOREIGN_ORIGIN'], site);
    t.is((await create(server, { 'sec-fetch-site': site })).status, 403, site);
  }
});

test('without Sec-Fetch-Site, host and port of Origin must be those of Host', async (t) => {
  const server = await start(t, { TRUSTED_PROXIES: '127.0.0.1' }); // lets Host be anything
  for (const [origin, host] of [
    ['http://a.example', 'a.example'],
    ['http://a.example', 'A.Example:80'],
    ['https://a.example', 'a.example'],
    ['https://a.example', 'a.example:443'],
    ['http://a.example:8000', 'a.example:8000'],
    ['http://[::1]:8000', '[0:0::1]:8000'],
    ['http://127.0.0.1', '127.0.0.1:'],
  ] as const) {
    t.is((await create(server, { origin, host })).status, 201, `${origin} ${host}`);
  }
  for (const [origin, host] of [
    ['http://b.example', 'a.example'],
    ['http://a.example:8001', 'a.example:8000'],
    ['http://a.example', 'a.example:443'],
    ['https://a.example', 'a.example:80'],
    ['http://sub.a.example', 'a.example'],
    ['http://a.example.evil', 'a.example'],
    ['http://localhost:8000', '127.0.0.1:8000'],
    ['null', 'null'],
    ['', 'a.example'],
    ['a.example', 'a.example'],
    ['file://a.example', 'a.example'],
    ['chrome-extension://abc', 'abc'],
    ['http://a.example/', 'a.example'],
    ['http://user@a.example', 'a.example'],
    ['http://a.example, http://b.example', 'a.example'],
  ] as const) {
    const { status, code } = await create(server, { origin, host });
    t.deepEqual([status, code], [403, 'FOREIGN_ORIGIN'], `${origin} ${host}`);
  }
});

test('behind a proxy that rewrites Host, its X-Forwarded-Host or PUBLIC_URL is ours', async (t) => {
  const page = { origin: 'https://hush.example' };
  const forwarded = { ...page, 'x-forwarded-host': 'hush.example' };
  t.deepEqual(await statusesOf(await start(t), [page, forwarded]), [403, 403]);
  const trusting = await start(t, { TRUSTED_PROXIES: '127.0.0.1' });
  const rows = { ...page, 'x-forwarded-host': 'hush.example, inner:8080' };
  const other = { ...page, 'x-forwarded-host': 'other.example' };
  t.deepEqual(await statusesOf(trusting, [page, forwarded, rows, other]), [403, 201, 201, 403]);
  const named = await start(t, { PUBLIC_URL: 'https://hush.example/box' });
  const cases = [page, { origin: 'https://hush.example:8443' }, { origin: 'http://hush.example' }, FOREIGN];
  t.deepEqual(await statusesOf(named, cases), [201, 403, 403, 403]);
});

test('the rule holds for every path and every method that changes something, and before anything is used up', async (t) => {
  const server = await start(t, { CREATE_TOKEN: 'a-token-of-the-staff', EGRESS_ALLOW: '127.0.0.1' });
  const created = await ask(
    server,
    'POST',
    '/generate',
    { authorization: 'Bearer a-token-of-the-staff' },
    '{"secret":"s","receipt":true}',
  );
  const { secret_key, receipt_key } = JSON.parse(created.text);
  const paths = [`/secrets/${secret_key}`, `//secrets//${secret_key}/`, `/receipts/${receipt_key}`];
  for (const path of [...paths, '/generate', '/proxy/', '/proxy', '/server/', '/nowhere', '/', '/health/live']) {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const { status, code } = await ask(server, method, path, FOREIGN, '{');
      t.deepEqual([status, code], [403, 'FOREIGN_ORIGIN'], `${method} ${path}`);
    }
  }
  t.is((await ask(server, 'POST', `http://127.0.0.1:${server.port}/generate`, FOREIGN)).status, 403);
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    t.true((await ask(server, method, `/secrets/${secret_key}`, FOREIGN)).status < 300, method);
  }
  t.like(await (await server.get(`/receipts/${receipt_key}`)).json(), { state: 'waiting' });
  const read = await ask(server, 'POST', `/secrets/${secret_key}`);
  t.is(read.text, '{"secret":"s"}');
});

test('a foreign request is answered without waiting for its body', async (t) => {
  const server = await start(t);
  const headers = { ...FOREIGN, 'content-length': '1000', expect: '100-continue' };
  t.is((await ask(server, 'POST', '/generate', headers)).status, 403);
});

test('the link in plain text begins with PUBLIC_URL, or else with what the client or a trusted proxy names', async (t) => {
  const baseOf = async (server: TestServer, headers: Headers): Promise<string> => {
    const { text } = await create(server, { accept: 'text/plain', ...headers });
    return text.replace(/\/secrets\/[\w-]{48}$/, '');
  };
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'hush.example' };
  const plain = await start(t);
  t.is(await baseOf(plain, {}), plain.base);
  t.is(await baseOf(plain, forwarded), plain.base);
  t.is(await baseOf(plain, { host: 'localhost:81' }), 'http://localhost:81');
  const trusting = await start(t, { TRUSTED_PROXIES: '127.0.0.1' });
  t.is(await baseOf(trusting, forwarded), 'https://hush.example');
  t.is(await baseOf(trusting, { ...forwarded, 'x-forwarded-proto': 'HTTPS, http' }), 'https://hush.example');
  t.is(await baseOf(trusting, { 'x-forwarded-proto': 'https', host: 'a.example' }), 'https://a.example');
  t.is(await baseOf(trusting, { host: '[fe80::1%25eth0]:81' }), 'http://[fe80::1]:81', 'a zone is no part of a link');
  for (const wrong of ['a/b', 'a b', 'user@a', '', '<x>', 'a:99999', '127.0.0.256', '[x]']) {
    t.is(
      await baseOf(trusting, { 'x-forwarded-host': wrong, 'x-forwarded-proto': 'ftp', host: 'a' }),
      'http://a',
      wrong,
    );
  }
  const named = await start(t, { PUBLIC_URL: 'https://hush.example/box/', TRUSTED_PROXIES: '127.0.0.1' });
  t.is(await baseOf(named, { 'x-forwarded-host': 'other.example' }), 'https://hush.example/box');
  const socket = await converse({ port: plain.port });
  socket.send('POST /generate HTTP/1.0\r\nAccept: text/plain\r\nContent-Length: 14\r\n\r\n{"secret":"s"}');
  await socket.untilAnswered(1);
  t.true(socket.answers()[0]?.text.startsWith(`${plain.base}/secrets/`));
});

const APP = 'https://app.example';

test('CORS_ORIGINS lets listed pages send and read everything, without credentials', async (t) => {
  const server = await start(t, { CORS_ORIGINS: `${APP}, http://Local.example:80/` });
  for (const origin of [APP, 'http://local.example']) {
    const created = await create(server, { origin, 'sec-fetch-site': 'cross-site' });
    t.is(created.status, 201);
    const { secret_key } = JSON.parse(created.text);
    const answers = [
      created,
      await ask(server, 'GET', `/secrets/${secret_key}`, { origin }),
      await ask(server, 'POST', `/secrets/${secret_key}`, { origin }),
      await ask(server, 'POST', `/secrets/${secret_key}`, { origin, accept: 'text/plain' }),
      await ask(server, 'POST', '/generate', { origin }, '{'),
      await ask(server, 'POST', '/nowhere', { origin }),
      await ask(server, 'PUT', '/generate', { origin }),
      await ask(server, 'GET', '/status', { origin, accept: 'text/html' }),
      await ask(server, 'POST', '/proxy/', { origin }),
    ];
    for (const { headers } of answers) {
      t.is(headers['access-control-allow-origin'], origin);
      t.regex(headers['access-control-expose-headers'] ?? '', /Retry-After/);
      t.is(headers['access-control-allow-credentials'], undefined);
      t.regex(headers.vary ?? '', /origin/);
    }
  }
});

test('a preflight of a listed page is answered with what it may send; any other gets none of it', async (t) => {
  const server = await start(t, { CORS_ORIGINS: APP });
  const wish = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'idempotency-key' };
  for (const path of ['/generate', '/secrets/some-key', '/receipts/some-key', '/proxy/']) {
    const { status, headers } = await ask(server, 'OPTIONS', path, { ...wish, origin: APP });
    t.is(status, 204, path);
    t.is(headers['access-control-allow-origin'], APP);
    t.true(['POST', 'DELETE'].every((method) => headers['access-control-allow-methods']?.includes(method)));
    for (const name of ['Idempotency-Key', 'Authorization', 'Content-Type']) {
      t.regex(headers['access-control-allow-headers'] ?? '', new RegExp(name));
    }
    t.is(headers['access-control-allow-credentials'], undefined);
  }
  for (const origin of ['https://evil.example', 'http://app.example', `${APP}:8443`, 'null', '*', '']) {
    const preflight = await ask(server, 'OPTIONS', '/generate', { ...wish, origin });
    t.deepEqual(
      Object.keys(preflight.headers).filter((name) => name.startsWith('access-control')),
      [],
    );
    t.is(preflight.headers.vary, 'origin');
    t.is((await create(server, { origin })).status, 403);
  }
  const unlisted = await start(t);
  const { headers } = await ask(unlisted, 'OPTIONS', '/generate', { ...wish, origin: APP });
  t.is(headers['access-control-allow-origin'], undefined);
});

test('on a loopback address, a name that is neither localhost nor public is 421, for every path and method', async (t) => {
  const server = await start(t, { PUBLIC_URL: 'https://hush.example/box' });
  const { secret_key } = await server.create({ secret: 's' });
  for (const host of [
    'evil.example',
    'evil.example:8000',
    'a.localhost',
    'localhost.evil',
    'x',
    '127.0.0.1.evil',
    '_',
    ',',
    '[::zz]',
  ]) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
      for (const path of [`/secrets/${secret_key}`, '/generate', '/nowhere', '/', '/health/live', '/proxy/']) {
        const { status, code } = await ask(server, method, path, { host });
        t.is(status, 421, `${method} ${path} ${host}`);
        if (method !== 'HEAD') t.is(code, 'MISDIRECTED');
      }
    }
  }
  t.is((await server.get(`/secrets/${secret_key}`)).status, 200);
});

test('addresses, localhost and the public name are never 421', async (t) => {
  const server = await start(t, { PUBLIC_URL: 'https://Hush.example/box' });
  for (const host of [
    'localhost',
    'LOCALHOST:1',
    'localhost.',
    '127.0.0.1',
    '10.1.2.3:8000',
    '[::1]',
    '[::1]:80',
    '[fe80::1%25eth0]:80',
    '127.1',
    'hush.example',
    'HUSH.example:99',
    'hush.example.',
  ]) {
    t.is((await ask(server, 'GET', '/health/live', { host })).status, 200, host);
  }
});

test('a host that no URL can have is 400 wherever it is not 421, before anything is used up', async (t) => {
  const server = await start(t, { TRUSTED_PROXIES: '127.0.0.1' });
  const { secret_key } = await server.create({ secret: 's' });
  for (const host of ['localhost:99999', '127.0.0.256', '1.2.3.4.5', '[::zz]', '%zz', 'a%b', '%'.repeat(15_000)]) {
    for (const path of [`/secrets/${secret_key}`, '/api/v1/login/', '/session_cookie_experiment', '/nowhere']) {
      const { status, code } = await ask(server, 'POST', path, { host, cookie: 'access_token=x' });
      t.deepEqual([status, code], [400, 'INVALID_REQUEST'], `${path} ${host}`);
    }
  }
  t.is((await server.get(`/secrets/${secret_key}`)).status, 200);
});

test('trusted proxies, whole URLs and listeners that are not on loopback alone may be named as they like', async (t) => {
  const host = 'hush.example';
  const trusting = await start(t, { TRUSTED_PROXIES: '127.0.0.0/8' });
  t.is((await ask(trusting, 'GET', '/health/live', { host })).status, 200);
  const open = await start(t, { HOST: '0.0.0.0' });
  t.is((await ask(open, 'GET', '/health/live', { host })).status, 200);
  const socketed = await start(t, { SOCKET_DIR: join('/tmp', 'unused') });
  t.is((await ask(socketed, 'GET', '/health/live', { host })).status, 200);
  const plain = await start(t);
  t.not((await ask(plain, 'GET', `http://${host}/health/live`, { host })).status, 421);
  t.is((await ask(plain, 'GET', '/health/live', { host })).status, 421);
});
