import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { jwtVerify } from 'jose';
import { AppError } from '../../src/errors.ts';
import { converse } from '../support/http/raw.ts';
import { until } from '../support/process/program.ts';
import { call, codeOf, head, httpUpstream, KEY_BYTES, OWN_NAME, rawUpstream, startProxy } from './support.ts';

test('the first case: without a destination the sink has it', async (t) => {
  const server = await startProxy(t);
  const { status, headers, body } = await call(server, {
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: 'Bearer of-somebody-else' },
    body: '{"a":1}',
  });
  t.is(status, 201);
  t.is(headers['content-security-policy'], 'sandbox');
  t.is(headers.via, `1.1 ${OWN_NAME}`);
  const claims = JSON.parse(body.toString());
  const date = new Date(server.clock.now).toISOString().slice(0, 10);
  t.like(claims, { payload: { user: 'username', date } });
  t.deepEqual(await (await server.get('/server/')).json(), [claims]);
});

test('body and headers go on unchanged, signed anew for every request', async (t) => {
  const server = await startProxy(t, { env: { PROXY_USER: 'Роман' } });
  const bodies: Buffer[] = [];
  const tokens: string[] = [];
  const { url, port } = await httpUpstream(t, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    bodies.push(Buffer.concat(chunks));
    tokens.push(request.headers['x-my-jwt'] as string);
    t.is(request.method, 'POST');
    t.is(request.url, '/a%20b?c=d');
    t.is(request.headers.host, `127.0.0.1:${port}`);
    t.deepEqual(request.headersDistinct['x-my-jwt']?.length, 1);
    t.is(request.headers.cookie, undefined);
    t.is(request.headers['x-bytes'], 'caf\xe9');
    t.is(request.headers['content-encoding'], 'br');
    response.end();
  });
  const sent = [Buffer.from([0, 255, 13, 10]), Buffer.alloc(0), Buffer.alloc(3_000_000, 0xfe)];
  for (const body of sent) {
    const headers = {
      destination: `${url}a%20b?c=d`,
      cookie: 'a=b',
      'x-my-jwt': 'forged',
      'x-bytes': 'caf\xe9',
      'content-encoding': 'br', // which it is not, and is nobody's business here
    };
    t.is((await call(server, { headers, body })).status, 200);
  }
  t.deepEqual(
    bodies.map((body, index) => body.equals(sent[index] as Buffer)),
    [true, true, true],
  );
  const seen = await Promise.all(tokens.map((token) => jwtVerify(token, KEY_BYTES, { algorithms: ['HS512'] })));
  t.is(new Set(seen.map(({ payload }) => payload.jti)).size, 3);
  for (const { payload } of seen) t.like(payload.payload, { user: 'Роман' });
});

test('the length is sent on with the body; without a length the body is chunked', async (t) => {
  const server = await startProxy(t);
  const seen: unknown[] = [];
  const { url } = await httpUpstream(t, async (request, response) => {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    seen.push([length, encoding, bytes]);
    response.end();
  });
  const raw = await converse({ port: server.port });
  raw.send(`${head(url, 'Content-Length: 6')}abc`);
  await sleep(50);
  raw.send('def');
  await raw.untilAnswered(1);
  raw.send(head(url, 'Transfer-Encoding: chunked'));
  await sleep(50);
  raw.send('3\r\nabc\r\n');
  await sleep(50);
  raw.send('3\r\ndef\r\n0\r\nX-Trailer: t\r\n\r\n');
  await raw.untilAnswered(2);
  raw.send(head(url));
  await raw.untilAnswered(3);
  t.deepEqual(seen, [
    ['6', undefined, 6],
    [undefined, 'chunked', 6],
    ['0', undefined, 0],
  ]);
  raw.end();
});

