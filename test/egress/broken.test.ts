import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { callFromChild, listenOn, requestTo, startEgress, textOf, type Upstream } from '../support/egress/calls-out.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { testWith } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

// Answers that break off, and answers that were given before the connection broke.

const OPEN = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n';
const start = (t: ExecutionContext) => startEgress(t, { allow: '127.0.0.1' });
const at = ({ port }: Upstream): string => `http://127.0.0.1:${port}/`;
const whenAsked = (t: ExecutionContext, answer: (socket: Socket) => void): Promise<Upstream> =>
  listenOn(
    t,
    createServer((socket) => void socket.once('data', () => answer(socket))),
  );

/** Waits 10 ms each time. The sockets of this process get their turn in between, as they do not before one late timer. */
async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await sleep(10);
}

for (const version of ['1.0', '1.1']) {
  test(`an answer of HTTP/${version} without a length: an end ends it, a reset breaks it off`, async (t) => {
    const { egress, post } = start(t);
    const head = OPEN.replace('1.1', version);
    const ends = await whenAsked(t, (socket) => socket.end(`${head}whole`));
    t.deepEqual(await post(at(ends)), { status: 200, text: 'whole' });
    let other: Socket | undefined;
    const resets = await whenAsked(t, (socket) => {
      other = socket;
      socket.write(`${head}half`);
    });
    const { body } = await egress.send(requestTo(at(resets)));
    other?.resetAndDestroy();
    await t.throwsAsync(textOf(body), { code: 'UPSTREAM_FAILED' } as object);
  });
}

test('a reset that a write met first breaks an answer without a length off all the same', async (t) => {
  const { egress } = start(t);
  let other: Socket | undefined;
  const upstream = await whenAsked(t, (socket) => {
    other = socket;
    socket.write(`${OPEN}half`);
  });
  const source = new PassThrough();
  source.write('x');
  const { body } = await egress.send(requestTo(at(upstream), { body: source }));
  body.once('data', () => {
    other?.resetAndDestroy();
    source.write('y'); // in the same turn, so that nobody has read since
  });
  await t.throwsAsync(textOf(body), { code: 'UPSTREAM_FAILED' } as object);
});

