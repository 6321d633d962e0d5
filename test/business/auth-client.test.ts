import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { type AuthClient, type AuthClientParts, createAuthClient } from '../../src/business/auth-client.ts';
import type { Credentials } from '../../src/http/caller.ts';
import { describeError } from '../../src/ops/log.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

type Call = { method: string; url: string; headers: IncomingMessage['headers']; body: unknown };
type Answer = (response: ServerResponse, call: number) => void;
type World = AuthClient & { calls: Call[]; outcomes: string[] };

const TOKEN = 'a-token-of-this-test';
const CREDENTIALS: Credentials = { token: TOKEN, scheme: 'token', cookie: undefined, proof: undefined };
const SENT = { method: 'GET', url: 'http://127.0.0.1:8000/data' };
const YES = { authenticated: true, user_id: 'u', email: 'a@example.com', role: 'member', session_id: 's' };
const CALLER = { userId: 'u', email: 'a@example.com', role: 'member', sessionId: 's' };

function answerWith(body: unknown, status = 200): Answer {
  return (response) => {
    response.statusCode = status;
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

/** A real server, and a client that asks it. */
async function start(t: ExecutionContext, answer: Answer, parts: Partial<AuthClientParts> = {}): Promise<World> {
  const calls: Call[] = [];
  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request;
    calls.push({ method, url, headers, body: JSON.parse(await text(request)) });
    answer(response, calls.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const outcomes: string[] = [];
  const client = createAuthClient({
    address: { protocol: 'http:', hostname: '127.0.0.1', port: (server.address() as AddressInfo).port },
    internalToken: undefined,
    onCall: (outcome) => outcomes.push(outcome),
    deadlineMs: 20_000,
    ...parts,
  });
  t.teardown(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return { ...client, calls, outcomes };
}

test('a yes says who the caller is; each request is asked about, under an id of its own', async (t) => {
  const { ask, calls, outcomes } = await start(t, answerWith({ ...YES, more: 1 }));
  for (let left = 2; left > 0; left--) t.deepEqual(await ask(CREDENTIALS, SENT), CALLER as never);
  t.deepEqual(outcomes, ['accepted', 'accepted']);
  t.is(calls.length, 2);
  t.like(calls[0], { method: 'POST', url: '/validateToken', body: { token: TOKEN } });
  t.is(calls[0]?.headers.authorization, undefined);
  const ids = calls.map(({ headers }) => headers['hushbox-call-id'] as string);
  t.true(ids.every((id) => /^[\w-]{22}$/.test(id)));
  t.not(ids[0], ids[1]);
});

test('cookies are passed on as they are, a proof only under its scheme, and the internal token if there is one', async (t) => {
  const { ask, calls } = await start(t, answerWith(YES), { internalToken: 'internal-token-of-this-test' });
  await ask({ token: TOKEN, scheme: 'bearer', cookie: 'a="b"; c=é', proof: 'p' }, SENT);
  await ask({ token: TOKEN, scheme: 'dpop', cookie: undefined, proof: 'p' }, SENT);
  t.deepEqual(
    calls.map(({ body }) => body),
    [
      { token: TOKEN, cookie: 'a="b"; c=é' },
      { token: TOKEN, dpop: { proof: 'p', ...SENT } },
    ],
  );
  t.is(calls[0]?.headers.authorization, 'Bearer internal-token-of-this-test');
});

test('the scheme of proofs without a proof is a no that nobody has to be asked for', async (t) => {
  const { ask, calls } = await start(t, answerWith(YES));
  await t.throwsAsync(ask({ ...CREDENTIALS, scheme: 'dpop' }, SENT), { code: 'UNAUTHORIZED' });
  t.deepEqual(calls, []);
});

test('a no is one, with its code where that is known', async (t) => {
  for (const [code, expected] of [
    ['UNAUTHORIZED', 'UNAUTHORIZED'],
    ['REPLAY_DETECTED', 'REPLAY_DETECTED'],
    ['SOMETHING_NEW', 'UNAUTHORIZED'],
    [undefined, 'UNAUTHORIZED'],
  ]) {
    const { ask, calls, outcomes } = await start(t, answerWith({ authenticated: false, code, ...CALLER }));
    await t.throwsAsync(ask(CREDENTIALS, SENT), { code: expected as string });
    t.is(calls.length, 1);
    t.deepEqual(outcomes, ['refused']);
  }
});

const NONSENSE: readonly [title: string, answer: Answer][] = [
  ['no JSON', answerWith('yes')],
  ['nothing', answerWith('')],
  ['null', answerWith('null')],
  ['a list', answerWith([YES])],
  ['an empty object', answerWith({})],
  ['text for true', answerWith({ ...YES, authenticated: 'true' })],
  ['1 for true', answerWith({ ...YES, authenticated: 1 })],
  ['nobody', answerWith({ authenticated: true })],
  ['an empty id', answerWith({ ...YES, user_id: '' })],
  ['no session', answerWith({ ...YES, session_id: undefined })],
  ['an unknown role', answerWith({ ...YES, role: 'owner' })],
  ['an address that is no text', answerWith({ ...YES, email: { $ne: '' } })],
  ['another status', answerWith(YES, 201)],
  ['a redirect', (response) => response.writeHead(307, { location: '/validateToken' }).end()],
  ['401', answerWith({ code: 'UNAUTHORIZED' }, 401)],
  ['404', answerWith({ code: 'NOT_FOUND' }, 404)],
  ['503', answerWith({ code: 'STORAGE_UNAVAILABLE' }, 503)],
  ['too much', answerWith(JSON.stringify({ ...YES, more: 'x'.repeat(100_000) }))],
];
for (const [title, answer] of NONSENSE) {
  test(`is neither a yes nor a no, and is asked once: ${title}`, async (t) => {
    const { ask, calls, outcomes } = await start(t, answer);
    const error = await t.throwsAsync(ask(CREDENTIALS, SENT), { code: 'AUTH_UNAVAILABLE' });
    t.is((error as { retryAfterSeconds?: number }).retryAfterSeconds, 1);
    t.is(calls.length, 1);
    t.deepEqual(outcomes, ['unavailable']);
    t.false(JSON.stringify(describeError(error)).includes(TOKEN));
  });
}

test('what was not answered is asked once more, under the same id', async (t) => {
  const { ask, calls, outcomes } = await start(t, (response, call) => {
    if (call === 1) response.socket?.resetAndDestroy();
    else answerWith(YES)(response, call);
  });
  t.deepEqual(await ask(CREDENTIALS, SENT), CALLER as never);
  t.deepEqual(outcomes, ['repeated', 'accepted']);
  t.is(calls.length, 2);
  t.is(calls[0]?.headers['hushbox-call-id'], calls[1]?.headers['hushbox-call-id']);
  t.deepEqual(calls[0]?.body, calls[1]?.body);
});

test('an answer that breaks off is none, and is asked for once more and no more', async (t) => {
  const { ask, calls, outcomes } = await start(t, (response) => {
    response.writeHead(200, { 'content-length': 1000 }).write(JSON.stringify(YES));
    setImmediate(() => response.destroy());
  });
  await t.throwsAsync(ask(CREDENTIALS, SENT), { code: 'AUTH_UNAVAILABLE' });
  t.is(calls.length, 2);
  t.deepEqual(outcomes, ['repeated', 'unavailable']);
});

test('one deadline covers both attempts, an answer that trickles, and waiting for a connection', async (t) => {
  const trickle: Answer = async (response) => {
    response.writeHead(200).flushHeaders();
    for (const letter of JSON.stringify(YES)) {
      response.write(letter);
      await sleep(100);
    }
  };
  for (const answer of [trickle, () => {}]) {
    const { ask, outcomes } = await start(t, answer, { deadlineMs: 300 });
    const startedAt = performance.now();
    const all = await Promise.allSettled(Array.from({ length: 100 }, () => ask(CREDENTIALS, SENT)));
    t.true(performance.now() - startedAt < 5_000);
    t.true(all.every((one) => one.status === 'rejected' && one.reason.code === 'AUTH_UNAVAILABLE'));
    t.is(outcomes.filter((outcome) => outcome === 'repeated').length, 0);
  }
});

test('where nobody listens, that is told at once', async (t) => {
  const socketPath = join(await temporaryFolder(t), 'nobody.sock');
  const { ask, outcomes } = await start(t, () => {}, { address: { socketPath } });
  await t.throwsAsync(ask(CREDENTIALS, SENT), { code: 'AUTH_UNAVAILABLE' });
  t.deepEqual(outcomes, ['repeated', 'unavailable']);
});