test('status, headers and body come back: repeats, 8-bit values, encodings; ours win', async (t) => {
  const server = await startProxy(t);
  const zipped = gzipSync('zipped');
  const { url } = await rawUpstream(t, (socket) => {
    const lines = [
      'HTTP/1.1 418 Odd',
      'X-A: 1',
      'x-a: 2',
      'X-Bytes: caf\xe9',
      'Set-Cookie: a=b',
      'Cache-Control: public',
      'X-Accel-Redirect: /etc/passwd',
      'Content-Security-Policy: default-src *',
      'Content-Encoding: gzip',
      `Content-Length: ${zipped.length}`,
    ];
    socket.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
    socket.write(zipped);
  });
  const { status, raw, headers, body } = await call(server, { headers: { destination: url }, body: 'x' });
  t.is(status, 418);
  t.deepEqual(body, zipped);
  t.is(raw.filter((name) => name.toLowerCase() === 'x-a').length, 2);
  t.is(headers['x-bytes'], 'caf\xe9');
  t.is(headers['content-encoding'], 'gzip');
  t.is(headers['set-cookie'], undefined);
  t.is(headers['x-accel-redirect'], undefined);
  t.is(headers['content-security-policy'], 'sandbox');
  t.is(headers['cache-control'], 'no-store');
  t.is(headers['x-content-type-options'], 'nosniff');
  t.is(headers['referrer-policy'], 'no-referrer');
  t.regex(headers['x-request-id'] as string, /^[\da-f-]{36}$/);
});

test('answers without a body have none, redirects come back, 1xx are dropped', async (t) => {
  const server = await startProxy(t);
  for (const [text, status] of [
    ['HTTP/1.1 204 No\r\nX: 1\r\n\r\n', 204],
    ['HTTP/1.1 304 Not\r\nETag: "a"\r\n\r\n', 304],
    ['HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n', 302],
    [
      'HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 102 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      200,
    ],
    ['HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n', 599],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n0\r\nX-T: 1\r\n\r\n', 200],
  ] as const) {
    const { url } = await rawUpstream(t, (socket) => void socket.write(text));
    const answer = await call(server, { headers: { destination: url } });
    t.is(answer.status, status, text);
    t.is(answer.body.length, 0);
    if (status === 302) t.is(answer.headers.location, 'http://169.254.169.254/');
    t.is(answer.headers.trailer, undefined);
    t.is(answer.headers.link, undefined);
  }
});

