import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { converse } from '../support/http/raw.ts';
import { until } from '../support/process/program.ts';
import { testWith } from '../support/process/tools.ts';
import { call, head, httpUpstream, rawUpstream, startProxy } from './support.ts';

// Answers that come early, late, or break off.

for (const version of ['1.1', '1.0']) {
  test(`an answer of HTTP/${version} without a length that is reset breaks off for the client`, async (t) => {
    const server = await startProxy(t);
    let reset = (): void => {};
    const { url } = await rawUpstream(t, (socket) => {
      socket.write(`HTTP/${version} 200 OK\r\nConnection: close\r\n\r\nhalf`);
      reset = () => void socket.resetAndDestroy();
    });
    const socket = connect(server.port, '127.0.0.1');
    let text = '';
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        text += chunk;
        if (text.includes('half')) reset();
        if (text.endsWith('0\r\n\r\n')) socket.destroy();
      });
    socket.write(head(url, 'Content-Length: 0'));
    await once(socket, 'close').catch(() => {});
    t.regex(text, /half/);
    t.false(text.endsWith('0\r\n\r\n'));
  });
}

/** Each sends 413 without reading the body. @returns its URL. */
const REFUSING: Readonly<Record<string, (t: ExecutionContext) => Promise<string>>> = {
  async node(t) {
    const upstream = createServer((_request, response) => response.writeHead(413, { connection: 'close' }).end('big'));
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    t.teardown(() => upstream.close());
    return `http://127.0.0.1:${(upstream.address() as { port: number }).port}/`;
  },
  async raw(t) {
    const { url } = await rawUpstream(t, (socket) => {
      socket.write('HTTP/1.1 413 Too much\r\nContent-Length: 3\r\n\r\nbig');
      socket.destroySoon();
    });
    return url;
  },
  async python(t) {
    const child = spawn('python3', ['-u', '-c', PYTHON], { stdio: ['ignore', 'pipe', 'ignore'] });
    t.teardown(() => void child.kill());
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    return `http://127.0.0.1:${port.toString().trim()}/`;
  },
};
const PYTHON = `
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self): self.send_error(413)
    def log_message(self, *args): pass
server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port)
server.serve_forever()
`;

for (const [name, open] of Object.entries(REFUSING)) {
  const run = name === 'python' ? testWith('python3') : test;
  run(`a refusal of a server that closes without reading comes back each time: ${name}`, async (t) => {
    const server = await startProxy(t);
    const destination = await open(t);
    for (const bytes of [100_000, 2_000_000, 8_000_000]) {
      for (let turn = 0; turn < 10; turn++) {
        const { status } = await call(server, { headers: { destination }, body: Buffer.alloc(bytes) });
        t.is(status, 413, `${bytes}`);
      }
    }
  });
}

test('a client that waits for 100 Continue gets a refusal instead, and sends nothing', async (t) => {
  const server = await startProxy(t);
  const upstream = createServer(() => {});
  upstream.on('checkContinue', (_request, response) => response.writeHead(413).end('big'));
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  t.teardown(() => upstream.close());
  const destination = `http://127.0.0.1:${(upstream.address() as { port: number }).port}/`;
  const outgoing = httpRequest({
    port: server.port,
    method: 'POST',
    path: '/proxy/',
    headers: { destination, expect: '100-continue', 'content-length': 50_000_000 },
  });
  let wasAsked = false;
  outgoing.on('continue', () => {
    wasAsked = true;
  });
  outgoing.on('error', () => {}).flushHeaders();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  t.is(response.statusCode, 413);
  t.is((await response.toArray()).join(''), 'big');
  t.false(wasAsked);
  outgoing.destroy();
});

test('an answer behind a 100 that nobody asked for comes back', async (t) => {
  const server = await startProxy(t);
  const { url } = await rawUpstream(t, (socket) => {
    socket.end('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok');
  });
  const { status, body } = await call(server, { headers: { destination: url }, body: 'x' });
  t.deepEqual([status, body.toString()], [201, 'ok']);
});

test('a client that has closed its side gets its answer, after 3 s too', async (t) => {
  const server = await startProxy(t);
  const { url } = await httpUpstream(t, async (request, response) => {
    await request.toArray();
    await sleep(3_000);
    response.end('done');
  });
  const raw = await converse({ port: server.port });
  raw.send(`${head(url, 'Content-Length: 3')}abc`);
  raw.end();
  await raw.untilAnswered(1);
  t.like(raw.answers()[0], { status: 200, text: 'done' });
});

for (const version of ['1.0', '1.1']) {
  test(`a client of HTTP/${version} that has closed its side is looked after many times, and gets its answer`, async (t) => {
    const server = await startProxy(t, { proxy: { timing: { closedMs: 50 } } });
    const { url } = await httpUpstream(t, async (request, response) => {
      await request.toArray();
      await sleep(1_000);
      response.end('done');
    });
    const raw = await converse({ port: server.port });
    raw.send(head(url, 'Content-Length: 0').replace('HTTP/1.1', `HTTP/${version}`));
    raw.end();
    await until('the end', raw.isClosed);
    const [answer] = raw.answers();
    t.regex(answer?.text || raw.rest(), /done/);
  });
}
