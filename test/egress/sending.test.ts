import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import {
  type CallsOut,
  callFromChild,
  listenOn,
  type Options,
  PATIENT,
  PROXY,
  requestTo,
  startEgress,
  startWeb,
  textOf,
  type Upstream,
} from '../support/egress/calls-out.ts';
import { startDns } from '../support/egress/dns.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { testWith } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const start = (t: ExecutionContext, options: Options = {}): CallsOut =>
  startEgress(t, { allow: '127.0.0.1', ...options });
const startRaw = (t: ExecutionContext, onSocket: (socket: Socket) => void): Promise<Upstream> =>
  listenOn(t, createServer(onSocket));
const at = ({ port }: Upstream): string => `http://127.0.0.1:${port}/`;
const HEAD = 'HTTP/1.1 200 OK\r\n';

/** Bytes from nowhere, as many as are read; counts them. */
function flow(limit = Number.POSITIVE_INFINITY): { source: Readable; taken(): number } {
  let taken = 0;
  const chunk = Buffer.alloc(16_384, 'x');
  const source = new Readable({
    read() {
      const part = chunk.subarray(0, Math.min(chunk.length, limit - taken));
      taken += part.length;
      this.push(part.length > 0 ? part : null);
    },
  });
  return { source, taken: () => taken };
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + PATIENT.bodyMs / 2;
  while (!(await isTrue())) {
    if (performance.now() > giveUpAt) throw new Error('it never came to that');
    await sleep(5);
  }
}

test('what is sent arrives, and the answer comes back as it was, header by header', async (t) => {
  let seen: unknown;
  const upstream = await startWeb(t, async (request, response) => {
    const body = await textOf(request);
    seen = { method: request.method, url: request.url, raw: request.rawHeaders, body };
    response.writeHead(418, ['x-a', '1', 'X-A', '2', 'set-cookie', 'a=1', 'Content-Type', 'text/x-\xe9']);
    response.end('short and stout');
  });
  const { egress, counted } = start(t);
  const answer = await egress.send(requestTo(`${at(upstream)}a%20b?c=d#e`, { headers: ['X-B', '1', 'x-b', '2'] }));
  t.is(answer.status, 418);
  t.deepEqual(answer.headers.slice(0, 4), [
    ['x-a', '1'],
    ['X-A', '2'],
    ['set-cookie', 'a=1'],
    ['Content-Type', 'text/x-\xe9'],
  ]);
  t.is(await textOf(answer.body), 'short and stout');
  const host = `127.0.0.1:${upstream.port}`;
  const raw = ['host', host, 'connection', 'keep-alive', 'X-B', '1', 'x-b', '2', 'content-length', '2'];
  t.deepEqual(seen, { method: 'POST', url: '/a%20b?c=d', raw, body: '{}' });
  t.deepEqual(counted, ['proxy answered']);
});

test('a stream is sent with the length it is said to have, or in chunks', async (t) => {
  const upstream = await startWeb(t, async (request, response) => {
    const body = await textOf(request);
    response.end(`${request.headers['content-length']} ${request.headers['transfer-encoding']} ${body.length}`);
  });
  const { post } = start(t);
  const headers = ['content-length', '300000'];
  t.deepEqual(await post(at(upstream), { body: flow(300_000).source, headers }), {
    status: 200,
    text: '300000 undefined 300000',
  });
  t.deepEqual(await post(at(upstream), { body: flow(300_000).source }), {
    status: 200,
    text: 'undefined chunked 300000',
  });
  t.deepEqual(await post(at(upstream), { body: Buffer.of() }), { status: 200, text: '0 undefined 0' });
});

test("Host is not the caller's to say, nor what belongs to the connection", async (t) => {
  const upstream = await startWeb(t, (_request, response) => response.end());
  const { egress } = start(t);
  for (const headers of [
    ['Host', 'a'],
    ['host', 'a'],
    ['transfer-encoding', 'chunked'],
    ['expect', '100-continue'],
    ['a', 'b\n'],
  ]) {
    await t.throwsAsync(egress.send(requestTo(at(upstream), { headers })), { instanceOf: TypeError }, headers.join());
  }
  t.is(egress.size, 0);
});