for (const [name, text] of [
  ['closes at once', ''],
  ['speaks something else', '220 ready\r\n'],
  ['switches protocols', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
  ['has a head larger than any', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`],
  ['puts a control character into a header', 'HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n'],
  ['has two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  [
    'has a length and chunks',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  ],
  ['encodes its body for the way', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['folds a header', 'HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: b=c\r\nContent-Length: 0\r\n\r\n'],
  ['has an invalid status', 'HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n'],
] as const) {
  test(`a destination that ${name} is 502`, async (t) => {
    const server = await startProxy(t);
    const { url } = await rawUpstream(t, (socket) => void socket.end(Buffer.from(text, 'latin1')));
    const answer = await call(server, { headers: { destination: url }, body: 'x' });
    t.is(answer.status, 502);
    t.is(codeOf(answer), 'UPSTREAM_FAILED');
    t.false(server.logged().includes(url), 'nor is it in the log');
  });
}

test('a header that cannot be passed back is 502, and the answer is let go', async (t) => {
  const { Readable } = await import('node:stream');
  const body = Readable.from(['never passed back']);
  const server = await startProxy(t, {
    proxy: { sign: () => 'token', send: async () => ({ status: 200, headers: [['X', 'a\r\nSet-Cookie: b=c']], body }) },
  });
  const answer = await call(server, { headers: { destination: 'http://x/' } });
  t.is(codeOf(answer), 'UPSTREAM_FAILED');
  t.true(body.destroyed);
});

test('what is refused, in this order: method, token, loop, destination', async (t) => {
  const proxyToken = 'a-token-of-the-proxy';
  const server = await startProxy(t, { env: { PROXY_TOKEN: proxyToken, EGRESS_ALLOW: '' } });
  const right = { 'proxy-authorization': `Bearer ${proxyToken}` };
  const loop = { via: `1.1 ${OWN_NAME}` };
  const bad = { destination: 'http://user:secret-word@127.0.0.1/' };
  const get = await call(server, { method: 'GET', headers: { ...loop, ...bad } });
  t.deepEqual([get.status, get.headers.allow], [405, 'POST, OPTIONS']);
  for (const token of ['', 'Bearer wrong-token', `Basic ${proxyToken}`, `Bearer ${proxyToken}x`]) {
    const headers = { ...loop, ...bad, authorization: `Bearer ${proxyToken}`, 'proxy-authorization': token };
    const answer = await call(server, { headers });
    t.deepEqual([answer.status, codeOf(answer)], [407, 'PROXY_AUTHENTICATION_REQUIRED']);
    t.is(answer.headers['proxy-authenticate'], 'Bearer');
  }
  t.is(codeOf(await call(server, { headers: { ...right, ...loop, ...bad } })), 'LOOP_DETECTED');
  t.is((await call(server, { headers: { ...right, ...loop } })).status, 508);
  for (const destination of [
    bad.destination,
    'ftp://127.0.0.1/',
    '/server/',
    'not a URL',
    '',
    'http://',
    ['http://127.0.0.1/', 'http://127.0.0.1/'],
  ]) {
    const answer = await call(server, { headers: { ...right, destination } });
    t.is(codeOf(answer), 'INVALID_REQUEST', String(destination));
    t.regex(answer.body.toString(), /Destination/);
    t.notRegex(answer.body.toString(), /secret-word/);
  }
  const forbidden = await call(server, { headers: { ...right, destination: 'http://127.0.0.1/' } });
  t.deepEqual([forbidden.status, codeOf(forbidden)], [403, 'DESTINATION_FORBIDDEN']);
  t.is((await call(server, { path: '/proxy', headers: right })).status, 201);
  t.is((await call(server, { path: '/proxy/x', headers: right })).status, 404);
});

test('where it is not served it is not there', async (t) => {
  const server = await startProxy(t, { env: { NODE_ENV: 'production' } });
  t.is(codeOf(await call(server)), 'NOT_FOUND');
});

test('a client that waits for 100 Continue gets it once the destination takes its body, and not for what is refused', async (t) => {
  const server = await startProxy(t);
  const { url } = await httpUpstream(t, (request, response) => void request.pipe(response));
  const good = httpRequest({
    port: server.port,
    method: 'POST',
    path: '/proxy/',
    headers: { destination: url, expect: '100-continue', 'content-length': 4 },
  });
  good.flushHeaders();
  await once(good, 'continue');
  good.end('body');
  const [response] = (await once(good, 'response')) as [IncomingMessage];
  t.is(response.statusCode, 200);
  t.is((await response.toArray()).join(''), 'body');
  for (const destination of ['http://10.0.0.1/', 'nonsense']) {
    const refused = await converse({ port: server.port });
    refused.send(head(destination, 'Expect: 100-continue', 'Content-Length: 4'));
    await refused.untilAnswered(1);
    await until('the end', refused.isClosed);
    t.regex(String(refused.answers()[0]?.status), /^40[03]$/);
    t.is(refused.answers()[0]?.headers.get('connection'), 'close');
  }
});

test('a client that leaves ends the call to the destination, before and during the answer', async (t) => {
  const server = await startProxy(t);
  const { url, sockets } = await rawUpstream(t, (socket, text) => {
    if (text.includes('x-begin')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun');
  });
  for (const leave of ['reset', 'close'] as const) {
    for (const line of ['x-wait: 1', 'x-begin: 1']) {
      const raw = await converse({ port: server.port });
      raw.send(head(url, line, 'Content-Length: 0'));
      await until('a call', () => sockets.size === 1 && (line === 'x-wait: 1' || raw.rest() !== ''));
      raw[leave]();
      await until('its end', () => sockets.size === 0, 20_000); // not the 30 s of a destination that is silent
    }
  }
  t.pass();
});

for (const [name, start, version] of [
  ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun', '1.1'],
  ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n', '1.1'],
  ['chunks, to HTTP/1.0', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n', '1.0'],
] as const) {
  test(`an answer with ${name} that breaks off breaks off for the client: no clean end, no second status`, async (t) => {
    const server = await startProxy(t);
    let broken = (): void => {};
    const { url } = await rawUpstream(t, (socket) => {
      socket.write(start);
      broken = () => void socket.destroy();
    });
    const socket = connect(server.port, '127.0.0.1');
    let text = '';
    let error: NodeJS.ErrnoException | undefined;
    socket.on('data', (chunk) => {
      text += chunk;
      if (text.includes('begun')) broken();
    });
    socket.on('error', (cause) => {
      error = cause;
    });
    socket.write(head(url, 'Content-Length: 0').replace('HTTP/1.1', `HTTP/${version}`));
    await once(socket, 'close').catch(() => {});
    t.is(text.match(/HTTP\/1\.1 /g)?.length, 1);
    t.false(text.endsWith('0\r\n\r\n'));
    t.regex(text, /begun/);
    if (version === '1.0') t.is(error?.code, 'ECONNRESET'); // the only difference from an end
  });
}

test.serial('an answer that comes before the body is all sent comes back, while the client still sends', async (t) => {
  const server = await startProxy(t);
  const { url } = await rawUpstream(t, (socket) => {
    socket.end('HTTP/1.1 413 Too much\r\nContent-Length: 7\r\n\r\nenough!');
  });
  const raw = await converse({ port: server.port });
  raw.send(`${head(url, 'Content-Length: 8000000')}${'x'.repeat(100_000)}`);
  await raw.untilAnswered(1);
  t.like(raw.answers()[0], { status: 413, text: 'enough!' });
  t.is(raw.answers()[0]?.headers.get('connection'), 'close');
  raw.send('x'.repeat(7_900_000));
  await until('the end', raw.isClosed);
  t.is(raw.answers().length, 1);
});

test('a client that stops sending is 408, and the call to the destination ends', async (t) => {
  const server = await startProxy(t, { proxy: { timing: { senderMs: 300 } } });
  const { url, sockets } = await rawUpstream(t, () => {});
  const raw = await converse({ port: server.port });
  raw.send(`${head(url, 'Content-Length: 10')}abc`);
  await raw.untilAnswered(1);
  t.is(raw.answers()[0]?.status, 408);
  await until('its end', () => raw.isClosed() && sockets.size === 0);
});

test.serial('a destination that takes nothing of the body stops the client, and is not held against it', async (t) => {
  const server = await startProxy(t, { proxy: { timing: { senderMs: 200 } } });
  const { url } = await rawUpstream(t, (socket) => {
    socket.pause();
    setTimeout(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), 1_500);
  });
  const socket = connect(server.port, '127.0.0.1');
  let text = '';
  let taken = 0;
  let takenBefore = 0; // an answer that is early lets the rest of the body be dropped
  socket.on('data', (chunk) => {
    if (text === '') takenBefore = taken;
    text += chunk;
  });
  const chunk = Buffer.alloc(65_536);
  const pump = (): void => {
    while (taken < 1_000 * chunk.length) {
      taken += chunk.length;
      if (!socket.write(chunk)) return void socket.once('drain', pump);
    }
  };
  socket.write(head(url, `Content-Length: ${1_000 * chunk.length}`));
  pump();
  await until('an answer', () => text !== '');
  t.regex(text, /^HTTP\/1\.1 200 /);
  t.true(takenBefore < 30_000_000, `what is held in between is bounded: ${takenBefore}`); // the kernel's buffers on both ways hold some
  socket.destroy();
});

test.serial('a client that takes nothing stops the destination too: what is held in between is bounded', async (t) => {
  const server = await startProxy(t);
  let written = 0;
  const { url } = await httpUpstream(t, (_request, response) => {
    const chunk = Buffer.alloc(65_536);
    const pump = (): void => {
      while (written < 60_000_000 && !response.destroyed) {
        written += chunk.length;
        if (!response.write(chunk)) return void response.once('drain', pump);
      }
      response.end();
    };
    pump();
  });
  const socket = connect(server.port, '127.0.0.1');
  socket.pause().write(head(url, 'Content-Length: 0'));
  let before = -1;
  await until('a halt', async () => {
    before = written;
    await sleep(300);
    return written > 0 && written === before;
  });
  t.true(written < 30_000_000, `${written}`); // the kernel's buffers on both ways hold some
  socket.resume();
  await until('the rest', () => written >= 60_000_000);
  socket.destroy();
});

test('no call is made twice, however it ends', async (t) => {
  const server = await startProxy(t);
  let heads = 0;
  const { url } = await rawUpstream(t, (socket) => {
    heads += 1;
    socket.destroy();
  });
  t.is((await call(server, { headers: { destination: url }, body: 'x' })).status, 502);
  const kept = await httpUpstream(t, (request, response) => {
    heads += 1;
    if (request.url === '/break') request.socket.destroy();
    else response.end();
  });
  t.is((await call(server, { headers: { destination: kept.url } })).status, 200);
  t.is((await call(server, { headers: { destination: `${kept.url}break` } })).status, 502); // on a kept connection
  t.is(heads, 3);
});

test("failures that are the destination's are not written to the log as ours", async (t) => {
  const server = await startProxy(t, {
    proxy: { sign: () => 'token', send: async () => Promise.reject(new AppError('UPSTREAM_TIMEOUT')) },
  });
  const answer = await call(server, { headers: { destination: 'http://x/' } });
  t.deepEqual([answer.status, codeOf(answer)], [504, 'UPSTREAM_TIMEOUT']);
  t.notRegex(server.logged(), /request failed/);
});
