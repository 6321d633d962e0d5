import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Crowded, Outcome } from '../../src/outbox/outcome.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { createCallClaims } from '../../src/tokens/calls/sign.ts';
import { createAttempt } from '../../src/webhooks/attempt.ts';
import { createSubscription } from '../../src/webhooks/sealed.ts';
import type { TakenEvent } from '../../src/webhooks/store.ts';
import {
  type CallsOut,
  listenOn,
  type Options,
  requestTo,
  startEgress,
  startWeb,
  textOf,
  type Upstream,
  WEBHOOKS,
} from '../support/egress/calls-out.ts';
import { startDns } from '../support/egress/dns.ts';
import { remember } from '../support/process/leaks.ts';
import { until } from '../support/process/program.ts';

const NOW = Date.UTC(2066, 0, 1, 12);
const SECRET_KEY = 'the text of a secret key';

type Enter = (address: string) => boolean;
const enterAny: Enter = () => true;

type World = CallsOut & {
  eventTo(url: string): TakenEvent;
  /** One attempt. */
  attempt(event: TakenEvent | string, signal?: AbortSignal, enter?: Enter): Promise<Outcome | Crowded>;
  errors: unknown[];
};

function start(t: ExecutionContext, options: Options = {}, ring = createKeyRing([randomBytes(32)])): World {
  const callsOut = startEgress(t, { allow: '127.0.0.1', verdictMs: 0, ...options });
  const errors: unknown[] = [];
  const claimsFor = createCallClaims({ clock: () => NOW, randomBytes });
  const attempt = createAttempt({
    ring,
    egress: callsOut.egress,
    createClaims: () => claimsFor('username'),
    clock: () => NOW,
    onError: (error) => errors.push(error),
  });
  const eventTo = (url: string): TakenEvent => {
    const id = randomBytes(24);
    remember(url);
    const notify = createSubscription(ring, url, { id, text: SECRET_KEY });
    return { id, type: 'read', occurredAt: NOW - 1_000, attempts: 0, dueAt: NOW + 45_000, notify };
  };
  return {
    ...callsOut,
    eventTo,
    attempt: (event, signal = new AbortController().signal, enter = enterAny) =>
      attempt(typeof event === 'string' ? eventTo(event) : event, enter, signal),
    errors,
  };
}

const at = ({ port }: Upstream): string => `http://127.0.0.1:${port}/a-path-that-is-secret?a=1`;
const startRaw = (t: ExecutionContext, onSocket: (socket: Socket) => void): Promise<Upstream> =>
  listenOn(t, createServer(onSocket));

/** The outcome of one attempt at a receiver of this kind. */
async function outcomeAt(t: ExecutionContext, listener: RequestListener): Promise<Outcome | Crowded> {
  const world = start(t);
  const outcome = await world.attempt(at(await startWeb(t, listener)));
  t.deepEqual(world.errors, []);
  return outcome;
}

