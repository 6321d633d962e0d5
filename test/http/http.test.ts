import { once } from 'node:events';
import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { bodyLimitBytes } from '../../src/http/body-limit.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { until } from '../support/process/program.ts';
import { ENGINES } from '../support/storage/storage.ts';

const [sqlite] = ENGINES;
const MIB = 1024 * 1024;
const LIMIT = bodyLimitBytes(MIB);

async function start(t: ExecutionContext, options: object = {}): Promise<TestServer> {
  if (!sqlite) throw new TypeError('no engine');
  return startServer(t, { place: await sqlite.place(t), ...options });
}

type RawAnswer = { status: number; headers: Map<string, string>; body: Record<string, unknown>; text: string };

/** Sends bytes as they are and reads until the server closes, or the first answer is complete. */
function raw(server: TestServer, ...chunks: (string | Buffer)[]): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1');
    let text = '';
    const finish = (): void => {
      socket.destroy();
      const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s);
      const [statusLine = '', ...lines] = head.split('\r\n');
      const headers = new Map(
        lines.map((line) => [line.split(': ')[0]?.toLowerCase() ?? '', line.replace(/^[^:]*: /, '')]),
      );
      resolve({ status: Number(statusLine.split(' ')[1]), headers, body: body ? JSON.parse(body) : {}, text });
    };
    socket.on('data', (chunk) => {
      text += chunk;
      const [head, body] = text.split(/\r\n\r\n(.*)/s);
      const length = /content-length: (\d+)/i.exec(head ?? '')?.[1];
      if (length !== undefined && Buffer.byteLength(body ?? '') >= Number(length)) finish();
    });
    socket.on('end', finish);
    socket.on('error', reject);
    for (const chunk of chunks) socket.write(chunk);
  });
}

