import { once } from 'node:events';
import { createServer, type RequestListener, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { send } from '../support/http/client.ts';
import { converse } from '../support/http/raw.ts';
import { type Nginx, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { echo, startUpstream } from '../support/nginx/upstream.ts';
import { remember } from '../support/process/leaks.ts';
import { start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

// Calls out and the status through nginx: what is special about them there. What the service does with them: test/proxy/.

const MIB = 1024 * 1024;

async function startWith(t: ExecutionContext, listener: Parameters<typeof startUpstream>[3]): Promise<Nginx> {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, listener);
  return startNginx(t, { sockets, workers: 1 });
}

/** nginx before a program that may call one destination. */
async function startProgram(t: ExecutionContext, listener: RequestListener): Promise<{ nginx: Nginx; origin: string }> {
  const destination = createServer(listener).listen(0, '127.0.0.1');
  await once(destination, 'listening');
  t.teardown(() => {
    destination.closeAllConnections();
    destination.close();
  });
  const { port } = destination.address() as AddressInfo;
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  const env = { SOCKET_DIR: sockets, WORKERS: '1', EGRESS_ALLOW: `127.0.0.1:${port}`, NODE_ENV: 'development' };
  await start(t, { folder, env });
  return { nginx: await startNginx(t, { sockets, workers: 1 }), origin: `http://127.0.0.1:${port}` };
}

for (const [path, way] of [
  ['/proxy', 'with a length'],
  ['/proxy/', 'in chunks'],
  ['/proxy/?x=1', 'with a length'],
] as const) {
  withNginx(`an answer ${way} to ${path} arrives piece by piece, as the worker sends it`, async (t) => {
    const pieces = new PassThrough();
    const nginx = await startWith(t, (_request, response) => {
      if (way === 'with a length') response.setHeader('content-length', 'first last'.length);
      pieces.pipe(response);
    });
    pieces.write('first ');
    const outgoing = sendRequest(`${nginx.base}${path}`, { method: 'POST' }).end();
    const [response] = await once(outgoing, 'response');
    t.is(String((await once(response, 'data'))[0]), 'first ');
    pieces.end('last'); // not before the first one is there
    t.is(String((await once(response, 'data'))[0]), 'last');
  });
}

withNginx('a body goes to the worker piece by piece, and may be longer than any other', async (t) => {
  let received = 0;
  const nginx = await startWith(t, (request, response) => {
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    request.on('end', () => response.end('taken'));
  });
  const outgoing = sendRequest(`${nginx.base}/proxy/`, { method: 'POST' });
  const answered = once(outgoing, 'response');
  outgoing.write('x');
  await until('the first byte', () => received === 1);
  const piece = Buffer.alloc(MIB);
  for (let sent = 0; sent < 40; sent++) if (!outgoing.write(piece)) await once(outgoing, 'drain');
  outgoing.end();
  const [response] = await answered;
  t.is(response.statusCode, 200);
  t.is(received, 40 * MIB + 1);
  response.resume();
  const large = { body: Buffer.alloc(68 * MIB) };
  t.is((await send(nginx.base, '/server/', large)).status, 413, 'elsewhere 67 MiB are the most');
});

withNginx('a destination may take a body more slowly than a worker may', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, (request, response) => {
    if (request.url !== '/proxy/') return; // of any other body, nothing is taken
    setTimeout(() => request.resume().on('end', () => response.end()), 1_000);
  });
  const soon = (_name: string, text: string) => text.replace('proxy_send_timeout 20s', 'proxy_send_timeout 200ms');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: soon });
  const large = { body: 'x'.repeat(12 * MIB) };
  t.is((await send(nginx.base, '/proxy/', large)).status, 200);
  await send(nginx.base, '/generate', large).catch(() => {}); // broken off, mostly
  await until('its line', () => nginx.requests().length === 2);
  t.like(nginx.requests()[1], { route: '/generate', status: 504 });
});

