import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { EgressRequest } from '../../src/egress/request.ts';
import { AppError } from '../../src/errors.ts';
import { startDns } from '../support/egress/dns.ts';
import { converse } from '../support/http/raw.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { until } from '../support/process/program.ts';
import { call, codeOf, head, httpUpstream, OWN_NAME, rawUpstream, startProxy } from './support.ts';

// What goes through the proxy, on the wire.

test('each part goes on and comes back as soon as it is there', async (t) => {
  const server = await startProxy(t);
  let received = '';
  let answer = (_text: string): void => {};
  const { url } = await rawUpstream(t, (socket, _head, rest) => {
    received = rest.toString();
    socket.on('data', (chunk) => {
      received += chunk;
    });
    answer = (text) => void socket.write(text);
  });
  const socket = connect(server.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.write(`${head(url, 'Content-Length: 6')}abc`);
  await until('the first part', () => received === 'abc');
  socket.write('def');
  await until('the second part', () => received === 'abcdef');
  answer('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n');
  await until('the head of the answer', () => text.startsWith('HTTP/1.1 200 ') && text.endsWith('\r\n\r\n'));
  answer('uvw');
  await until('its first part', () => text.endsWith('\r\n\r\nuvw'));
  answer('xyz');
  await until('its second part', () => text.endsWith('\r\n\r\nuvwxyz'));
  socket.destroy();
  t.pass();
});

test('on the wire, a request has those headers of the client that are not for us, once, and ours', async (t) => {
  const server = await startProxy(t);
  let sent: string[] = [];
  const { url, port } = await rawUpstream(t, (socket, text) => {
    sent = text.split('\r\n');
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  });
  const raw = await converse({ port: server.port });
  raw.send(
    `${head(
      url,
      'Connection: keep-alive, X-Mine, x_ours, Content-Length, Host, x-my-jwt',
      'connection: Upgrade',
      'Upgrade: websocket, h2c',
      'HTTP2-Settings: AAA',
      'Keep-Alive: timeout=1',
      'TE: trailers',
      'Trailer: X-T',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic Zm9v',
      'X-Mine: 1',
      'X-Ours: 1',
      'Cookie: a=b',
      'Authorization: Bearer of-the-client',
      'Token: of-the-client',
      'DPoP: of-the-client',
      'X-CSRFToken: of-the-client',
      'X-My-JWT: of-the-client',
      'x_my_jwt: of-the-client',
      'Via: 1.0 fred',
      'Accept: text/html',
      'accept: */*',
      'X-Forwarded-For: 1.2.3.4',
      'Forwarded: for=1.2.3.4',
      'X-Real-IP: 1.2.3.4',
      'Proxy: http://1.2.3.4/',
      'Content_Length: 100',
      'Transfer.Encoding: chunked',
      'Content-Type: text/plain',
      'Content-Length: 2',
    )}ab`,
  );
  await raw.untilAnswered(1);
  raw.reset();
  const token = sent.find((line) => line.startsWith('x-my-jwt: '));
  t.regex(token ?? '', /^x-my-jwt: eyJ[\w-]+\.[\w-]+\.[\w-]{86}$/);
  t.deepEqual(sent.filter((line) => line !== token).sort(), [
    'Accept: text/html',
    'Content-Type: text/plain',
    'POST / HTTP/1.1',
    'Via: 1.0 fred',
    `Via: 1.1 ${OWN_NAME}`,
    'accept: */*',
    'connection: keep-alive',
    'content-length: 2',
    `host: 127.0.0.1:${port}`,
  ]);
});

test('on the wire, an answer has those headers of the destination that are for the client, and ours', async (t) => {
  const server = await startProxy(t);
  const { url } = await rawUpstream(t, (socket) => {
    const lines = [
      'HTTP/1.1 200 Fine',
      'Connection: keep-alive, X-Mine, content-length, cache-control',
      'Keep-Alive: timeout=99',
      'Proxy-Authenticate: Basic',
      'X-Mine: 1',
      'Set-Cookie: a=b',
      'set-cookie: c=d',
      'Clear-Site-Data: "*"',
      'Alt-Svc: h3=":443"',
      'Strict-Transport-Security: max-age=1',
      'Access-Control-Allow-Origin: *',
      'Access-Control-Allow-Credentials: true',
      'X-Accel-Redirect: /internal',
      'X-Sendfile: /etc/passwd',
      'Accept-CH: Sec-CH-UA-Model',
      'Set-Login: logged-in',
      'Sec-Session-Registration: (ES256);path="/"',
      'WWW-Authenticate: Basic realm="x"',
      'Content_Length: 100',
      'Set.Cookie: a=b',
      'Content-Security-Policy: default-src *',
      'Cache-Control: public',
      'X-Request-Id: of-the-destination',
      'Referrer-Policy: unsafe-url',
      'X-Content-Type-Options: none',
      'Via: 1.0 fred',
      'Date: Sat, 01 Jan 2000 00:00:00 GMT',
      'Content-Type: text/html',
      'Link: </a>',
      'link: </b>',
      'Content-Length: 2',
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\nab`);
  });
  const { raw } = await call(server, { headers: { destination: url } });
  const lines = raw.flatMap((name, index) => (index % 2 ? [] : [`${name}: ${raw[index + 1]}`]));
  t.deepEqual(
    lines.filter((line) => !/^(?:x-request-id: [\da-f-]{36}|connection: |keep-alive: timeout=75)/i.test(line)).sort(),
    [
      'Content-Length: 2',
      'Content-Security-Policy: sandbox',
      'Content-Type: text/html',
      'Date: Sat, 01 Jan 2000 00:00:00 GMT',
      'Link: </a>',
      'Via: 1.0 fred',
      `Via: 1.1 ${OWN_NAME}`,
      'cache-control: no-store',
      'link: </b>',
      'referrer-policy: no-referrer',
      'x-content-type-options: nosniff',
    ],
  );
});

test('whatever is wrong with a destination, but for its time, the answer is the same', async (t) => {
  const { address } = await startDns(t, () => undefined);
  const env = { EGRESS_ALLOW: '127.0.0.1,missing.invalid', EGRESS_DNS: address };
  const server = await startProxy(t, { env });
  const { url: resets } = await rawUpstream(t, (socket) => void socket.resetAndDestroy());
  const { url: closes } = await rawUpstream(t, (socket) => void socket.end());
  const { url: lies } = await rawUpstream(t, (socket) => void socket.end('nothing of HTTP\r\n\r\n'));
  const { port: withoutTls } = await httpUpstream(t, (_request, response) => void response.end());
  const refuses = `http://127.0.0.1:${await findFreePort()}/`;
  const answers = await Promise.all(
    [resets, closes, lies, refuses, `https://127.0.0.1:${withoutTls}/`, 'http://missing.invalid/'].map(
      async (destination) => {
        const { status, headers, body } = await call(server, { headers: { destination }, body: 'x' });
        const { 'x-request-id': id, date: _date, ...others } = headers;
        return JSON.stringify({ status, others, body: body.toString().replace(String(id), 'ID') });
      },
    ),
  );
  t.regex(answers[0] ?? '', /"status":502.*UPSTREAM_FAILED/);
  t.is(new Set(answers).size, 1, answers.join('\n'));
});

test('a call has 5 s to connect, 30 s until the answer begins and for each pause in it, 60 s in all', async (t) => {
  const asked: EgressRequest[] = [];
  const send = async (request: EgressRequest): Promise<never> => {
    asked.push(request);
    throw new AppError('DESTINATION_BUSY', { retryAfterSeconds: 5 });
  };
  const server = await startProxy(t, { proxy: { sign: () => 'token', send } });
  const answer = await call(server, { headers: { destination: 'http://x/' } });
  t.deepEqual([answer.status, codeOf(answer), answer.headers['retry-after']], [503, 'DESTINATION_BUSY', '5']);
  t.deepEqual(asked[0]?.limits, { connectMs: 5_000, headersMs: 30_000, bodyMs: 30_000, totalMs: 60_000 });
  t.deepEqual(asked[0]?.rules, { purpose: 'proxy', anyPlainHttp: true, member: 'Destination' });
});

test('an answer that has broken by the time it is passed back breaks off', async (t) => {
  t.timeout(30_000); // less than any connection lives
  const body = new Readable({ read() {} });
  const send = async () => {
    body.once('error', () => {}).destroy(new AppError('UPSTREAM_FAILED'));
    await new Promise((resolve) => body.once('close', resolve));
    return { status: 200, headers: [], body };
  };
  const server = await startProxy(t, { proxy: { sign: () => 'token', send } });
  await t.throwsAsync(call(server, { headers: { destination: 'http://x/' } }));
});

test('an answer with invalid chunks breaks off', async (t) => {
  const server = await startProxy(t);
  const { url } = await rawUpstream(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n');
  });
  await t.throwsAsync(call(server, { headers: { destination: url } }));
});

test('a client of HTTP/1.0 gets an answer without chunks, to its end', async (t) => {
  const server = await startProxy(t);
  const { url } = await httpUpstream(t, (_request, response) => {
    response.write('in ');
    response.end('parts');
  });
  const raw = await converse({ port: server.port });
  raw.send(head(url, 'Content-Length: 0').replace('HTTP/1.1', 'HTTP/1.0'));
  await until('the end', raw.isClosed);
  t.regex(raw.rest(), /in parts$/);
  t.notRegex(raw.rest(), /transfer-encoding/i);
});

test('a client that has closed its side still gets its answer', async (t) => {
  const server = await startProxy(t);
  const { url } = await httpUpstream(t, async (request, response) => {
    const body = (await request.toArray()).join('');
    await sleep(300);
    response.end(body);
  });
  const raw = await converse({ port: server.port });
  raw.send(`${head(url, 'Content-Length: 3')}abc`);
  raw.end();
  await raw.untilAnswered(1);
  t.like(raw.answers()[0], { status: 200, text: 'abc' });
});

test('calls that are sent without waiting are answered in their order', async (t) => {
  const server = await startProxy(t);
  const { url } = await httpUpstream(t, async (request, response) => {
    if (request.url === '/slow') await sleep(300);
    response.end(request.url);
  });
  const raw = await converse({ port: server.port });
  for (const path of ['slow', 'fast', 'slow']) raw.send(head(url + path, 'Content-Length: 0'));
  await raw.untilAnswered(3);
  t.deepEqual(
    raw.answers().map(({ text }) => text),
    ['/slow', '/fast', '/slow'],
  );
  raw.end();
});

test('a client that leaves ends all that it had asked for, and a call whose body it still sends', async (t) => {
  const server = await startProxy(t);
  const { url, sockets } = await rawUpstream(t, () => {});
  const many = await converse({ port: server.port });
  many.send(head(url, 'Content-Length: 0').repeat(12));
  const sending = await converse({ port: server.port });
  sending.send(`${head(url, 'Content-Length: 1000000')}begun`);
  await until('all calls', () => sockets.size === 13);
  many.reset();
  sending.reset();
  await until('their end', () => sockets.size === 0);
  t.pass();
});

test('a destination that goes away while the body is being sent is 502, and the next call has its turn', async (t) => {
  const server = await startProxy(t);
  const { url } = await rawUpstream(t, (socket) => void setTimeout(() => socket.resetAndDestroy(), 100));
  const raw = await converse({ port: server.port });
  raw.send(`${head(url, 'Content-Length: 3000000')}${'x'.repeat(1_000_000)}`);
  await raw.untilAnswered(1);
  raw.send('x'.repeat(2_000_000));
  t.is(raw.answers()[0]?.status, 502);
  raw.send(head(url, 'Content-Length: 0'));
  await until('the end', () => raw.isClosed() || raw.answers().length > 1);
  t.deepEqual(
    raw.answers().map(({ status }) => status),
    [502, 502],
  );
});

test('a destination can be named in any script, in UTF-8', async (t) => {
  const server = await startProxy(t);
  const paths: unknown[] = [];
  const { url } = await httpUpstream(t, (request, response) => {
    paths.push(request.url);
    response.end();
  });
  const utf8 = Buffer.from(`${url}мир?é`).toString('latin1');
  t.is((await call(server, { headers: { destination: utf8 } })).status, 200);
  t.deepEqual(paths, ['/%D0%BC%D0%B8%D1%80?%C3%A9']);
  const answer = await call(server, { headers: { destination: `${url}\xe9` } });
  t.is(codeOf(answer), 'INVALID_REQUEST');
  t.regex(answer.body.toString(), /Destination/);
});

test('without a destination too, a client that waits for 100 Continue gets it, and its body is read to the end', async (t) => {
  const server = await startProxy(t);
  const outgoing = httpRequest({
    port: server.port,
    method: 'POST',
    path: '/proxy/',
    headers: { expect: '100-continue', 'content-length': 30_000_000 },
  });
  outgoing.flushHeaders();
  await once(outgoing, 'continue');
  outgoing.end(Buffer.alloc(30_000_000));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  t.is(response.statusCode, 201);
  response.resume();
});