const post = (path: string, headers: string, body = ''): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n${body}`;

test('every answer has the common headers, errors and those of the HTTP parser included', async (t) => {
  const server = await start(t);
  const { secret_key } = await server.create({ secret: 's' });
  const ids = new Set<string>();
  const answers = [
    await server.get('/health/live'),
    await server.get(`/secrets/${secret_key}`),
    await server.get('/nowhere'),
    await server.post('/generate', '{'),
    await server.request('PUT', '/generate'),
    await server.request('OPTIONS', '/generate'),
    await server.request('HEAD', '/health/live'),
  ].map(({ headers }) => headers);
  const malformed = await raw(server, 'NONSENSE\r\n\r\n');
  for (const headers of [...answers, malformed.headers]) {
    t.is(headers.get('cache-control'), 'no-store');
    t.is(headers.get('x-content-type-options'), 'nosniff');
    t.is(headers.get('referrer-policy'), 'no-referrer');
    ids.add(headers.get('x-request-id') ?? '');
  }
  t.is(ids.size, answers.length + 1);
});

test('a JSON body is read whatever content type it comes with', async (t) => {
  const server = await start(t);
  const types = [
    'application/x-www-form-urlencoded',
    'text/plain',
    'application/json; charset=utf-8',
    'multipart/form-data',
    'image/png',
    'x',
  ];
  for (const type of types) {
    const created = await server.post('/generate', { secret: type }, { 'content-type': type });
    t.is(created.status, 201, type);
    const { secret_key } = (await created.json()) as { secret_key: string };
    t.deepEqual(await (await server.post(`/secrets/${secret_key}`, {}, { 'content-type': type })).json(), {
      secret: type,
    });
  }
  const body = '{"secret":"s"}';
  t.is((await raw(server, post('/generate', `Content-Length: ${body.length}\r\n`, body))).status, 201);
});

test('what is not a JSON object in UTF-8 is 400, and an empty body an empty object', async (t) => {
  const server = await start(t);
  const deep = 60_000;
  const bodies: (string | Uint8Array)[] = [
    '{',
    'secret=s',
    '"s"',
    '5',
    'null',
    'true',
    '[]',
    '[{"secret":"s"}]',
    '{"secret":"s"}x',
    "{'secret':'s'}",
    '{"secret":"s",}',
    '\ufeff\ufeff{"secret":"s"}',
    '{"secret":"s"}\ufeff',
    '{"secret":"a\u0000b"}',
    '['.repeat(deep),
    '['.repeat(deep) + ']'.repeat(deep),
    `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`,
    `{"secret":${'['.repeat(deep)}${']'.repeat(deep)}}`,
    Buffer.from('{"secret":"\xff"}', 'latin1'),
    Buffer.from('{"secret":"\xc0\xaf"}', 'latin1'),
    Buffer.from('{"secret":"\xed\xa0\x80"}', 'latin1'),
    Buffer.from('{"secret":"s"}', 'utf16le'),
    Buffer.concat([Buffer.from('{"secret":"'), Buffer.of(0xf0, 0x9f), Buffer.from('"}')]),
  ];
  for (const body of bodies) {
    const response = await server.post('/generate', body);
    t.is(response.status, 400, String(body).slice(0, 40));
    const answer = (await response.json()) as { code: string; Error: string };
    t.is(answer.code, 'INVALID_REQUEST');
    t.false(/token|position|unexpected/i.test(answer.Error), answer.Error);
  }
  t.regex(((await (await server.post('/generate', '')).json()) as { Error: string }).Error, /^secret must be text/);
});

test('a body over the limit gets its 413, even by who sends everything first', async (t) => {
  const server = await start(t);
  const fits = `{"secret":"${'\\u0061'.repeat(MIB)}"${' '.repeat(1000)}}`;
  t.is((await server.post('/generate', fits)).status, 201);
  const padded = (bytes: number): string => `{"secret":"s"${' '.repeat(bytes - 14)}}`;
  t.is((await server.post('/generate', padded(LIMIT))).status, 201);
  for (const bytes of [LIMIT + 1, 8 * MIB, 16 * MIB]) {
    const body = padded(bytes);
    const sized = await raw(server, post('/generate', `Content-Length: ${bytes}\r\n`, body));
    t.deepEqual([sized.status, sized.body.code], [413, 'TOO_LARGE'], String(bytes));
    const chunked = await raw(
      server,
      post('/generate', 'Transfer-Encoding: chunked\r\n', `${bytes.toString(16)}\r\n${body}\r\n0\r\n\r\n`),
    );
    t.deepEqual([chunked.status, chunked.body.code], [413, 'TOO_LARGE'], String(bytes));
  }
  const { secret_key } = await server.create({ secret: 's' });
  t.is((await server.post(`/secrets/${secret_key}`, padded(LIMIT + 1))).status, 413);
  t.is((await server.post(`/secrets/${secret_key}`)).status, 200);
});

test('a client that leaves in the middle of its body is no failure of ours', async (t) => {
  const server = await start(t);
  const socket = connect(server.port, '127.0.0.1');
  socket.write(post('/generate', 'Content-Length: 100\r\nExpect: 100-continue\r\n', '{"secret":'));
  await once(socket, 'data'); // its body is asked for
  socket.resetAndDestroy();
  await until('the end of its request', () => server.logged().includes('"route":"/generate"'));
  t.is((await server.get('/health/live')).status, 200);
  t.false(server.logged().includes('request failed'));
});

/** Everything that comes back until the server closes; with `isHalfClosed`, our side is closed right after sending. */
function converse(server: TestServer, text: string, isHalfClosed = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('end', () => {
      socket.end();
      resolve(received);
    });
    socket.on('error', reject);
    if (isHalfClosed) socket.end(text);
    else socket.write(text);
  });
}

const statuses = (text: string): string[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status as string);

test('a client that closes its side after sending still gets its answer', async (t) => {
  const server = await start(t);
  const created = await converse(server, post('/generate', 'Content-Length: 14\r\n', '{"secret":"s"}'), true);
  t.deepEqual(statuses(created), ['201']);
  const key = /"secret_key":"([^"]+)"/.exec(created)?.[1];
  const read = await converse(server, post(`/secrets/${key}`, 'Content-Length: 2\r\n', '{}'), true);
  t.deepEqual(statuses(read), ['200']);
  t.true(read.endsWith('{"secret":"s"}'));
});

test('what follows a read on its connection cannot take its answer away', async (t) => {
  const server = await start(t);
  const followers: [string, string][] = [
    ['X\r\n\r\n', '400'],
    ['FOO BAR\r\n\r\n', '400'],
    ['GET / HTTP/1.1\r\n\r\n', '400'],
    ['GET / HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n', '417'],
    ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', '405'],
    ['POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', '400'],
  ];
  for (const phrase of [undefined, 'p']) {
    for (const [follower, status] of followers) {
      const { secret_key } = await server.create({ secret: 's', phrase });
      const body = JSON.stringify({ phrase });
      const read = post(`/secrets/${secret_key}`, `Content-Length: ${body.length}\r\n`, body);
      const answers = await converse(server, read + follower);
      t.deepEqual(statuses(answers), ['200', status], follower);
      t.true(answers.includes('{"secret":"s"}'), follower);
    }
  }
  t.is((await server.get('/health/live')).status, 200);
});

test('what follows a request that closes its connection does not happen', async (t) => {
  const server = await start(t);
  for (const [refused, status] of [
    ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', '400'],
    ['GET / HTTP/1.1\r\nHost: a\r\nExpect: zz\r\n\r\n', '417'],
    ['GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', '200'],
    ['GET /health/live HTTP/1.0\r\n\r\n', '200'],
  ] as const) {
    const { secret_key } = await server.create({ secret: 's' });
    const answers = await converse(server, refused + post(`/secrets/${secret_key}`, 'Content-Length: 2\r\n', '{}'));
    t.deepEqual(statuses(answers), [status]);
    t.is((await server.post(`/secrets/${secret_key}`)).status, 200, refused);
  }
});

test('a request with an encoding that nobody decodes does not happen', async (t) => {
  const server = await start(t);
  for (const encoding of ['gzip, chunked', 'identity, chunked', ',chunked', 'gzip', 'identity']) {
    const { receipt_key } = await server.create({ secret: 's', receipt: true });
    const head = `DELETE /receipts/${receipt_key} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: ${encoding}\r\n\r\n`;
    const { status, body } = await raw(server, `${head}0\r\n\r\n`);
    t.deepEqual([status, body.code], [400, 'INVALID_REQUEST'], encoding);
    t.like(await (await server.get(`/receipts/${receipt_key}`)).json(), { state: 'waiting' }, encoding);
  }
});

test('hosts, addresses and whole URLs are taken', async (t) => {
  const server = await start(t, { env: { TRUSTED_PROXIES: '127.0.0.1' } }); // what hosts others may name: origin.test.ts
  for (const host of [
    'x',
    'a_b-c.example.',
    'x:80',
    'x:',
    '127.0.0.1:8000',
    '[::1]',
    '[fe80::1%25eth0]:80',
    'xn--bcher-kva.example',
  ]) {
    for (const target of ['/health/live', `http://127.0.0.1:${server.port}/health/live`]) {
      t.is((await raw(server, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status, 200, `${host} ${target}`);
    }
  }
});