withNginx('when a client leaves, its call ends, answered or not; elsewhere the worker continues', async (t) => {
  const begun: string[] = [];
  const left: string[] = [];
  const nginx = await startWith(t, (request, response) => {
    const url = request.url as string;
    begun.push(url);
    response.on('close', () => left.push(url));
    if (url.endsWith('?answered')) response.flushHeaders();
  });
  for (const path of ['/generate', '/proxy/', '/proxy/?answered']) {
    const conversation = await converse({ port: nginx.port });
    conversation.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`);
    await until('the request', () => begun.includes(path));
    conversation.reset();
    if (path !== '/generate') await until('the end of the call', () => left.includes(path));
  }
  await sleep(100);
  t.deepEqual(left, ['/proxy/', '/proxy/?answered']);
});

withNginx('an answer that breaks off at the worker is a broken one for the client', async (t) => {
  const nginx = await startWith(t, (request, response) => {
    if (request.headers['x-way'] === 'length') response.setHeader('content-length', 100);
    response.write('half');
    setTimeout(() => response.destroy(), 50);
  });
  for (const way of ['length', 'chunks']) {
    const options = { method: 'POST', headers: { 'x-way': way } };
    await t.throwsAsync(send(nginx.base, '/proxy/', {}, options), { message: /broke off|aborted/ }, way);
  }
});

withNginx(
  "nginx ignores instructions in a destination's answer; date, server and the other headers arrive",
  async (t) => {
    const headers = {
      'x-accel-redirect': '/generate',
      'x-accel-limit-rate': '1',
      'x-accel-expires': '1000',
      'x-accel-buffering': 'yes',
      'x-accel-charset': 'koi8-r',
      date: 'Thu, 01 Jan 1970 00:00:00 GMT',
      server: 'somebody',
      'content-type': 'text/html; charset=utf-8',
      'x-more': 'y',
      'x-large': 'x'.repeat(15_000),
    };
    const body = 'x'.repeat(10_000);
    const nginx = await startWith(t, (request, response) => {
      response.writeHead(request.url === '/proxy/' ? 203 : 500, headers).end(body);
    });
    const answer = await send(nginx.base, '/proxy/', {});
    t.is(answer.status, 203);
    t.is(answer.body.text, body);
    const { date, server, 'content-type': type, 'x-more': more, 'x-large': large } = headers;
    t.like(answer.headers, { date, server, 'content-type': type, 'x-more': more, 'x-large': large });
    t.deepEqual(
      Object.keys(answer.headers).filter((name) => name.startsWith('x-accel')),
      [],
    );
  },
);

withNginx("an error of a destination or of the worker is not taken for nginx's own", async (t) => {
  const nginx = await startWith(t, (request, response) => {
    response.writeHead(Number(request.headers['x-status']), { 'x-of': 'the worker' }).end('a text of its own');
  });
  for (const status of [400, 401, 404, 407, 413, 429, 500, 502, 503, 504, 508]) {
    const answer = await send(nginx.base, '/proxy/', {}, { method: 'POST', headers: { 'x-status': `${status}` } });
    t.like(answer, { status, body: { text: 'a text of its own' }, headers: { 'x-of': 'the worker' } });
  }
});

withNginx('a call that a worker broke off is not made again', async (t) => {
  const sockets = await temporaryFolder(t);
  let calls = 0;
  for (const number of [1, 2]) {
    await startUpstream(t, sockets, number, (request) => {
      calls += 1;
      request.socket.destroy();
    });
  }
  const nginx = await startNginx(t, { sockets });
  for (let n = 1; n <= 6; n++) {
    t.like(await send(nginx.base, '/proxy/', { n }), { status: 502, body: { code: 'NO_WORKER' } });
    t.is(calls, n);
  }
});

withNginx(
  'the worker receives the headers that Connection names, because it must not send them on; elsewhere it does not',
  async (t) => {
    const nginx = await startWith(t, echo);
    for (const [path, expected] of [
      ['/proxy/', 'x-own, close'],
      ['/generate', undefined],
    ] as const) {
      const conversation = await converse({ port: nginx.port });
      conversation.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: x-own, close\r\nX-Own: y\r\n\r\n`);
      await conversation.untilAnswered(1);
      const { headers } = JSON.parse(conversation.answers()[0]?.text ?? '{}');
      t.is(headers.connection, expected);
      conversation.reset();
    }
  },
);