test('what arrived before a reset is read, however slow its reader is', async (t) => {
  const { egress } = start(t);
  const content = 'x'.repeat(150_000);
  let other: Socket | undefined;
  const upstream = await whenAsked(t, (socket) => {
    other = socket;
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`);
  });
  const { body } = await egress.send(requestTo(at(upstream)));
  await turns(20); // all of it has arrived
  other?.resetAndDestroy();
  await turns(30); // so has the reset
  t.is((await textOf(body)).length, content.length);
});

for (const size of [100_000, 2_000_000, 8_000_000]) {
  test(`a server that closes without reading ${size} bytes: its answer comes back each time`, async (t) => {
    const { post } = start(t);
    const upstream = await whenAsked(t, (socket) => {
      socket.pause();
      socket.write('HTTP/1.1 413 Too much\r\nConnection: close\r\nContent-Length: 6\r\n\r\nenough');
      socket.destroySoon(); // with what it has not read, that is a reset
    });
    for (let turn = 0; turn < 15; turn++) {
      const source = new PassThrough({ highWaterMark: 65_536 });
      const timer = setInterval(() => source.write(Buffer.alloc(65_536)), 0);
      const headers = ['content-length', `${size * 10}`];
      const body = turn % 2 === 0 ? source : Buffer.alloc(size);
      t.deepEqual(await post(at(upstream), { body, headers }), { status: 413, text: 'enough' });
      clearInterval(timer);
    }
  });
}

test('a body that waits for 100 Continue is sent when the destination asks for it, and not when it refuses', async (t) => {
  const { egress } = start(t);
  let received = '';
  const asks = await whenAsked(t, (socket) => {
    socket.on('data', (chunk) => {
      received += chunk;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK');
    });
    setTimeout(() => socket.write('HTTP/1.1 100 Continue\r\n\r\n'), 200);
  });
  const source = new PassThrough();
  source.end('body');
  const headers = ['content-length', '4'];
  const asked = await egress.send(requestTo(at(asks), { body: source, headers, expectsContinue: true }));
  t.deepEqual([await textOf(asked.body), received], ['OK', 'body']);

  let head = '';
  const refuses = await listenOn(
    t,
    createServer((socket) => {
      socket.on('data', (chunk) => {
        head += chunk;
        if (head.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n');
      });
    }),
  );
  const kept = new PassThrough();
  kept.end('body');
  const refused = await egress.send(requestTo(at(refuses), { body: kept, headers, expectsContinue: true }));
  await textOf(refused.body);
  t.is(refused.status, 413);
  t.regex(head, /\r\nexpect: 100-continue\r\n/);
  t.true(head.endsWith('\r\n\r\n'));
  t.is(await textOf(kept), 'body', 'it is still there');
  head = '';
  await egress.send(requestTo(at(refuses), { body: new PassThrough(), headers, expectsContinue: true }));
  t.is(refuses.connections, 2, 'nothing else is sent where a body was announced');
  t.is(egress.size, 0);
});

test('a server that does not know 100 Continue gets the body after a second', async (t) => {
  const { egress } = start(t);
  const upstream = await whenAsked(t, (socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
  });
  const source = new PassThrough();
  source.end('body');
  const startedAt = performance.now();
  const { status } = await egress.send(requestTo(at(upstream), { body: source, expectsContinue: true }));
  t.is(status, 200);
  t.true(performance.now() - startedAt >= 990);
});

/** A TLS server behind a relay that ends the connection without TLS noticing, once it has passed on `half`. */
async function startCut(
  t: ExecutionContext,
  folder: string,
  answer: string,
  cut: (client: Socket) => void,
): Promise<Upstream> {
  const [key, cert] = ['privkey.pem', 'fullchain.pem'].map((name) => readFileSync(join(folder, name)));
  let onAnswered = (): void => {};
  const inner = await listenOn(
    t,
    createTlsServer({ key, cert } as object, (socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.write(answer, () => onAnswered()));
    }),
  );
  return listenOn(
    t,
    createServer((client) => {
      const server = connect(inner.port, '127.0.0.1');
      server.on('error', () => {}).pipe(client, { end: false });
      client.pipe(server);
      onAnswered = () => void turns(150).then(() => cut(client)); // the other process has read by then
      t.teardown(() => void server.destroy());
    }),
  );
}

const withOpenssl = testWith('openssl');

withOpenssl('over TLS, only close_notify ends an answer without a length', async (t) => {
  const folder = await temporaryFolder(t);
  await makeCertificate(folder);
  const [key, cert] = ['privkey.pem', 'fullchain.pem'].map((name) => readFileSync(join(folder, name)));
  const trusting = { NODE_EXTRA_CA_CERTS: join(folder, 'fullchain.pem') };
  const fin = (client: Socket): void => void client.end();
  const reset = (client: Socket): void => void client.resetAndDestroy();
  const long = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole';
  const large = 'x'.repeat(300_000);
  const proper = await listenOn(
    t,
    createTlsServer({ key, cert } as object, (socket) => void socket.once('data', () => socket.end(`${OPEN}${large}`))),
  );
  const upstreams = [
    await startCut(t, folder, `${OPEN}half`, fin),
    await startCut(t, folder, `${OPEN}half`, reset),
    await startCut(t, folder, long, fin),
    await startCut(t, folder, long, reset),
    await startCut(t, folder, long.replace('5', '50'), fin),
    proper,
  ];
  const answers = await callFromChild(
    trusting,
    upstreams.map(({ port }) => `https://localhost:${port}/`),
  );
  const broken = 'UPSTREAM_FAILED';
  t.deepEqual(answers, [broken, broken, 'whole', 'whole', broken, large]);
});