test('a body that is too large takes no answer of its connection away', async (t) => {
  const server = await start(t);
  const { secret_key } = await server.create({ secret: 's' });
  const body = 'x'.repeat(LIMIT + 1);
  const tooLarge = post('/generate', `Content-Length: ${body.length}\r\n`, body);
  const read = post(`/secrets/${secret_key}`, 'Content-Length: 2\r\nConnection: close\r\n', '{}');
  const answers = await converse(server, tooLarge + read);
  const isRead = statuses(answers).length === 2;
  t.is(statuses(answers)[0], '413');
  t.is((await server.post(`/secrets/${secret_key}`)).status, isRead ? 404 : 200);
});

test('CONNECT and methods that nobody knows are wrong everywhere', async (t) => {
  const server = await start(t);
  for (const line of ['CONNECT /generate', 'CONNECT /', 'CONNECT example.org:443', 'BREW /generate', 'X-Y /nowhere']) {
    const answer = await raw(server, `${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
    t.deepEqual([answer.status, answer.body.code], [405, 'METHOD_NOT_ALLOWED']);
    t.truthy(answer.headers.get('allow'));
    t.is(answer.headers.get('cache-control'), 'no-store');
  }
});

test('who was refused and does not close is closed', async (t) => {
  const server = await start(t);
  const isClosed = ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'NONSENSE\r\n\r\n'].map(async (request) => {
    const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.write(request);
    socket.resume();
    await once(socket, 'end');
    const talking = setInterval(() => socket.write('still here\r\n'), 100);
    socket.on('error', () => {}); // the reset that we wait for
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(talking);
  });
  await t.notThrowsAsync(Promise.all(isClosed));
});

test('compressed bodies are refused', async (t) => {
  const server = await start(t);
  const response = await server.post('/generate', { secret: 's' }, { 'content-encoding': 'gzip' });
  t.deepEqual([response.status, ((await response.json()) as { code: string }).code], [415, 'UNSUPPORTED_ENCODING']);
  t.is((await server.post('/generate', { secret: 's' }, { 'content-encoding': 'Identity' })).status, 201);
});

test('unknown paths are 404, wrong methods 405 with Allow, and a trailing slash makes no difference', async (t) => {
  const server = await start(t);
  for (const path of ['/x', '/generate/x', '/secrets', '/secrets/', '/secrets/a/b', '/receipts', '/Generate']) {
    const response = await server.request('PUT', path);
    t.deepEqual([response.status, ((await response.json()) as { code: string }).code], [404, 'NOT_FOUND'], path);
  }
  const wrong: [string, string, string][] = [
    ['GET', '/generate', 'POST, OPTIONS'],
    ['DELETE', '/generate', 'POST, OPTIONS'],
    ['PROPFIND', '/generate', 'POST, OPTIONS'],
    ['PUT', '/secrets/x', 'POST, HEAD, GET, DELETE, OPTIONS'],
    ['POST', '/receipts/x', 'HEAD, GET, DELETE, OPTIONS'],
    ['POST', '/health/live', 'HEAD, GET, OPTIONS'],
    ['POST', '/health/ready/', 'HEAD, GET, OPTIONS'],
  ];
  for (const [method, path, allow] of wrong) {
    const response = await server.request(method, path);
    t.deepEqual([response.status, response.headers.get('allow')], [405, allow], `${method} ${path}`);
    t.is(((await response.json()) as { code: string }).code, 'METHOD_NOT_ALLOWED');
  }
  const { secret_key, receipt_key } = (await (
    await server.post('/generate/', { secret: 's', receipt: true })
  ).json()) as {
    secret_key: string;
    receipt_key: string;
  };
  t.is((await server.get(`/secrets/${secret_key}/`)).status, 200);
  t.is((await server.post(`/secrets/${secret_key}/`)).status, 200);
  t.is((await server.get(`/receipts/${receipt_key}/`)).status, 200);
  t.is((await server.get('/health/live/')).status, 200);
});

test('repeated slashes count as one, wherever they are', async (t) => {
  const server = await start(t);
  const created = await raw(server, post('//generate//', 'Content-Length: 14\r\n', '{"secret":"s"}'));
  t.is(created.status, 201);
  const { secret_key } = created.body as { secret_key: string };
  for (const path of [
    `//secrets/${secret_key}`,
    `/secrets///${secret_key}//`,
    `http://127.0.0.1:${server.port}//health//live`,
    '//health/ready',
  ]) {
    t.is((await raw(server, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)).status, 200, path);
  }
  for (const path of ['//secrets//', '///x', `//secrets//${secret_key}//x`]) {
    t.is((await raw(server, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)).status, 404, path);
  }
  const wrong = await raw(server, 'PUT //generate HTTP/1.1\r\nHost: localhost\r\n\r\n');
  t.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'POST, OPTIONS']);
  t.like((await raw(server, post(`//secrets//${secret_key}`, ''))).body, { secret: 's' });
  t.false(server.logged().includes('//'));
});