/** Upstreams that fail, each in its own way. */
const FAILING: Readonly<Record<string, (socket: Socket) => void>> = {
  'closes at once': (socket) => socket.end(),
  'resets at once': (socket) => socket.resetAndDestroy(),
  'closes after the request': (socket) => socket.once('data', () => socket.end()),
  'resets after the request': (socket) => socket.once('data', () => socket.resetAndDestroy()),
  'breaks off in the head': (socket) => socket.once('data', () => socket.end(`${HEAD}content-le`)),
  'answers nonsense': (socket) => socket.once('data', () => socket.end('220 mail.example ESMTP\r\n')),
  'has two lengths': (socket) =>
    socket.once('data', () => socket.write(`${HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\na`)),
  'answers with headers without end': (socket) =>
    socket.once('data', () =>
      Readable.from(heads())
        .on('error', () => {})
        .pipe(socket.on('error', () => {})),
    ),
  'changes to another protocol': (socket) =>
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    ),
};

function* heads(): Generator<string> {
  yield HEAD;
  for (;;) yield `x-${'a'.repeat(1000)}: b\r\n`;
}

test('refused, reset, broken, no TLS and no such name are one answer, at full seconds since the start', async (t) => {
  const closed = await startWeb(t, () => {});
  closed.server.close();
  await once(closed.server, 'close');
  const { address: server } = await startDns(t, (name) => (name === 'empty.example' ? [] : undefined));
  const { egress, counted } = start(t, { servers: [server] });
  const urls = [
    at(closed),
    'http://no-such-name.example/',
    'http://empty.example/',
    `http://${'a'.repeat(64)}.example/`,
    'http://a..b/',
  ];
  const plain = await startWeb(t, (_request, response) => response.end());
  urls.push(`https://127.0.0.1:${plain.port}/`);
  for (const fail of Object.values(FAILING)) urls.push(at(await startRaw(t, fail)));
  const startedAt = performance.now();
  const told = await Promise.all(
    urls.map(async (url) => {
      const error = await t.throwsAsync(egress.send(requestTo(url)), undefined, url);
      return {
        url,
        code: (error as { code?: string }).code,
        message: error?.message,
        ms: performance.now() - startedAt,
      };
    }),
  );
  for (const { url, code, message, ms } of told) {
    t.deepEqual(
      [code, message],
      ['UPSTREAM_FAILED', 'The destination cannot be reached, or its answer was broken'],
      url,
    );
    t.true(ms > 990, `${url} ${ms}`);
  }
  t.deepEqual(new Set(counted), new Set(['proxy failed']));
  t.is(egress.size, 0);
});

test('the log gets nothing about a failure but a code', async (t) => {
  const closed = await startWeb(t, () => {});
  closed.server.close();
  const error = await t.throwsAsync(start(t).egress.send(requestTo(`${at(closed)}secret-path`)));
  const { cause } = error as Error;
  t.is((cause as Error).message, 'the destination failed: ECONNREFUSED');
  t.is((cause as Error).cause, undefined);
  t.notRegex(JSON.stringify(error, Object.getOwnPropertyNames(error)), /secret-path|127\.0\.0\.1/);
});

test('a request that may have been sent is not sent again', async (t) => {
  let requests = 0;
  const upstream = await startWeb(t, (request) => {
    requests += 1;
    request.resume().once('end', () => request.socket.resetAndDestroy());
  });
  const { post } = start(t);
  t.is(await post(at(upstream)), 'UPSTREAM_FAILED');
  t.is(await post(at(upstream), { body: flow(100_000).source }), 'UPSTREAM_FAILED');
  t.is(requests, 2);
});

test('a kept connection that the other side has closed or reset costs no request', async (t) => {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let last: Socket | undefined;
  const upstream = await startWeb(t, (request, response) => {
    last = request.socket;
    request.resume().once('end', () => response.end('kept'));
  });
  const { post } = start(t);
  for (let turn = 1; turn <= 20; turn++) {
    t.deepEqual(await post(at(upstream)), { status: 200, text: 'kept' });
    t.is(upstream.connections, turn);
    if (turn % 2 === 0) last?.resetAndDestroy();
    else await new Promise((resolve) => last?.end(() => resolve(undefined)));
    Atomics.wait(pause, 0, 0, 20); // the kernel passes it on, and this thread has not looked yet
  }
});

