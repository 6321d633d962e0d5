import test from 'ava';
import { Hushbox, HushboxError } from '../../client/hushbox.ts';
import { breakOff, type Reply, startScriptedServer } from './scripted-server.ts';
import { keyFor, VECTORS } from './vectors.ts';

// In this file the client's clock and its timers run faster. By how much bounds how long this machine may stand still:
// the client waits 30 s for a byte.
const SPEED = 4;
/** Where a minute is waited out. */
const FAST = 20;
/** Where an answer never comes. */
const NO_ANSWER = 8;
let speed = SPEED;
test.beforeEach(() => {
  speed = SPEED;
});
const { setTimeout: sleep } = globalThis;
const startedAt = Date.now();
const now = Date.now;
Date.now = () => startedAt + (now() - startedAt) * speed;
globalThis.setTimeout = ((run: () => void, ms = 0, ...given: []) =>
  sleep(run, ms / speed, ...given)) as typeof setTimeout;

const { fragment: K, kid } = keyFor('dir');
const SEALED = { alg: 'dir', kid };
const LOOKED = { phrase: false, expires_at: '2026-11-24T04:05:00.000Z', sealed: SEALED };
const LOOK: Reply = { body: LOOKED };
const READ = { secret: VECTORS.opens[0]?.jwe, sealed: SEALED };
const CUT = breakOff(JSON.stringify(READ));
const NEVER: Reply = () => {};

/** Answers a look at once: it is not repeated, and in fast time its answer may come too late. */
const answerLook: typeof fetch = async (address, init) =>
  init?.method === 'GET' ? Response.json(LOOKED) : fetch(address, init);

const failure = (status: number, code: string): Reply => ({ status, body: { Error: 'x', code } });

for (const [title, reply] of [
  ['breaks off', CUT],
  ['never comes', NEVER],
  ['is a bad gateway', { status: 502, body: '<h1>Bad gateway</h1>' }],
  ['is that storage failed', failure(503, 'STORAGE_UNAVAILABLE')],
  ['is that something failed', failure(500, 'INTERNAL')],
  ['is a failure of another program', failure(500, 'not_ours')],
  ['is that of nginx for a worker that died', failure(502, 'NO_WORKER')],
  ['is that of nginx for a worker that is silent', failure(504, 'WORKER_TIMEOUT')],
] as [string, Reply][]) {
  test.serial(`a read whose every answer ${title} is repeated for a minute, and then reported`, async (t) => {
    const { base, received } = await startScriptedServer(t, () => reply);
    speed = reply === NEVER ? NO_ANSWER : FAST;
    const reading = new Hushbox(base, { fetch: answerLook }).open(`${base}/secrets/KEY#${K}`);
    await t.throwsAsync(reading, { instanceOf: HushboxError, code: 'CUT_OFF' });
    t.true(received.length > 1 && received.length < 25, `${received.length} requests`);
    t.is(new Set(received.map(({ headers }) => headers['idempotency-key'])).size, 1);
  });

  test.serial(`a read whose first answer ${title} gets the second one`, async (t) => {
    const { base } = await startScriptedServer(t, ({ method }, count) => {
      if (method === 'GET') return LOOK;
      return count === 2 ? reply : { body: READ };
    });
    if (reply === NEVER) speed = NO_ANSWER;
    t.deepEqual(await new Hushbox(base).open(`${base}/secrets/KEY#${K}`), { text: 'x', files: [] });
  });
}

for (const [code, isRepeated] of [
  ['TOO_MANY_REQUESTS', true],
  ['TOO_MANY_TRIES', false],
] as const) {
  test.serial(`after a lost answer ${code} ${isRepeated ? 'is waited for' : 'ends it'}`, async (t) => {
    const { base } = await startScriptedServer(t, ({ method }, count) => {
      if (method === 'GET') return LOOK;
      return count === 2 ? CUT : count === 3 ? failure(429, code) : { body: READ };
    });
    const opened = new Hushbox(base).open(`${base}/secrets/KEY#${K}`);
    if (isRepeated) t.deepEqual(await opened, { text: 'x', files: [] });
    else await t.throwsAsync(opened, { code });
  });
}

for (const code of ['BUSY', 'MASTER_KEY_UNAVAILABLE']) {
  test.serial(`${code} means that nothing was read: it is reported at once, but not after a lost answer`, async (t) => {
    const { base, received } = await startScriptedServer(t, ({ method }) =>
      method === 'GET' ? LOOK : failure(503, code),
    );
    await t.throwsAsync(new Hushbox(base).open(`${base}/secrets/KEY#${K}`), { code });
    t.is(received.length, 2);
    const later = await startScriptedServer(t, ({ method }, count) => {
      if (method === 'GET') return LOOK;
      return count === 2 ? CUT : count === 3 ? failure(503, code) : { body: READ };
    });
    t.deepEqual(await new Hushbox(later.base).open(`${later.base}/secrets/KEY#${K}`), { text: 'x', files: [] });
  });
}

test.serial('a look and a new secret are not repeated: nothing is lost with them', async (t) => {
  for (const reply of [CUT, NEVER]) {
    if (reply === NEVER) speed = NO_ANSWER;
    const { base, received } = await startScriptedServer(t, () => reply);
    const box = new Hushbox(base);
    await t.throwsAsync(box.open(`${base}/secrets/KEY#${K}`), { code: 'UNREACHABLE' });
    await t.throwsAsync(box.send('text'), { code: 'UNREACHABLE' });
    t.is(received.length, 2);
  }
});

test.serial('a repeat that finds the secret gone says so', async (t) => {
  const { base } = await startScriptedServer(t, ({ method }, count) => {
    if (method === 'GET') return LOOK;
    return count === 2 ? CUT : failure(404, 'KEY_NOT_FOUND');
  });
  await t.throwsAsync(new Hushbox(base).open(`${base}/secrets/KEY#${K}`), { code: 'KEY_NOT_FOUND' });
});

test.serial('between two attempts a signal counts', async (t) => {
  const controller = new AbortController();
  const reason = new Error('changed my mind');
  const { base, received } = await startScriptedServer(t, ({ method }) => {
    if (method === 'GET') return LOOK;
    sleep(() => controller.abort(reason), 20);
    return CUT;
  });
  const reading = new Hushbox(base).open(`${base}/secrets/KEY#${K}`, { signal: controller.signal });
  t.is(await t.throwsAsync(reading), reason);
  const count = received.length;
  await new Promise((resolve) => sleep(resolve, 200));
  t.is(received.length, count);
});
