import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { listen } from '../../src/http/listen.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { converse, parseAnswers } from '../support/http/raw.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { until } from '../support/process/program.ts';
import { SQLITE } from '../support/storage/storage.ts';

const MEGABYTE = 1_000_000;
const ROUNDS = 50;
const PIECE = Buffer.alloc(65_536, 0x20);

async function start(t: ExecutionContext): Promise<TestServer> {
  return startServer(t, {
    place: await SQLITE.place(t),
    env: { CREATE_TOKEN: 'a-token-of-some-length', SECRET_MAX_BYTES: '65536' },
  });
}

/** Answers that are known before the body was read, by the lines of the request before its length. */
const EARLY: readonly [status: number, lines: string][] = [
  [401, 'POST /generate HTTP/1.1\r\nHost: localhost\r\n'],
  [413, 'POST /secrets/x HTTP/1.1\r\nHost: localhost\r\n'],
  [404, 'POST /nowhere HTTP/1.1\r\nHost: localhost\r\n'],
  [405, 'DELETE /generate HTTP/1.1\r\nHost: localhost\r\n'],
  [415, 'POST /secrets/x HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n'],
  [400, 'POST /generate HTTP/1.1\r\nHost: a\r\nHost: b\r\n'],
  [417, 'POST /generate HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\n'],
  [431, `POST /generate HTTP/1.1\r\nHost: localhost\r\nA: ${'a'.repeat(20_000)}\r\n`],
  [405, 'BREW /generate HTTP/1.1\r\nHost: localhost\r\n'],
  [204, 'OPTIONS /generate HTTP/1.1\r\nHost: localhost\r\n'],
];

/** Sends a whole request, and reads only then. @returns the statuses, and what broke the connection. */
function sendThenRead({ port }: TestServer, lines: string, bytes: number, isChunked: boolean): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).pause();
    let received = '';
    const finish = (broken = ''): void => {
      socket.destroy();
      resolve(`${parseAnswers(received).answers.map(({ status }) => status)}${broken}`);
    };
    socket.on('error', ({ message }) => finish(` ${message}`));
    socket.on('end', () => finish());
    socket.on('data', (chunk: Buffer) => {
      received += chunk;
      if (parseAnswers(received).answers.length > 0) finish();
    });
    socket.write(
      `${lines}${isChunked ? `Transfer-Encoding: chunked\r\n\r\n${bytes.toString(16)}` : `Content-Length: ${bytes}\r\n`}\r\n`,
    );
    let left = bytes;
    const write = (): void => {
      while (left > 0) {
        const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
        left -= piece.length;
        if (!socket.write(piece) && left > 0) return void socket.once('drain', write);
      }
      socket.write(isChunked ? '\r\n0\r\n\r\n' : '', () => socket.resume());
    };
    write();
  });
}

for (const megabytes of [2, 10, 15]) {
  test.serial(`a client that sends ${megabytes} MB before it reads gets every early answer`, async (t) => {
    const server = await start(t);
    for (let round = 0; round < ROUNDS; round++) {
      const [status, lines] = EARLY[round % EARLY.length] as (typeof EARLY)[number];
      const closing = lines.includes('Content-Encoding') || round % 2 > 0 ? 'Connection: close\r\n' : '';
      for (const isChunked of [false, true]) {
        const got = await sendThenRead(server, lines + closing, megabytes * MEGABYTE, isChunked);
        t.is(got, String(status), `${round} ${lines.slice(0, 60)} ${closing} ${isChunked}`);
      }
    }
  });
}

test('the connection serves the next request behind a body that was dropped', async (t) => {
  const server = await start(t);
  const client = await converse({ port: server.port });
  for (const [index, [status, lines]] of EARLY.slice(0, 5).entries()) {
    client.send(`${lines}Content-Length: ${MEGABYTE}\r\n\r\n`);
    await client.untilAnswered(2 * index + 1);
    client.send(Buffer.alloc(MEGABYTE, 0x20));
    client.send('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await client.untilAnswered(2 * index + 2);
    t.deepEqual(
      client
        .answers()
        .slice(-2)
        .map((answer) => answer.status),
      [status, 200],
    );
  }
  client.close();
});

test('more than 16 MiB behind an answer: the answer, then the end', async (t) => {
  const server = await start(t);
  const bytes = 17 * 1024 * 1024;
  for (const [status, lines] of EARLY.slice(0, 5)) {
    const isChunked = status === 404 || status === 415;
    const client = await converse({ port: server.port });
    client.send(lines + (isChunked ? 'Transfer-Encoding: chunked\r\n\r\n' : `Content-Length: ${bytes}\r\n\r\n`));
    if (isChunked) client.send(`${bytes.toString(16)}\r\n`);
    await client.untilAnswered(1);
    t.is(client.answers()[0]?.status, status);
    if (!isChunked) t.is(client.answers()[0]?.headers.get('connection'), 'close');
    for (let sent = 0; sent < bytes && !client.isClosed(); sent += PIECE.length) {
      client.send(PIECE);
      await sleep(0);
    }
    await until('its end', client.isClosed, 10_000); // long before the deadline of a body
    t.is(client.answers().length, 1);
    client.close();
  }
});

test('a body that is declared too large is refused without 100 Continue', async (t) => {
  const server = await start(t);
  const send = async (length: string): Promise<string> => {
    const socket = connect({ port: server.port, host: '127.0.0.1' });
    const head = 'POST /secrets/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n';
    socket.write(`${head}Content-Length: ${length}\r\n\r\n`);
    const [first] = await once(socket, 'data');
    socket.destroy();
    return String(first).slice(0, 'HTTP/1.1 100'.length);
  };
  t.is(await send(String(MEGABYTE)), 'HTTP/1.1 413');
  t.is(await send(String(5_000 * MEGABYTE)), 'HTTP/1.1 413');
  t.is(await send('2'), 'HTTP/1.1 100');
});

test('a body that breaks behind its answer gets no second answer', async (t) => {
  const server = await start(t);
  const client = await converse({ port: server.port });
  client.send('POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n');
  await client.untilAnswered(1);
  client.send('not a chunk\r\n');
  await client.untilAnswered(2);
  t.true(client.isClosed());
  t.deepEqual(
    client.answers().map(({ status }) => status),
    [404],
  );
  client.close();
});

test('a client that closes its side behind a complete request gets an answer that takes three seconds', async (t) => {
  const server = createHttpServer(async (request, response) => {
    request.resume();
    await sleep(3_000);
    response.writeHead(200, { 'content-length': 4 }).end('late');
  });
  await listen(server, { port: 0, host: '127.0.0.1' }, 100);
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const requests = [
    'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}',
    'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    'GET / HTTP/1.0\r\n\r\n',
  ];
  const answers = requests.map(async (request) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk;
    });
    socket.end(request);
    await once(socket, 'end');
    return received;
  });
  for (const received of await Promise.all(answers)) t.regex(received, /^HTTP\/1\.1 200 .*late$/s);
});