test('what may be repeated is sent once more, on a new connection, where a kept one failed; nothing else is', async (t) => {
  const answered = new Set<Socket>();
  let requests = 0;
  const upstream = await startWeb(t, (request, response) => {
    requests += 1;
    request.resume().once('end', () => {
      const mustBreak = answered.has(request.socket) || request.url === '/broken';
      answered.add(request.socket);
      if (mustBreak) request.socket.resetAndDestroy();
      else response.end('there');
    });
  });
  const { post, egress, counted } = start(t);
  const there = { status: 200, text: 'there' };
  const repeatable = { isRepeatable: true };
  t.deepEqual(await post(at(upstream), repeatable), there);
  t.deepEqual(await post(at(upstream), repeatable), there); // broken, and there
  t.is(requests, 3);
  t.is(await post(at(upstream)), 'UPSTREAM_FAILED'); // the same, not repeatable
  t.is(requests, 4);
  t.is(await post(`${at(upstream)}broken`, repeatable), 'UPSTREAM_FAILED'); // on a new connection
  t.is(requests, 5);
  await post(at(upstream), repeatable);
  t.is(await post(`${at(upstream)}broken`, repeatable), 'UPSTREAM_FAILED'); // on a kept one, and a new one
  t.is(requests, 8);
  await Promise.all([post(at(upstream)), post(at(upstream))]); // two are kept now, and neither is a new one
  t.deepEqual(await post(at(upstream), repeatable), there);
  t.is(requests, 12);
  const outcomes = ['answered', 'answered', 'failed', 'failed', 'answered', 'failed', ...new Array(3).fill('answered')];
  t.is(counted.join(), outcomes.map((outcome) => `proxy ${outcome}`).join());
  t.is(egress.size, 0);
});

test('connections are kept, for each purpose its own', async (t) => {
  const upstream = await startWeb(t, (_request, response) => response.end('kept'));
  const { post } = start(t);
  for (let turn = 0; turn < 5; turn++) await post(at(upstream));
  t.is(upstream.connections, 1);
  await post(at(upstream), { rules: { ...PROXY, purpose: 'webhooks' } });
  t.is(upstream.connections, 2);
});

test('who does not connect, answer or go on in time is given up, and all that there was with it', async (t) => {
  const silent = await startRaw(t, (socket) => socket.resume());
  const started = await startRaw(t, (socket) =>
    socket.once('data', () => socket.write(`${HEAD}content-length: 9\r\n\r\nbegun`)),
  );
  const dripping = await startRaw(t, (socket) => {
    socket.once('data', () => {
      socket.write(`${HEAD}content-length: 999999\r\n\r\n`);
      const timer = setInterval(() => socket.write('.'), 20);
      socket.on('close', () => clearInterval(timer));
    });
  });
  const hinting = await startRaw(t, (socket) => {
    socket.once('data', () => {
      const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 20);
      socket.on('close', () => clearInterval(timer));
    });
  });
  const { post, egress, counted } = start(t);
  const short = 150;
  t.is(await post(at(silent), { limits: { ...PATIENT, headersMs: short } }), 'UPSTREAM_TIMEOUT');
  t.is(await post(at(silent), { limits: { ...PATIENT, totalMs: short } }), 'UPSTREAM_TIMEOUT');
  t.is(await post(at(hinting), { limits: { ...PATIENT, headersMs: 500 } }), 'UPSTREAM_TIMEOUT');
  t.is(
    await post(`https://127.0.0.1:${silent.port}/`, { limits: { ...PATIENT, connectMs: short } }),
    'UPSTREAM_TIMEOUT',
  );
  t.deepEqual(counted, new Array(4).fill('proxy timeout'));
  t.is(await post(at(started), { limits: { ...PATIENT, bodyMs: short } }), 'UPSTREAM_TIMEOUT');
  t.is(await post(at(dripping), { limits: { ...PATIENT, totalMs: 500 } }), 'UPSTREAM_TIMEOUT');
  t.is(egress.size, 0);
  for (const { server } of [silent, started, dripping, hinting]) await untilEmpty(server);
  t.pass();
});

/** Until nobody is connected to it any more. */
function untilEmpty(server: Upstream['server']): Promise<void> {
  const count = (): Promise<number> =>
    new Promise((resolve) => server.getConnections((_error, found) => resolve(found)));
  return until(async () => (await count()) === 0);
}

test('an address that does not answer at all is given up, and its socket closed', async (t) => {
  const socket = new Socket();
  const { post } = startEgress(t, { connect: (() => socket) as never });
  t.is(await post('http://93.184.215.14/', { limits: { ...PATIENT, connectMs: 150 } }), 'UPSTREAM_TIMEOUT');
  t.true(socket.destroyed);
});