test('what the HTTP parser refuses has our shape', async (t) => {
  const server = await start(t);
  const cases: [number, string, string][] = [
    [400, 'INVALID_REQUEST', 'NONSENSE\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET http://[/x HTTP/1.1\r\nHost: x\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/2.0\r\nHost: x\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: localhost:99999\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: 127.0.0.256\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET http://user:pass@x/ HTTP/1.1\r\nHost: x\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/0.9\r\n\r\n'],
    [400, 'INVALID_REQUEST', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n'],
    [400, 'INVALID_REQUEST', post('/generate', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    [400, 'INVALID_REQUEST', post('/generate', 'Content-Length: 5\r\nContent-Length: 6\r\n', '{}')],
    [400, 'INVALID_REQUEST', post('/generate', 'Content-Length: -5\r\n', '{}')],
    [400, 'INVALID_REQUEST', post('/generate', 'Transfer-Encoding: chunked\r\n', 'zz\r\n{}\r\n0\r\n\r\n')],
    [431, 'HEADERS_TOO_LARGE', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`],
    [431, 'HEADERS_TOO_LARGE', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    [417, 'EXPECTATION_FAILED', post('/generate', 'Expect: a-miracle\r\nContent-Length: 2\r\n', '{}')],
  ];
  for (const [status, code, request] of cases) {
    const answer = await raw(server, request);
    t.deepEqual([answer.status, answer.body.code], [status, code], request.slice(0, 80));
    t.is(answer.body.request_id, answer.headers.get('x-request-id'));
    t.is(answer.headers.get('content-type'), 'application/json; charset=utf-8');
  }
});

test('creating needs the token where one is set, reading does not', async (t) => {
  const createToken = 'a-token-of-some-length';
  const server = await start(t, { env: { CREATE_TOKEN: createToken } });
  for (const headers of [
    {},
    { authorization: 'Bearer x' },
    { authorization: `Basic ${createToken}` },
    { authorization: `Bearer ${createToken}x` },
  ]) {
    const response = await server.post('/generate', { secret: 's' }, headers as Record<string, string>);
    t.is(response.status, 401);
    t.is(response.headers.get('www-authenticate'), 'Bearer');
    t.is(((await response.json()) as { code: string }).code, 'UNAUTHORIZED');
  }
  const created = await server.post('/generate', { secret: 's' }, { authorization: `Bearer ${createToken}` });
  t.is(created.status, 201);
  const { secret_key } = (await created.json()) as { secret_key: string };
  t.is((await server.post(`/secrets/${secret_key}`)).status, 200);
});

test('live and ready answer', async (t) => {
  const server = await start(t);
  for (const path of ['/health/live', '/health/ready']) t.is((await server.get(path)).status, 200);
});
