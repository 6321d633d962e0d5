import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { bodyLimitBytes } from '../../src/http/body-limit.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { until } from '../support/process/program.ts';
import { ENGINES } from '../support/storage/storage.ts';

const [sqlite] = ENGINES;
const KIB = 1024;
const MIB = 1024 * KIB;
const LIMIT = bodyLimitBytes(MIB);
const LARGE = 'x'.repeat(MIB);
const SMALL_BODY = `{"secret":"${'x'.repeat(60 * KIB)}"}`;

async function start(t: ExecutionContext, env: Record<string, string> = {}): Promise<TestServer> {
  if (!sqlite) throw new TypeError('no engine');
  return startServer(t, { place: await sqlite.place(t), env: { BODIES_MAX_BYTES: String(LIMIT), ...env } });
}

function metricOf(server: TestServer, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(server.metrics())?.[1]);
}

const heldBytes = (server: TestServer): number => metricOf(server, 'hushbox_bodies_bytes');

async function open(t: ExecutionContext, { port }: TestServer, address = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: address });
  socket.on('error', () => {});
  t.teardown(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

const head = (path: string, bytes: number): string =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes}\r\n\r\n`;
const padded = (bytes: number): string => `{"secret":"s"${' '.repeat(bytes - 14)}}`;

/** Begins an upload, and leaves its last byte open. */
async function beginUpload(t: ExecutionContext, server: TestServer, bytes: number, address?: string): Promise<Socket> {
  const before = heldBytes(server);
  const socket = await open(t, server, address);
  socket.write(head('/generate', bytes));
  socket.write(padded(bytes).slice(0, -1));
  await until('room is held', () => heldBytes(server) === before + bytes);
  return socket;
}

async function answerOn(socket: Socket): Promise<string> {
  const [first] = (await once(socket, 'data')) as [Buffer];
  return first.toString('latin1');
}

async function expectBusy(t: ExecutionContext, response: Response): Promise<void> {
  t.is(response.status, 503);
  t.is(((await response.json()) as { code: string }).code, 'BUSY');
  t.regex(response.headers.get('retry-after') ?? '', /^\d+$/);
}

test('without room a large body is 503 BUSY, a small one is stored, and the one that has room too', async (t) => {
  const server = await start(t);
  const upload = await beginUpload(t, server, LIMIT);
  await expectBusy(t, await server.post('/generate', { secret: LARGE }));
  t.is((await server.post('/generate', SMALL_BODY)).status, 201);
  upload.write('}');
  t.regex(await answerOn(upload), /^HTTP\/1\.1 201 /);
  await until('nothing is held', () => heldBytes(server) === 0);
  t.is((await server.post('/generate', { secret: LARGE })).status, 201);
  t.is(metricOf(server, 'hushbox_bodies_refused_total'), 1);
});

test('a refusal reaches a client that sends everything first, with and without a length', async (t) => {
  const server = await start(t);
  await beginUpload(t, server, LIMIT);
  for (const bytes of [100 * KIB, LIMIT]) {
    const sized = await open(t, server);
    const sent = new Promise((resolve) => sized.write(head('/generate', bytes) + padded(bytes), resolve));
    sized.pause();
    await sent;
    sized.resume();
    t.regex(await answerOn(sized), /^HTTP\/1\.1 503 .*"BUSY"/s);
    const chunked = await open(t, server);
    const text = `${bytes.toString(16)}\r\n${padded(bytes)}\r\n0\r\n\r\n`;
    chunked.write(`POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${text}`);
    t.regex(await answerOn(chunked), /^HTTP\/1\.1 503 .*"BUSY"/s);
  }
});

test('a body without a length takes room as it grows, up to the limit', async (t) => {
  const server = await start(t);
  const socket = await open(t, server);
  socket.write('POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
  const body = padded(LIMIT);
  const send = (text: string): unknown => socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
  send(body.slice(0, 60 * KIB));
  t.is((await server.post('/generate', SMALL_BODY)).status, 201); // what was sent before it has arrived too
  t.is(heldBytes(server), 0);
  send(body.slice(60 * KIB, 200 * KIB));
  await until('room is held', () => heldBytes(server) >= 200 * KIB);
  t.true(heldBytes(server) <= 400 * KIB);
  send(body.slice(200 * KIB));
  socket.write('0\r\n\r\n');
  t.regex(await answerOn(socket), /^HTTP\/1\.1 201 /);
  await until('nothing is held', () => heldBytes(server) === 0);
});

test('heads alone, and the first 64 KiB of bodies, take no room', async (t) => {
  const server = await start(t);
  for (let count = 0; count < 5; count++) {
    const socket = await open(t, server);
    socket.write(head('/generate', LIMIT));
    socket.write(padded(LIMIT).slice(0, 60 * KIB));
  }
  t.is((await server.post('/generate', { secret: LARGE })).status, 201);
  t.is(heldBytes(server), 0);
});

test('a client that leaves in its body gives its room back', async (t) => {
  const server = await start(t);
  for (const leave of [(socket: Socket) => socket.resetAndDestroy(), (socket: Socket) => socket.destroy()]) {
    leave(await beginUpload(t, server, LIMIT));
    await until('nothing is held', () => heldBytes(server) === 0);
  }
  t.is((await server.post('/generate', { secret: LARGE })).status, 201);
});

test('a client has a quarter of the room, or one body of the largest size', async (t) => {
  const quarter = LIMIT + 3 * MIB;
  const server = await start(t, { LIMITS: 'on', BODIES_MAX_BYTES: String(4 * quarter) });
  await beginUpload(t, server, LIMIT, '127.0.0.2');
  const from = async (address: string, bytes: number): Promise<string> => {
    const socket = await open(t, server, address);
    socket.write(head('/generate', bytes) + padded(bytes));
    return (await answerOn(socket)).slice(9, 12);
  };
  t.is(await from('127.0.0.2', 3 * MIB), '201');
  t.is(await from('127.0.0.2', 3 * MIB + 1), '503');
  t.is(await from('127.0.0.2', 64 * KIB), '201');
  t.is(await from('127.0.0.3', LIMIT), '201');
  const least = await start(t, { LIMITS: 'on' });
  await beginUpload(t, least, LIMIT, '127.0.0.2');
  t.is(metricOf(least, 'hushbox_bodies_refused_total'), 0);
});

test('without limits per client one may take all the room', async (t) => {
  const server = await start(t, { LIMITS: 'off', BODIES_MAX_BYTES: String(3 * LIMIT) });
  for (let count = 0; count < 3; count++) await beginUpload(t, server, LIMIT);
  await expectBusy(t, await server.post('/generate', { secret: LARGE }));
});

for (const [title, headers] of [
  ['a read', {}],
  ['a read that can be repeated', { 'idempotency-key': 'e13f0c3a9b6d4f7c8a52d0917be4c6f8' }],
] as const) {
  test(`${title} without room for its answer is 503 BUSY, uses nothing up and costs no try`, async (t) => {
    const server = await start(t);
    const { secret_key: plain } = await server.create({ secret: LARGE });
    const { secret_key: locked, receipt_key } = await server.create({ secret: LARGE, phrase: 'p', receipt: true });
    const { secret_key: small } = await server.create({ secret: 'y'.repeat(60 * KIB) });
    const upload = await beginUpload(t, server, LIMIT);
    for (let count = 0; count < 12; count++) {
      await expectBusy(t, await server.post(`/secrets/${locked}`, { phrase: 'p' }, headers));
    }
    await expectBusy(t, await server.post(`/secrets/${plain}`, {}, headers));
    t.is((await server.post(`/secrets/${small}`)).status, 200);
    upload.destroy();
    await until('nothing is held', () => heldBytes(server) === 0);
    t.like(await (await server.get(`/receipts/${receipt_key}`)).json(), { state: 'waiting', wrong_tries: 0, reads: 0 });
    const answer = await server.post(`/secrets/${locked}`, { phrase: 'p' }, headers);
    t.deepEqual(await answer.json(), { secret: LARGE });
    t.is((await server.post(`/secrets/${plain}`, {}, headers)).status, 200);
    await until('nothing is held', () => heldBytes(server) === 0);
  });
}

test('an answer that takes more room than its secret is refused before the secret is claimed', async (t) => {
  const server = await start(t, { BODIES_MAX_BYTES: String(LIMIT + MIB) });
  const { secret_key } = await server.create({ secret: '\u0001'.repeat(MIB) });
  const upload = await beginUpload(t, server, 2 * MIB);
  await expectBusy(t, await server.post(`/secrets/${secret_key}`));
  const asText = await server.post(`/secrets/${secret_key}`, {}, { accept: 'text/plain' });
  t.is((await asText.text()).length, MIB);
  upload.destroy();
});

test('an answer holds its room until a slow client has it, or leaves', async (t) => {
  const server = await start(t, { BODIES_MAX_BYTES: String(3 * LIMIT) });
  const read = async (): Promise<Socket> => {
    const { secret_key } = await server.create({ secret: '\u0001'.repeat(MIB) });
    await until('nothing is held', () => heldBytes(server) === 0);
    const socket = await open(t, server);
    socket.pause();
    socket.write(head(`/secrets/${secret_key}`, 0));
    await until('room is held', () => heldBytes(server) === 6 * MIB);
    return socket;
  };
  const slow = await read();
  let received = 0;
  slow.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  slow.resume();
  await until('nothing is held', () => heldBytes(server) === 0);
  await until('all has arrived', () => received > 6 * MIB);
  (await read()).resetAndDestroy();
  await until('nothing is held', () => heldBytes(server) === 0);
  t.is(metricOf(server, 'hushbox_bodies_refused_total'), 0);
});

test('a secret is not lost when its reader leaves while it waits for its turn', async (t) => {
  const server = await start(t, { BODIES_MAX_BYTES: String(30 * MIB) });
  const keys: string[] = [];
  for (let count = 0; count < 20; count++) keys.push((await server.create({ secret: LARGE })).secret_key);
  const readers = await Promise.all(keys.map(() => open(t, server)));
  for (const reader of readers) reader.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await Promise.all(readers.map(answerOn)); // their connections are accepted
  for (const [index, reader] of readers.entries()) reader.write(head(`/secrets/${keys[index]}`, 0));
  while (heldBytes(server) === 0) await nextRound();
  for (const reader of readers) reader.resetAndDestroy();
  await until('nothing is held', () => heldBytes(server) === 0);
  const answers = await Promise.all(keys.map((key) => server.get(`/secrets/${key}`)));
  t.true(answers.some(({ status }) => status === 200));
});

test('many large ones at once all arrive, and come back byte for byte', async (t) => {
  const server = await start(t, { BODIES_MAX_BYTES: String(80 * MIB) });
  const created = await Promise.all(
    Array.from({ length: 40 }, (_, index) => server.create({ secret: `${index}${LARGE.slice(3)}` })),
  );
  const answers = await Promise.all(created.map(({ secret_key }) => server.post(`/secrets/${secret_key}`)));
  for (const [index, answer] of answers.entries()) {
    t.true(((await answer.json()) as { secret: string }).secret === `${index}${LARGE.slice(3)}`);
  }
  await until('nothing is held', () => heldBytes(server) === 0);
});