test('a name server that is silent does not hold a request for longer than it may connect', async (t) => {
  const { address: server } = await startDns(t, () => 'silence');
  const { post } = start(t, { servers: [server] });
  t.is(await post('http://silent.example/', { limits: { ...PATIENT, connectMs: 150 } }), 'UPSTREAM_TIMEOUT');
});

test('requests for one name share a look-up', async (t) => {
  const upstream = await startWeb(t, (_request, response) => response.end('there'));
  const { address: server, asked } = await startDns(t, () => ['127.0.0.1']);
  const { post } = start(t, { servers: [server], verdictMs: 0 });
  await Promise.all(Array.from({ length: 20 }, () => post(`http://shared.example:${upstream.port}/`)));
  t.deepEqual(new Set(asked), new Set(['1 shared.example', '28 shared.example']));
  t.true(asked.length < 20, `${asked.length} questions`); // a slow answer is asked for again
});

test('who gives up ends it at once, wherever it stands, with the reason given', async (t) => {
  const silent = await startRaw(t, (socket) => socket.resume());
  const started = await startRaw(t, (socket) =>
    socket.once('data', () => socket.write(`${HEAD}content-length: 9\r\n\r\nbegun`)),
  );
  const { address: server } = await startDns(t, () => 'silence');
  const { egress, counted } = start(t, { servers: [server] });
  const reason = new Error('the client left');
  for (const url of [at(silent), `https://127.0.0.1:${silent.port}/`, 'http://silent.example/']) {
    const ending = new AbortController();
    const sent = egress.send(requestTo(url, { signal: ending.signal }));
    setTimeout(() => ending.abort(reason), 50);
    t.is(await t.throwsAsync(sent), reason, url);
  }
  t.is(await t.throwsAsync(egress.send(requestTo(at(silent), { signal: AbortSignal.abort(reason) }))), reason);
  t.deepEqual(counted, new Array(4).fill('proxy given_up'));
  const ending = new AbortController();
  const { body } = await egress.send(requestTo(at(started), { signal: ending.signal }));
  ending.abort(reason);
  t.is(await t.throwsAsync(textOf(body)), reason);
  const closing = await egress.send(requestTo(at(started)));
  closing.body.destroy();
  for (const { server: upstream } of [silent, started]) await untilEmpty(upstream);
  t.is(egress.size, 0);
});

test('an answer that breaks off is a body that fails, not one that ends', async (t) => {
  const { egress } = start(t);
  for (const [name, rest] of [
    ['length', 'content-length: 10\r\n\r\n12345'],
    ['chunk', 'transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n'],
    ['nonsense', 'transfer-encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n'],
  ] as const) {
    const upstream = await startRaw(t, (socket) => socket.once('data', () => socket.end(HEAD + rest)));
    const { body } = await egress.send(requestTo(at(upstream)));
    await t.throwsAsync(textOf(body), { code: 'UPSTREAM_FAILED' } as object, name);
  }
  t.is(egress.size, 0);
});

test('an answer may begin with 100 heads of 1xx; one more is taken for a flood, and ends it', async (t) => {
  const hints = (count: number): string => 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(count);
  const whole = `${HEAD}content-length: 2\r\n\r\nOK`;
  const patient = await startRaw(t, (socket) => socket.on('data', () => socket.write(hints(100) + whole)));
  const flooding = await startRaw(t, (socket) => socket.on('data', () => socket.write(hints(101) + whole)));
  const { egress, post } = start(t);
  for (let turn = 0; turn < 2; turn++) t.deepEqual(await post(at(patient)), { status: 200, text: 'OK' });
  t.is(patient.connections, 1);
  t.is(await post(at(flooding)), 'UPSTREAM_FAILED');
  await untilEmpty(flooding.server);
  t.is(egress.size, 0);
});

test('an answer that nobody reads ends nothing but itself', async (t) => {
  const upstream = await startRaw(t, (socket) =>
    socket.once('data', () => socket.end(`${HEAD}content-length: 9\r\n\r\nbegun`)),
  );
  const { egress } = start(t);
  const { body } = await egress.send(requestTo(at(upstream)));
  await new Promise((resolve) => body.once('close', resolve));
  t.is(egress.size, 0);
});

