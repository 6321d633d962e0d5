import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Connections } from '../../src/http/connection-limit.ts';
import { type Listener, listen } from '../../src/http/listen.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { type Conversation, converse } from '../support/http/raw.ts';
import { until } from '../support/process/program.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
const HELD = 'GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n';

type Limited = {
  listener: Listener;
  connections: Connections;
  /** Requests for `/held` that wait for their answer. */
  held: ServerResponse[];
  /** Opens a connection, and waits until it was accepted. */
  open(): Promise<Conversation>;
};

async function startLimited(t: ExecutionContext, max: number): Promise<Limited> {
  const held: ServerResponse[] = [];
  const server = createHttpServer(async (request, response) => {
    if (request.url === '/held') held.push(response);
    else response.writeHead(200, { 'content-length': 0 }).end();
  });
  const listener = await listen(server, { port: 0, host: '127.0.0.1' }, max);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { connections } = listener;
  let accepted = 0;
  server.on('connection', () => {
    accepted += 1;
  });
  let opened = 0;
  return {
    listener,
    connections,
    held,
    async open() {
      const client = await converse(server.address() as AddressInfo);
      t.teardown(client.close);
      opened += 1;
      await until('its acceptance', () => accepted === opened);
      return client;
    },
  };
}

async function ask(client: Conversation, count = 1): Promise<void> {
  client.send(REQUEST);
  await client.untilAnswered(count);
}

test('a connection above the limit takes the place of the one that was idle longest', async (t) => {
  const { open, connections } = await startLimited(t, 3);
  const [first, second, third] = [await open(), await open(), await open()];
  await ask(second);
  await ask(first); // idle since then, and so the last of them
  second.send('GET / HT'); // a part of a head is no request
  const fourth = await open();
  await until('the end of the third', third.isClosed);
  t.deepEqual([first.isClosed(), second.isClosed()], [false, false]);
  await ask(fourth);
  await open();
  await until('the end of the second', second.isClosed);
  await open();
  await until('the end of the first', first.isClosed);
  t.false(fourth.isClosed());
  t.is(connections.closedForPlace, 3);
  t.is(connections.open.size, 3);
});

test('a connection with a request in progress is never closed for another one', async (t) => {
  const { open, connections, held } = await startLimited(t, 3);
  const busy = [await open(), await open()];
  for (const client of busy) client.send(HELD + HELD); // several at once
  await until('the requests', () => held.length === 4);
  const idle = await open();
  const next = await open();
  await until('the end of the idle one', idle.isClosed);
  next.send(HELD);
  await until('its request', () => held.length === 5);
  const refused = await open();
  await until('the end of the one above the limit', refused.isClosed);
  for (const [index, response] of held.entries()) if (index < 4) response.writeHead(200, { 'content-length': 0 }).end();
  await Promise.all(busy.map((client) => client.untilAnswered(2)));
  t.false(next.isClosed());
  t.is(connections.closedForPlace, 2);
});

test('a connection whose body is still dropped behind its answer is not idle', async (t) => {
  const { open } = await startLimited(t, 1);
  const client = await open();
  client.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n');
  await client.untilAnswered(1);
  const refused = await open();
  await until('the end of the other one', refused.isClosed);
  client.send(Buffer.alloc(100_000));
  await ask(client, 2);
  t.false(client.isClosed());
});

test('a connection is idle again when answers that had to wait for others are sent', async (t) => {
  const { open, held } = await startLimited(t, 1);
  const client = await open();
  client.send(HELD + REQUEST); // the second is answered first, and sent last
  await until('the request', () => held.length === 1);
  held[0]?.writeHead(200, { 'content-length': 0 }).end();
  await client.untilAnswered(2);
  const next = await open();
  await until('the end of the first', client.isClosed);
  await ask(next);
  t.false(next.isClosed());
});

test('closed connections leave nothing behind', async (t) => {
  const { open, connections } = await startLimited(t, 2);
  for (let n = 0; n < 5; n++) {
    const client = await open();
    if (n % 2 > 0) await ask(client);
    client.close();
    await until('its end', () => connections.open.size === 0);
  }
  t.is(connections.closedForPlace, 0);
});