const answer =
  (status: number, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end();

test('what is sent is a POST of JSON with what Standard Webhooks wants, a token, and nothing else', async (t) => {
  let seen: {
    method: string | undefined;
    url: string | undefined;
    names: string[];
    type: unknown;
    body: string;
  } | null = null;
  const receiver = await startWeb(t, async (request, response) => {
    const { method, url, rawHeaders, headers } = request;
    const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    seen = { method, url, names: names.sort(), type: headers['content-type'], body: await textOf(request) };
    response.writeHead(204).end();
  });
  t.deepEqual(await start(t).attempt(at(receiver)), { result: 'delivered' });
  t.like(seen, { method: 'POST', url: '/a-path-that-is-secret?a=1', type: 'application/json' });
  t.deepEqual((seen as unknown as { names: string[] }).names, [
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
    'webhook-id',
    'webhook-signature',
    'webhook-timestamp',
    'x-my-jwt',
  ]);
});

for (const status of [200, 201, 204, 299]) {
  test(`${status} is a delivery`, async (t) => {
    t.deepEqual(await outcomeAt(t, answer(status)), { result: 'delivered' });
  });
}

test('a connection that was kept and breaks costs no attempt: the same comes once more, on a new one', async (t) => {
  const answered = new Set<Socket>();
  const seen: string[] = [];
  const receiver = await startWeb(t, async (request, response) => {
    seen.push(`${request.headers['webhook-id']} ${await textOf(request)}`);
    if (answered.has(request.socket)) return void request.socket.resetAndDestroy();
    answered.add(request.socket);
    response.end();
  });
  const world = start(t);
  t.deepEqual(await world.attempt(at(receiver)), { result: 'delivered' });
  t.deepEqual(await world.attempt(at(receiver)), { result: 'delivered' });
  t.is(seen.length, 3);
  t.is(seen[1], seen[2]);
  t.deepEqual(world.errors, []);
});

test('410 ends the deliveries', async (t) => {
  t.deepEqual(await outcomeAt(t, answer(410)), { result: 'gone' });
});

for (const status of [300, 304, 400, 401, 404, 409, 411, 500, 502]) {
  test(`${status} is none, and says nothing of when to come back`, async (t) => {
    t.deepEqual(await outcomeAt(t, answer(status, { 'retry-after': '3600' })), {
      result: 'refused',
      retryAfterMs: undefined,
    });
  });
}

for (const status of [301, 302, 303, 307, 308]) {
  test(`${status}: no redirect is followed`, async (t) => {
    const elsewhere = await startWeb(t, answer(204));
    t.like(await outcomeAt(t, answer(status, { location: at(elsewhere) })), { result: 'refused' });
    t.is(elsewhere.connections, 0);
  });
}

for (const [text, retryAfterMs] of [
  ['120', 120_000],
  [' 120 ', 120_000],
  ['0', 0],
  ['Fri, 01 Jan 2066 12:02:00 GMT', 120_000],
  ['Fri, 01 Jan 2066 11:00:00 GMT', 0],
  ['-1', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['99999999999', 99_999_999_999_000],
  ['', undefined],
] as const) {
  for (const status of [429, 503]) {
    test(`${status} with Retry-After "${text}" asks for ${retryAfterMs} ms`, async (t) => {
      t.deepEqual(await outcomeAt(t, answer(status, { 'RETRY-AFTER': text })), { result: 'refused', retryAfterMs });
    });
  }
}

test('deliveries to one place share a connection, where the answers are short', async (t) => {
  const receiver = await startWeb(t, (_request, response) => void response.end('x'.repeat(65_536)));
  const world = start(t, { verdictMs: 1_000 });
  for (let count = 0; count < 3; count++) t.like(await world.attempt(at(receiver)), { result: 'delivered' });
  t.is(receiver.connections, 1);
});

test('an answer that drips is not waited for', async (t) => {
  const ended = Promise.withResolvers<void>();
  const outcome = await outcomeAt(t, async (_request, response) => {
    response.writeHead(200).flushHeaders();
    response.once('close', ended.resolve);
    while (!response.closed) {
      response.write('x');
      await sleep(50);
    }
  });
  t.deepEqual(outcome, { result: 'delivered' });
  await ended.promise;
});

test('an answer that hangs after its head is not waited for', async (t) => {
  t.deepEqual(await outcomeAt(t, (_request, response) => void response.writeHead(200).write('x')), {
    result: 'delivered',
  });
});

test('an answer that floods is left after 64 KiB', async (t) => {
  let written = 0;
  const ended = Promise.withResolvers<void>();
  const chunk = Buffer.alloc(65_536);
  const flood = async (response: ServerResponse): Promise<void> => {
    response.once('close', ended.resolve);
    while (!response.closed) {
      written += chunk.length;
      if (!response.write(chunk)) await Promise.race([once(response, 'drain'), ended.promise]).catch(() => {});
    }
  };
  t.deepEqual(await outcomeAt(t, (_request, response) => void flood(response.writeHead(200))), { result: 'delivered' });
  await ended.promise;
  t.true(written < 32 * 1_048_576, `${written}`); // what two sockets hold; in the 2 s that it may last it would be more
});

test('an answer that breaks off counts by its status', async (t) => {
  const breakOff =
    (status: number): RequestListener =>
    (_request, response) => {
      response.writeHead(status, { 'content-length': '1000' }).write('half');
      setImmediate(() => response.destroy());
    };
  t.deepEqual(await outcomeAt(t, breakOff(200)), { result: 'delivered' });
  t.like(await outcomeAt(t, breakOff(500)), { result: 'refused' });
});

test('who refuses, resets, speaks no HTTP or is not there is unreachable', async (t) => {
  const world = start(t);
  const closed = await startWeb(t, answer(204));
  closed.server.close();
  await once(closed.server, 'close');
  const resets = await startRaw(t, (socket) => void socket.resetAndDestroy());
  const ends = await startRaw(t, (socket) => void socket.on('data', () => socket.end()));
  const babbles = await startRaw(t, (socket) => void socket.on('data', () => socket.end('220 smtp ready\r\n')));
  const urls = [...[closed, resets, ends, babbles].map(at), `https://127.0.0.1:${ends.port}/`, 'https://none.invalid/'];
  const outcomes = await Promise.all(urls.map((url) => world.attempt(url)));
  t.deepEqual(outcomes, Array(6).fill({ result: 'unreachable' }));
  t.deepEqual(world.errors, []);
});

// The lease says that an attempt begins only with 20 s left: this is why that is enough.
test('an attempt is over after some 15 s, whatever the receiver does', async (t) => {
  t.timeout(120_000);
  const silent = await startRaw(t, (socket) => void socket.resume());
  const deaf = await startRaw(t, (socket) => void socket.pause());
  const drips = await startRaw(t, (socket) => {
    socket.resume().write('HTTP/1.1 200 OK\r\nx-a: ');
    const timer = setInterval(() => socket.write('a'), 100);
    socket.on('close', () => clearInterval(timer));
  });
  const world = start(t);
  const startedAt = performance.now();
  const urls = [silent, deaf, drips].map(at);
  const noTls = `https://127.0.0.1:${silent.port}/`; // connected, but without TLS
  const ended: string[] = [];
  const outcomes = await Promise.all([...urls, noTls].map((url) => world.attempt(url).finally(() => ended.push(url))));
  t.deepEqual(outcomes, Array(4).fill({ result: 'unreachable' }));
  t.is(ended[0], noTls); // a connection has 5 s of them
  const seconds = (performance.now() - startedAt) / 1_000;
  t.true(seconds > 14 && seconds < 20, `${seconds}`);
});

test('an attempt that is broken off ends at once, and is nobody’s failure', async (t) => {
  const arrived = Promise.withResolvers<void>();
  const receiver = await startWeb(t, () => arrived.resolve());
  const world = start(t);
  const cut = new AbortController();
  const outcome = world.attempt(at(receiver), cut.signal);
  await arrived.promise;
  cut.abort();
  t.deepEqual(await outcome, { result: 'cut' });
  t.deepEqual(await world.attempt(at(receiver), AbortSignal.abort()), { result: 'cut' });
  t.deepEqual(world.errors, []);
});

test('an event whose destination is busy comes back soon', async (t) => {
  const receiver = await startWeb(t, () => {});
  const world = start(t);
  const ending = new AbortController();
  const request = requestTo(at(receiver), { rules: WEBHOOKS, signal: ending.signal });
  const others = Array.from({ length: 64 + 256 }, () => world.egress.send(request).catch(() => {}));
  await until('a full line', () => world.egress.waiting === 256);
  t.deepEqual(await world.attempt(at(receiver)), { result: 'later', retryAfterMs: 0 });
  ending.abort();
  await Promise.all(others);
});

test('an address that refuses the event gets not a byte, dialled or connected to', async (t) => {
  let bytes = 0;
  const receiver = await startRaw(t, (socket) => {
    socket.on('data', (data) => {
      bytes += data.length;
    });
  });
  const world = start(t);
  const asked: string[] = [];
  const letIn =
    (times: number): Enter =>
    (address) => {
      asked.push(address);
      return asked.length <= times;
    };
  t.deepEqual(await world.attempt(at(receiver), undefined, letIn(0)), { result: 'crowded' });
  t.deepEqual([asked.splice(0), receiver.connections], [['127.0.0.1'], 0]);
  t.deepEqual(await world.attempt(at(receiver), undefined, letIn(1)), { result: 'crowded' });
  t.deepEqual([asked.splice(0), receiver.connections, bytes], [['127.0.0.1', '127.0.0.1'], 1, 0]);
  t.is(world.egress.size, 0);
  t.deepEqual(world.errors, []);
});

test('an event enters the address it is connected to, and an IPv6 address counts with its /64', async (t) => {
  const receiver = await startWeb(t, answer(204));
  const dns = await startDns(t, () => ['127.0.0.2', '::1']);
  const asked: string[] = [];
  const enter: Enter = (address) => asked.push(address) > 0;
  const world = start(t, { servers: [dns.address], allow: '127.0.0.2,::1' });
  await world.attempt(`http://two.example:${receiver.port}/`, undefined, enter);
  t.deepEqual(asked, ['127.0.0.2', '127.0.0.2']);
  const six = start(t, { allow: '::1' });
  await six.attempt(`http://[::1]:${receiver.port}/`, undefined, enter);
  t.deepEqual(asked.slice(2), ['0:0:0:0::/64', '0:0:0:0::/64']);
});

test('without its master key an event waits, and nobody is called', async (t) => {
  const receiver = await startWeb(t, answer(204));
  const key = randomBytes(32);
  const event = start(t, {}, createKeyRing([key])).eventTo(at(receiver));
  t.deepEqual(await start(t).attempt(event), { result: 'later' });
  t.is(receiver.connections, 0);
  t.deepEqual(await start(t, {}, createKeyRing([randomBytes(32), key])).attempt(event), { result: 'delivered' });
});

test('what does not open, be it damaged or of another secret, is over, and nobody is called', async (t) => {
  const receiver = await startWeb(t, answer(204));
  const world = start(t);
  const event = world.eventTo(at(receiver));
  const { sealed, destination } = event.notify;
  for (const index of [2, 10, 25, 100, sealed.length - 1]) {
    const changed = Buffer.from(sealed);
    changed[index] = (changed[index] as number) ^ 1;
    const outcome = await world.attempt({ ...event, notify: { sealed: changed, destination } });
    t.deepEqual(outcome, { result: index === 2 ? 'later' : 'damaged' }, `${index}`); // a master key that nobody has
  }
  t.deepEqual(await world.attempt({ ...event, id: randomBytes(24) }), { result: 'damaged' });
  t.deepEqual(await world.attempt({ ...event, notify: { sealed: Buffer.alloc(0), destination } }), { result: 'later' });
  t.is(receiver.connections, 0);
});

test('each attempt looks the name up again: a forbidden address is not called', async (t) => {
  const receiver = await startWeb(t, answer(204));
  const addresses = ['127.0.0.1', '10.0.0.1', '169.254.169.254', '127.0.0.1'];
  const dns = await startDns(t, (_name, asked) => [addresses[asked] as string]);
  const world = start(t, { servers: [dns.address] });
  const event = world.eventTo(`http://rebinding.example:${receiver.port}/`);
  const outcomes: string[] = [];
  for (const _ of addresses) outcomes.push((await world.attempt(event)).result);
  t.deepEqual(outcomes, ['delivered', 'forbidden', 'forbidden', 'delivered']);
  t.deepEqual(world.dialled, ['127.0.0.1']); // the last on the connection of the first
});

test('plain http goes to no address that is merely public', async (t) => {
  const dns = await startDns(t, () => ['1.1.1.1']);
  const world = start(t, { servers: [dns.address] });
  t.deepEqual(await world.attempt('http://public.example/'), { result: 'forbidden' });
  t.deepEqual(world.dialled, []);
  t.deepEqual(await world.attempt('https://public.example/'), { result: 'unreachable' });
  t.deepEqual(world.dialled, ['1.1.1.1']);
});

test('what nobody thought of is reported, and the event is tried again', async (t) => {
  const world = start(t);
  const thought = new TypeError('what nobody thought of');
  const ring = createKeyRing([randomBytes(32)]);
  const errors: unknown[] = [];
  const attempt = createAttempt({
    ring,
    egress: world.egress,
    createClaims: () => {
      throw thought;
    },
    clock: () => NOW,
    onError: (error) => errors.push(error),
  });
  const id = randomBytes(24);
  const notify = createSubscription(ring, 'https://a.example/', { id, text: SECRET_KEY });
  const event: TakenEvent = { id, type: 'read', occurredAt: NOW, attempts: 0, dueAt: NOW + 45_000, notify };
  t.deepEqual(await attempt(event, enterAny, new AbortController().signal), { result: 'unreachable' });
  t.deepEqual(errors, [thought]);
});
