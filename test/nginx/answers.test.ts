import type { ExecutionContext } from 'ava';
import { converse, type RawAnswer } from '../support/http/raw.ts';
import { type Nginx, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { startUpstream } from '../support/nginx/upstream.ts';
import { until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

async function ask(nginx: Nginx, request: string): Promise<RawAnswer> {
  const conversation = await converse({ port: nginx.port });
  conversation.send(request);
  await conversation.untilAnswered(1);
  const [answer] = conversation.answers();
  conversation.reset();
  if (!answer) throw new Error(`no answer to ${request.slice(0, 80)}`);
  return answer;
}

/** An answer of nginx's own, in the shape and with the headers of the service's. */
function expectOwn(
  t: ExecutionContext,
  { status, headers, text }: RawAnswer,
  expected: [number, string],
  what: string,
): void {
  const { Error: sentence, code, request_id, ...others } = JSON.parse(text);
  t.deepEqual([status, code], expected, what);
  t.true(sentence.length > 10);
  t.deepEqual(others, {});
  t.regex(request_id, UUID);
  t.is(headers.get('x-request-id'), request_id);
  t.is(headers.get('content-type'), 'application/json; charset=utf-8');
  t.is(headers.get('cache-control'), 'no-store');
  t.is(headers.get('x-content-type-options'), 'nosniff');
  t.is(headers.get('referrer-policy'), 'no-referrer');
  t.is(headers.get('connection'), 'close');
  t.is(headers.get('server'), 'nginx');
  t.is(headers.has('retry-after'), [429, 502, 503, 504].includes(status), what);
  t.is(headers.has('allow'), status === 405, what);
}

const get = (path: string, headers = ''): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;

withNginx("nginx's own answers have our shape and headers, and the codes of the service", async (t) => {
  const nginx = await startNginx(t, { sockets: await temporaryFolder(t) });
  const ids = new Set<string>();
  const cases: [number, string, string][] = [
    [400, 'INVALID_REQUEST', 'NONSENSE\r\n\r\n'],
    [400, 'INVALID_REQUEST', get('/%zz')],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.1\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/2.0\r\n\r\n'],
    [400, 'INVALID_REQUEST', 'GET / HTTP/1.2\r\nHost: x\r\n\r\n'],
    [400, 'INVALID_REQUEST', get('/', 'Transfer-Encoding: gzip\r\n')],
    [404, 'NOT_FOUND', get('/metrics')],
    [404, 'NOT_FOUND', get('/metrics/?x')],
    [404, 'NOT_FOUND', get('//Metrics')],
    [404, 'NOT_FOUND', get('/a/..//%6detrics')],
    [404, 'NOT_FOUND', 'POST /validateToken HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}'],
    [404, 'NOT_FOUND', get('/.own-error')],
    [405, 'METHOD_NOT_ALLOWED', 'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n'],
    [413, 'TOO_LARGE', `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${67 * 1024 * 1024 + 1}\r\n\r\n`],
    [417, 'EXPECTATION_FAILED', get('/', 'Expect: a-miracle\r\n')],
    [431, 'HEADERS_TOO_LARGE', get(`/${'a'.repeat(20_000)}`)],
    [431, 'HEADERS_TOO_LARGE', get('/', `A: ${'a'.repeat(20_000)}\r\n`)],
    [502, 'NO_WORKER', get('/')],
  ];
  for (const [status, code, request] of cases) {
    const answer = await ask(nginx, request);
    expectOwn(t, answer, [status, code], request.slice(0, 60));
    ids.add(answer.headers.get('x-request-id') ?? '');
  }
  t.is(ids.size, cases.length);
  await until('the log', () => nginx.requests().length >= cases.length);
  // One whose body is still read is logged later.
  const logged = nginx.requests().map(({ status, request_id }) => `${status} ${ids.has(String(request_id))}`);
  t.deepEqual(logged.sort(), cases.map(([status]) => `${status} true`).sort());
});

withNginx('an answer to HEAD has the headers alone', async (t) => {
  const nginx = await startNginx(t, { sockets: await temporaryFolder(t) });
  const conversation = await converse({ port: nginx.port }, { isHead: true });
  conversation.send('HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
  await conversation.untilAnswered(1);
  await conversation.settle();
  t.deepEqual([conversation.answers()[0]?.status, conversation.rest()], [404, '']);
});

withNginx('a client that asks too much gets 429, another one is served meanwhile', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, (_request, response) => void response.end());
  const few = (_name: string, text: string) =>
    text.replace('rate=2000r/s', 'rate=1r/m').replace('burst=4000', 'burst=3');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: few });
  for (let n = 0; n < 4; n++) t.is((await ask(nginx, get('/x'))).status, 200);
  expectOwn(t, await ask(nginx, get('/x')), [429, 'TOO_MANY_REQUESTS'], 'rate');
  const other = await converse({ port: nginx.port, localAddress: '127.0.0.2' });
  other.send(get('/x'));
  await other.untilAnswered(1);
  t.is(other.answers()[0]?.status, 200);
});

withNginx('a client with too many requests under way gets 429', async (t) => {
  const sockets = await temporaryFolder(t);
  let waiting = 0;
  await startUpstream(t, sockets, 1, () => {
    waiting += 1;
  });
  const few = (_name: string, text: string) => text.replace('connections 512', 'connections 2');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: few });
  const [one, two] = [await converse({ port: nginx.port }), await converse({ port: nginx.port })];
  one.send(get('/x'));
  two.send(get('/x'));
  await until('two requests under way', () => waiting === 2);
  expectOwn(t, await ask(nginx, get('/x')), [429, 'TOO_MANY_REQUESTS'], 'connections');
  one.reset();
  two.reset();
});

withNginx('a worker that does not answer in time is 504, one that hangs up 502', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, (request) => {
    if (request.url === '/broken') request.socket.destroy();
  });
  const soon = (_name: string, text: string) => text.replace('proxy_read_timeout 70s', 'proxy_read_timeout 3s');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: soon });
  expectOwn(t, await ask(nginx, get('/slow')), [504, 'WORKER_TIMEOUT'], 'silence');
  expectOwn(t, await ask(nginx, get('/broken')), [502, 'NO_WORKER'], 'reset');
});

withNginx('a client that is too slow with its head or body is closed', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, () => {});
  const soon = (_name: string, text: string) =>
    text.replace(/client_(header|body)_timeout \d+s/g, 'client_$1_timeout 300ms');
  const nginx = await startNginx(t, { sockets, workers: 1, edit: soon });
  for (const beginning of [
    '',
    'GET / HT',
    'GET / HTTP/1.1\r\nHost:',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1',
  ]) {
    const conversation = await converse({ port: nginx.port });
    conversation.send(beginning);
    await until('the end of the connection', () => conversation.isClosed());
    t.deepEqual(conversation.answers(), [], beginning);
  }
});