test('of an answer without end, what was asked for is read and the connection closed', async (t) => {
  let flooded = 0;
  const upstream = await startRaw(t, (socket) => {
    const { source, taken } = flow();
    socket.once('data', () => {
      socket.write(`${HEAD}\r\n`);
      source.pipe(socket);
    });
    socket.on('close', () => {
      flooded = taken();
    });
  });
  const { egress, post } = start(t);
  const answer = await post(at(upstream), { limits: { ...PATIENT, answerBytes: 1000 } });
  t.is(typeof answer === 'string' ? answer : answer.text.length, 1000);
  await until(() => flooded > 0);
  t.is(egress.size, 0);
});

test('nobody reads ahead: an answer waits for its reader, and a body for the upstream', async (t) => {
  const sent = flow();
  const upstream = await startRaw(t, (socket) => {
    socket.once('data', () => {
      socket.write(`${HEAD}\r\n`);
      sent.source.pipe(socket);
      socket.pause();
    });
  });
  const given = flow();
  const { egress } = start(t);
  const ending = new AbortController();
  const { body } = await egress.send(requestTo(at(upstream), { body: given.source, signal: ending.signal }));
  for (let last = -1; last !== sent.taken() + given.taken(); await sleep(200)) last = sent.taken() + given.taken();
  const MIB = 1024 * 1024;
  t.true(
    body.readableLength < MIB && given.taken() < 16 * MIB && sent.taken() < 16 * MIB,
    `${given.taken()} ${sent.taken()}`,
  );
  ending.abort(new Error('enough'));
});

test('a body that the upstream does not read, and an answer that its reader does not, lose their place in time', async (t) => {
  const upstream = await startRaw(t, (socket) => socket.pause());
  const { egress, post } = start(t);
  t.is(await post(at(upstream), { body: flow().source, limits: { ...PATIENT, headersMs: 150 } }), 'UPSTREAM_TIMEOUT');
  const flooding = await startRaw(t, (socket) => {
    socket.once('data', () => {
      socket.write(`${HEAD}\r\n`);
      flow().source.pipe(socket);
    });
  });
  await egress.send(requestTo(at(flooding), { limits: { ...PATIENT, bodyMs: 150 } }));
  await until(() => egress.size === 0);
  t.pass();
});

test('a request that fails leaves its body as it is, because it may belong to a client that still needs an answer', async (t) => {
  const upstream = await startRaw(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const { source } = flow();
  t.is(await start(t).post(at(upstream), { body: source }), 'UPSTREAM_FAILED');
  t.false(source.destroyed);
  t.is(source.listenerCount('data'), 0);
});

test('a body that breaks off is never taken for a whole one', async (t) => {
  let ended = 0;
  const upstream = await startWeb(
    t,
    (request) =>
      void request.resume().once('end', () => {
        ended += 1;
      }),
  );
  const { egress } = start(t);
  const source = new Readable({ read() {} });
  source.push('half');
  const sent = egress.send(requestTo(at(upstream), { body: source }));
  await until(() => upstream.connections === 1);
  source.destroy();
  await t.throwsAsync(sent, { code: 'UPSTREAM_FAILED' } as object);
  await untilEmpty(upstream.server);
  t.is(ended, 0);
});

test('64 requests at once to one destination, whatever names lead there; the others wait their turn', async (t) => {
  const held: (() => void)[] = [];
  let most = 0;
  const upstream = await startWeb(t, (_request, response) => {
    most = Math.max(
      most,
      held.push(() => response.end('done')),
    );
  });
  const { address: server } = await startDns(t, () => ['127.0.0.1']);
  const { egress, post } = start(t, { servers: [server] });
  const sent = Array.from({ length: 150 }, (_, index) => post(`http://n${index % 7}.example:${upstream.port}/`));
  await until(() => held.length === 64 && egress.waiting === 86);
  t.is(egress.size, 64);
  const other = await startWeb(t, (_request, response) => response.end('done'));
  t.deepEqual(await post(at(other)), { status: 200, text: 'done' });
  let isOver = false;
  const answers = Promise.all(sent).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    held.shift()?.();
    await sleep(1);
  }
  for (const answer of await answers) t.deepEqual(answer, { status: 200, text: 'done' });
  t.is(most, 64);
  t.deepEqual([egress.size, egress.waiting], [0, 0]);
});