withNginx(
  'a client that is answered before it has sent the body gets the whole answer, from the worker or a destination',
  async (t) => {
    const answer = 'x'.repeat(300_000);
    const { nginx, origin } = await startProgram(t, (_request, response) => void response.writeHead(403).end(answer));
    for (const [destination, status, length] of [
      [origin, 403, answer.length],
      ['http://10.0.0.1/', 403, undefined],
    ] as const) {
      const outgoing = sendRequest(`${nginx.base}/proxy/`, { method: 'POST', headers: { destination } });
      outgoing.on('error', () => {}); // of what is still sent then
      const answered = once(outgoing, 'response');
      for (let sent = 0; sent < 12; sent++) outgoing.write(Buffer.alloc(MIB));
      const [response] = await answered;
      t.is(response.statusCode, status);
      const received = await text(response);
      if (length === undefined) t.is(JSON.parse(received).code, 'DESTINATION_FORBIDDEN');
      else t.is(received.length, length);
      outgoing.destroy();
    }
  },
);

withNginx('the first call of a user, and one to a destination, through nginx; neither is in a log', async (t) => {
  const seen: { headers: NodeJS.Dict<string | string[]>; body: string }[] = [];
  const { nginx, origin } = await startProgram(t, async (request, response) => {
    seen.push({ headers: request.headers, body: await text(request) });
    response.writeHead(418, { 'x-accel-redirect': '/generate', 'set-cookie': 'a=b' }).end('from there');
  });

  t.is((await send(nginx.base, '/proxy/', { a: 1 })).status, 201);
  const { body } = await send(nginx.base, '/server/');
  t.like(Object.values(body)[0], { payload: { user: 'username', date: new Date().toISOString().slice(0, 10) } });

  const url = `${origin}/hooks/a-path-worth-hiding?token=a-token-worth-hiding`;
  remember('a-path-worth-hiding');
  remember('a-token-worth-hiding');
  const headers = { destination: url, connection: 'x-own', 'x-own': 'mine', 'x_my.name': 'kept', cookie: 'c=d' };
  const answer = await send(nginx.base, '/proxy/', { a: 'ключ' }, { headers });
  t.like(answer, { status: 418, body: { text: 'from there' } });
  t.is(answer.headers['set-cookie'], undefined);
  t.is(answer.headers['x-accel-redirect'], undefined);
  t.is(seen[0]?.body, '{"a":"ключ"}');
  t.like(seen[0]?.headers, { 'x_my.name': 'kept', 'x-own': undefined, cookie: undefined, destination: undefined });
  t.like(seen[0]?.headers, { 'x-forwarded-for': undefined, 'x-forwarded-proto': undefined, 'x-real-ip': undefined });
  t.regex(String(seen[0]?.headers.via), /^1\.1 hushbox-[\da-f]{8}$/);
  t.regex(String(seen[0]?.headers['x-my-jwt']), /^[\w-]+\.[\w-]+\.[\w-]{86}$/);
  remember(String(seen[0]?.headers['x-my-jwt']));
  await until('the last line', () => nginx.requests().length === 3);
  const routes = nginx.requests().map(({ route, status }) => `${route} ${status}`);
  t.deepEqual(routes, ['/proxy 201', '/server 200', '/proxy 418']);
});

withNginx('the status passes: for programs, as a page, and with what the page needs', async (t) => {
  const { nginx } = await startProgram(t, (_request, response) => void response.end());
  const figures = await send(nginx.base, '/status');
  t.like(figures, { status: 200, headers: { vary: 'accept' } });
  t.deepEqual(Object.keys(figures.body), ['started_at', 'uptime_seconds', 'requests']);
  const page = await send(nginx.base, '/status/', undefined, { headers: { accept: 'text/html' } });
  t.like(page.headers, { vary: 'accept, accept-language, cookie', 'content-type': 'text/html; charset=utf-8' });
  t.is((await send(nginx.base, '/assets/status.js')).status, 200);
  await until('the last line', () => nginx.requests().length === 3);
  t.deepEqual(
    nginx.requests().map(({ route }) => route),
    ['/status', '/status', '/assets/status.js'],
  );
});