test('a name that leads to one address twice is one place there, whether it answers or not', async (t) => {
  const upstream = await startWeb(t, (_request, response) => response.end('done'));
  const silent = await startRaw(t, (socket) => socket.destroy());
  for (const addresses of [['127.0.0.1', '127.0.0.1'], ['127.0.0.1', '::ffff:127.0.0.1'], ['::ffff:127.0.0.1']]) {
    const { address: server } = await startDns(t, () => addresses);
    const { egress, post } = start(t, { servers: [server] });
    for (let count = 0; count < 3; count++) {
      t.deepEqual(await post(`http://twice.example:${upstream.port}/`), { status: 200, text: 'done' });
      t.is(await post(`http://twice.example:${silent.port}/`), 'UPSTREAM_FAILED');
    }
    t.deepEqual([egress.size, egress.waiting], [0, 0]);
  }
});

test('a request is refused for now when too many wait', async (t) => {
  const silent = await startRaw(t, (socket) => socket.resume());
  const { egress, counted } = start(t);
  const ending = new AbortController();
  const sent = Array.from({ length: 64 + 256 }, () => egress.send(requestTo(at(silent), { signal: ending.signal })));
  const ended = Promise.allSettled(sent);
  await until(() => egress.waiting === 256);
  const error = await t.throwsAsync(egress.send(requestTo(at(silent))));
  t.like(error, { code: 'DESTINATION_BUSY', retryAfterSeconds: 5 } as object);
  t.deepEqual(counted, ['proxy busy']);
  ending.abort(new Error('enough'));
  await ended;
  t.deepEqual([egress.size, egress.waiting], [0, 0]);
});

test('calls of the proxy that hang delay neither a webhook to the same address nor a call to another one', async (t) => {
  const upstream = await startWeb(t, (request, response) => {
    if (request.url === '/event') response.end('there');
  });
  const { egress, post } = start(t);
  const ending = new AbortController();
  const hanging = Array.from({ length: 80 }, () => egress.send(requestTo(at(upstream), { signal: ending.signal })));
  const ended = Promise.allSettled(hanging);
  await until(() => egress.size === 64 && egress.waiting === 16);
  const there = { status: 200, text: 'there' };
  t.deepEqual(await post(`${at(upstream)}event`, { rules: { ...PROXY, purpose: 'webhooks' } }), there);
  const other = await startWeb(t, (_request, response) => response.end('there'));
  t.deepEqual(await post(at(other)), there);
  t.is(egress.waiting, 16);
  ending.abort(new Error('enough'));
  await ended;
});

const withOpenssl = testWith('openssl');

withOpenssl('certificates are verified, and have to be for the name', async (t) => {
  const folder = await temporaryFolder(t);
  await makeCertificate(folder);
  const [key, cert] = ['privkey.pem', 'fullchain.pem'].map((name) => readFileSync(join(folder, name)));
  const seen: unknown[] = [];
  const upstream = await listenOn(
    t,
    createTlsServer({ key, cert, ALPNProtocols: ['h2', 'http/1.1'] } as object, (socket) => {
      seen.push([socket.servername, socket.alpnProtocol]);
      socket.once('data', () => socket.end(`${HEAD}content-length: 4\r\n\r\nsafe`));
    }).on('tlsClientError', () => {}),
  );
  const urls = [`https://localhost:${upstream.port}/`, `https://127.0.0.1:${upstream.port}/`];
  const trusting = { NODE_EXTRA_CA_CERTS: join(folder, 'fullchain.pem') };
  t.deepEqual(await callFromChild(trusting, urls), ['safe', 'UPSTREAM_FAILED']);
  t.deepEqual(seen[0], ['localhost', 'http/1.1']);
  const careless = { NODE_TLS_REJECT_UNAUTHORIZED: '0', ...{ NODE_EXTRA_CA_CERTS: '' } };
  t.deepEqual(await callFromChild(careless, urls), ['UPSTREAM_FAILED', 'UPSTREAM_FAILED']);
});

test('closing ends what is under way', async (t) => {
  const silent = await startRaw(t, (socket) => socket.resume());
  const { egress } = start(t);
  const sent = egress.send(requestTo(at(silent)));
  await until(() => silent.connections === 1);
  await egress.close();
  await t.throwsAsync(sent, { code: 'UPSTREAM_TIMEOUT' } as object);
  await t.throwsAsync(egress.send(requestTo(at(silent))), { code: 'DRAINING' } as object);
  await untilEmpty(silent.server);
});
