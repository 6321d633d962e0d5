import type { ServerResponse } from 'node:http';
import test, { type ExecutionContext } from 'ava';
import { CompactEncrypt } from 'jose';
import { Hushbox, HushboxError, newIdempotencyKey } from '../../client/hushbox.ts';
import { kidOfPublicKey, proofOf, publicKeyOf, seal } from '../../client/sealing.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { type Received, type Reply, startScriptedServer } from './scripted-server.ts';
import { keyFor, VECTORS } from './vectors.ts';

const KEY = 'awUM7NPCPrt1t6HnvLS644X6szXOo18S9n5ChXlDiN4IZkao';
const EXPIRES = '2026-11-24T04:05:00.000Z';
const { fragment: K, kid: KID } = keyFor('dir');
const { fragment: D, kid: KID_D } = keyFor('ECDH-ES');
const { jwe: JWE = '' } = VECTORS.opens.find(({ alg }) => alg === 'dir') ?? {};
const { jwe: JWE_D = '' } = VECTORS.opens.find(({ alg }) => alg === 'ECDH-ES') ?? {};
const SEALED = { alg: 'dir', kid: KID, proof: true };
const LOOK = { phrase: false, expires_at: EXPIRES, sealed: SEALED };
const READ = { secret: JWE, sealed: SEALED };

const code = (expected: string) => ({ instanceOf: HushboxError, code: expected });

/** What a GET and a POST are answered. */
async function startLiar(t: ExecutionContext, look: unknown, read: unknown = READ) {
  const reply = ({ method }: Received): Reply => ({ body: method === 'GET' ? look : read });
  const { base, received } = await startScriptedServer(t, reply);
  const posts = () => received.filter(({ method }) => method !== 'GET');
  return { base, box: new Hushbox(base), posts, link: `${base}/secrets/${KEY}#${K}` };
}

/** Sealed by somebody who does not have the key of the link, but says otherwise where that is possible. */
async function forge(alg: 'dir' | 'ECDH-ES', kid: string): Promise<string> {
  const other = newIdempotencyKey();
  const to = alg === 'dir' ? { key: other } : { x: await publicKeyOf(other) };
  const [, ...rest] = (await new Blob(await seal({ text: 'forged', files: [] }, to)).text()).split('.');
  const header = alg === 'dir' ? { alg, enc: 'A256GCM', kid } : { alg, enc: 'A256GCM', kid, epk: epkOf(other) };
  return [Buffer.from(JSON.stringify(header)).toString('base64url'), ...rest].join('.');
}

function epkOf(x: string) {
  return { kty: 'OKP', crv: 'X25519', x };
}

test('an honest answer opens: the lies below are what is wrong with the others', async (t) => {
  const { box, posts, link } = await startLiar(t, LOOK);
  t.deepEqual(await box.open(link), { text: 'x', files: [] });
  t.deepEqual(JSON.parse(posts()[0]?.body ?? ''), await proofOf(K));
  const { base, box: asker } = await startLiar(
    t,
    { ...LOOK, sealed: { alg: 'ECDH-ES', kid: KID_D } },
    { secret: JWE_D, sealed: { alg: 'ECDH-ES', kid: KID_D } },
  );
  t.deepEqual(await asker.open(`${base}/secrets/${KEY}#${D}`), { text: 'x', files: [] });
});

const LOOKS: readonly [lie: string, look: object, expected: string][] = [
  ['leaves out that it is sealed', { ...LOOK, sealed: undefined }, 'UNTRUSTED'],
  ['says that it is not sealed', { ...LOOK, sealed: false }, 'UNTRUSTED'],
  ['says that null is the seal', { ...LOOK, sealed: null }, 'UNTRUSTED'],
  ['says only that it is sealed', { ...LOOK, sealed: true }, 'SPOILT_LINK'],
  ['swaps the kid', { ...LOOK, sealed: { ...SEALED, kid: KID_D } }, 'SPOILT_LINK'],
  ['leaves the kid out', { ...LOOK, sealed: { alg: 'dir' } }, 'SPOILT_LINK'],
  ['swaps the algorithm', { ...LOOK, sealed: { ...SEALED, alg: 'ECDH-ES' } }, 'SPOILT_LINK'],
  ['names another algorithm', { ...LOOK, sealed: { ...SEALED, alg: 'none' } }, 'SPOILT_LINK'],
  ['takes the secret for a request', { ...LOOK, sealed: { ...SEALED, alg: 'request' } }, 'SPOILT_LINK'],
];
for (const [lie, look, expected] of LOOKS) {
  test(`a server that ${lie} in the look gets no read, no proof and no phrase`, async (t) => {
    const { box, posts, link } = await startLiar(t, look, { secret: 'a lie' });
    await t.throwsAsync(box.look(link), code(expected));
    await t.throwsAsync(box.open(link, { phrase: 'phrase', idempotencyKey: newIdempotencyKey() }), code(expected));
    t.is(posts().length, 0);
  });
}

const READS: readonly [lie: string, read: () => unknown][] = [
  ['gives text that is not sealed', () => ({ secret: 'a lie' })],
  ['gives text and says that it is sealed', () => ({ secret: 'a lie', sealed: SEALED })],
  ['leaves out that it is sealed', () => ({ secret: JWE })],
  ['swaps the kid', () => ({ secret: JWE, sealed: { ...SEALED, kid: KID_D } })],
  ['swaps the algorithm', () => ({ secret: JWE, sealed: { ...SEALED, alg: 'ECDH-ES' } })],
  ['gives what is sealed to another key', () => ({ secret: JWE_D, sealed: { alg: 'ECDH-ES', kid: KID_D } })],
  ['gives what is sealed to another key, under this kid', () => ({ secret: JWE_D, sealed: SEALED })],
  ['gives no secret', () => ({ sealed: SEALED })],
  ['gives a number', () => ({ secret: 1, sealed: SEALED })],
  ['gives a list', () => [JWE]],
  ['gives null', () => null],
  ['gives no JSON', () => '<h1>hello</h1>'],
  [
    'names another kid, to what is sealed with this key',
    async () => {
      const header = { alg: 'dir', enc: 'A256GCM', kid: KID_D };
      const jwe = await new CompactEncrypt(Buffer.from('x'))
        .setProtectedHeader(header)
        .encrypt(Buffer.from(K, 'base64url'));
      return { secret: jwe, sealed: { ...SEALED, kid: KID_D } };
    },
  ],
  ['forges a JWE', async () => ({ secret: await forge('dir', KID), sealed: SEALED })],
  ['forges a JWE to a public key', async () => ({ secret: await forge('ECDH-ES', KID), sealed: SEALED })],
];
for (const [lie, read] of READS) {
  test(`a server that ${lie} in the read shows nothing`, async (t) => {
    const { box, posts, link } = await startLiar(t, LOOK, await read());
    await t.throwsAsync(box.open(link), code('UNTRUSTED'));
    t.is(posts().length, 1, 'an answer is no lost connection');
  });
}

test('what was read before is checked again when it is read once more, without a look', async (t) => {
  const gone: Reply = { status: 404, body: { Error: 'Key not found', code: 'KEY_NOT_FOUND' } };
  for (const read of [{ secret: 'a lie' }, { secret: JWE_D, sealed: { alg: 'ECDH-ES', kid: KID_D } }]) {
    const { base } = await startScriptedServer(t, ({ method }) => (method === 'GET' ? gone : { body: read }));
    const reading = new Hushbox(base).open(`${base}/secrets/${KEY}#${K}`, { idempotencyKey: newIdempotencyKey() });
    await t.throwsAsync(reading, code('UNTRUSTED'));
  }
});

test('a link without a # is no way to show something sealed', async (t) => {
  const sealed = await startLiar(t, LOOK);
  await t.throwsAsync(sealed.box.open(`${sealed.base}/secrets/${KEY}`), code('SPOILT_LINK'));
  t.is(sealed.posts().length, 0);
  const later = await startLiar(t, { ...LOOK, sealed: undefined });
  await t.throwsAsync(later.box.open(`${later.base}/secrets/${KEY}`), code('UNTRUSTED'));
});

const OTHER_X = 'hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo';
const REQUESTS: readonly [lie: string, look: () => unknown, expected: string][] = [
  ['swaps the public key', async () => ({ expires_at: EXPIRES, kid: await kidOfPublicKey(OTHER_X) }), 'SPOILT_LINK'],
  ['leaves the kid out', () => ({ expires_at: EXPIRES }), 'UNTRUSTED'],
  ['says that it is not answered', () => ({ expires_at: EXPIRES, answered: false }), 'UNTRUSTED'],
  [
    'swaps the kid and says that it is not answered',
    () => ({ expires_at: EXPIRES, answered: false, kid: KID }),
    'SPOILT_LINK',
  ],
  ['gives a kid that is no text', () => ({ expires_at: EXPIRES, kid: [KID_D] }), 'SPOILT_LINK'],
  ['takes the request for a secret', () => ({ ...LOOK, sealed: { alg: 'ECDH-ES', kid: KID_D } }), 'UNTRUSTED'],
];
for (const [lie, look, expected] of REQUESTS) {
  test(`a server that ${lie} of a request gets no answer`, async (t) => {
    const { base, box, posts } = await startLiar(t, await look());
    const link = `${base}/requests/request_key#${VECTORS.x}`;
    await t.throwsAsync(box.lookAtRequest(link), code(expected));
    await t.throwsAsync(box.answer(link, 'the answer'), code(expected));
    t.is(posts().length, 0);
  });
}

test('an answer is sealed to the key in the link: nothing in it is readable', async (t) => {
  const { base, box, posts } = await startLiar(t, { expires_at: EXPIRES, kid: KID_D }, { expires_at: EXPIRES });
  await box.answer(`${base}/requests/request_key#${VECTORS.x}`, 'the answer');
  const { secret, ...rest } = JSON.parse(posts()[0]?.body ?? '');
  t.deepEqual(rest, { sealed: true });
  t.regex(secret, /^[\w-]+\.\.[\w-]{16}\.[\w-]{14}\.[\w-]{22}$/);
});

test('a low-order public key in a link to answer gets no answer, although its kid is right', async (t) => {
  for (const x of VECTORS.lowOrder) {
    const { base, box, posts } = await startLiar(t, { expires_at: EXPIRES, kid: await kidOfPublicKey(x) });
    await t.throwsAsync(box.answer(`${base}/requests/request_key#${x}`, 'the answer'), code('UNTRUSTED'));
    t.is(posts().length, 0);
  }
});

for (const status of [301, 302, 303, 307, 308]) {
  test(`a redirect (${status}) is not followed, and nothing goes to where it leads`, async (t) => {
    const elsewhere = await startScriptedServer(t, () => ({ body: { ...LOOK, ...READ, secret_key: KEY } }));
    const lead: Reply = { status, headers: { location: `${elsewhere.base}/secrets/${KEY}` } };
    const { base, received } = await startScriptedServer(t, () => lead);
    const box = new Hushbox(base, { token: 'token' });
    const link = `${base}/secrets/${KEY}#${K}`;
    await t.throwsAsync(box.look(link), code('UNTRUSTED'));
    await t.throwsAsync(box.send('text'), code('UNTRUSTED'));
    await t.throwsAsync(box.answer(`${base}/requests/request_key#${VECTORS.x}`, 'text'), code('UNTRUSTED'));
    const later = await startScriptedServer(t, ({ method }) => (method === 'GET' ? { body: LOOK } : lead));
    await t.throwsAsync(box.open(`${later.base}/secrets/${KEY}#${K}`), code('UNTRUSTED'));
    t.is(later.received.length, 2);
    t.is(received.length, 3);
    t.is(elsewhere.received.length, 0);
  });
}

test('a link is made only of a key that cannot change what the link means', async (t) => {
  for (const key of [undefined, 1, '', 'a#b', 'a/b', '../x', 'a?b', 'a b', 'a%23', 'a\n']) {
    const { box } = await startLiar(t, {}, { secret_key: key, request_key: key, expires_at: EXPIRES });
    await t.throwsAsync(box.send('text'), code('UNTRUSTED'), String(key));
    await t.throwsAsync(box.request(), code('UNTRUSTED'), String(key));
  }
  const { box } = await startLiar(t, {}, { secret_key: 'key', request_key: 'key', expires_at: 1 });
  await t.throwsAsync(box.send('text'), code('UNTRUSTED'));
});

const FAILURES: readonly [what: string, reply: Reply, expected: object][] = [
  [
    'a code of ours',
    { status: 404, body: { Error: 'x', code: 'KEY_NOT_FOUND' } },
    { code: 'KEY_NOT_FOUND', status: 404 },
  ],
  [
    'a wait',
    { status: 503, body: { Error: 'x', code: 'BUSY' }, headers: { 'retry-after': '7' } },
    { code: 'BUSY', retryAfterSeconds: 7 },
  ],
  [
    'a code that only the client can give',
    { status: 404, body: { Error: 'x', code: 'SPOILT_LINK' } },
    { code: 'UNTRUSTED' },
  ],
  ['a code that is no code', { status: 404, body: { Error: 'x', code: 'toString' } }, { code: 'UNTRUSTED' }],
  ['an error page of somebody else', { status: 404, body: '<h1>Not found</h1>' }, { code: 'UNTRUSTED' }],
  ['an error that is a list', { status: 400, body: ['x'] }, { code: 'UNTRUSTED' }],
  ['an error page of a proxy', { status: 502, body: '<h1>Bad gateway</h1>' }, { code: 'UNREACHABLE', status: 502 }],
  ['an empty error of a proxy', { status: 504, body: '' }, { code: 'UNREACHABLE', status: 504 }],
  ['no secret', { status: 204 }, { code: 'UNTRUSTED' }],
  [
    'control characters',
    { status: 404, body: { Error: 'a\u001b[31m\u202eb\nc', code: 'X_Y' } },
    { code: 'X_Y', message: 'a [31m b c' },
  ],
  ['a long story', { status: 404, body: { Error: 'a'.repeat(1e6), code: 'X' } }, { message: 'a'.repeat(300) }],
  ['no sentence', { status: 404, body: { code: 'KEY_NOT_FOUND' } }, { code: 'KEY_NOT_FOUND' }],
];
for (const [what, reply, expected] of FAILURES) {
  test(`an answer with ${what} becomes an error`, async (t) => {
    const { base, received } = await startScriptedServer(t, () => reply);
    const link = `${base}/secrets/${KEY}`;
    const error = await t.throwsAsync(new Hushbox(base).look(link), { instanceOf: HushboxError });
    t.like(error, expected);
    t.false(JSON.stringify([error, error?.message]).includes(KEY));
    t.is(received.length, 1);
  });
}

test('an answer without end is broken off', async (t) => {
  const endless = (to: ServerResponse) => {
    const more = () => {
      while (!to.destroyed && to.write('a'.repeat(1 << 20)));
    };
    to.on('drain', more);
    more();
  };
  const { base } = await startScriptedServer(t, () => endless);
  await t.throwsAsync(new Hushbox(base).look(`${base}/secrets/${KEY}#${K}`), code('UNTRUSTED'));
});

test('where nobody listens, the error shows why, and no address', async (t) => {
  const base = `http://127.0.0.1:${await findFreePort()}`;
  const error = await t.throwsAsync(new Hushbox(base).open(`${base}/secrets/${KEY}#${K}`), code('UNREACHABLE'));
  t.is(error?.message, 'The server does not answer. (ECONNREFUSED)');
  t.is(error?.cause, undefined);
});

test('a signal ends every wait, with its own reason', async (t) => {
  const { base, received } = await startScriptedServer(t, ({ method }) =>
    method === 'GET' ? { body: LOOK } : () => {},
  );
  const box = new Hushbox(base);
  const link = `${base}/secrets/${KEY}#${K}`;
  const reason = new Error('changed my mind');
  const aborted = { signal: AbortSignal.abort(reason) };
  t.is(await t.throwsAsync(box.look(link, aborted)), reason);
  t.is(await t.throwsAsync(box.send('text', aborted)), reason);
  t.is(received.length, 0);
  const silent = await startScriptedServer(t, () => () => {});
  const looking = box.look(`${silent.base}/secrets/${KEY}`, { signal: AbortSignal.timeout(200) });
  t.is((await t.throwsAsync(looking))?.name, 'TimeoutError');
  const controller = new AbortController();
  const reading = t.throwsAsync(box.open(link, { signal: controller.signal }));
  while (received.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort(reason);
  t.is(await reading, reason);
});

test('requests carry no cookie and no referrer, and ask for JSON', async (t) => {
  const { base, received } = await startScriptedServer(t, ({ method }) => ({ body: method === 'GET' ? LOOK : READ }));
  await new Hushbox(base).open(`${base}/secrets/${KEY}#${K}`);
  for (const { headers, path } of received) {
    t.is(path, `/secrets/${KEY}`);
    t.like(headers, { accept: 'application/json', cookie: undefined, referer: undefined, authorization: undefined });
  }
  t.is(received[1]?.headers['content-type'], 'application/json');
});

test('progress runs from little to all', async (t) => {
  const { base } = await startScriptedServer(t, ({ method }) => ({
    body: method === 'GET' ? LOOK : READ,
    headers: { 'content-length': String(Buffer.byteLength(JSON.stringify(method === 'GET' ? LOOK : READ))) },
  }));
  const fractions: number[] = [];
  await new Hushbox(base).open(`${base}/secrets/${KEY}#${K}`, { onProgress: (fraction) => fractions.push(fraction) });
  t.is(fractions.at(-1), 1);
  t.deepEqual(fractions, fractions.toSorted());
});

test('an error has a sentence and numbers, or none', async (t) => {
  const lies: [members: object, retryAfter: string][] = [
    [{ Error: { toString: 1 }, tries_left: { toLocaleString: 1 } }, '99999999999999999999'],
    [{ Error: ['x'], tries_left: '5' }, '-5'],
    [{ tries_left: 1.5 }, '1e9'],
  ];
  for (const [members, retryAfter] of lies) {
    const body = { ...members, code: 'WRONG_PHRASE' };
    const { base } = await startScriptedServer(t, () => ({
      status: 403,
      headers: { 'retry-after': retryAfter },
      body,
    }));
    const error = (await t.throwsAsync(new Hushbox(base).send('x'), code('WRONG_PHRASE'))) as HushboxError;
    t.is(error.message, 'WRONG_PHRASE');
    t.is(error.triesLeft, undefined);
    t.is(error.retryAfterSeconds, undefined);
  }
});

test('what no header can carry is refused before anything is sent, and is no lost connection', async (t) => {
  const { base, received } = await startScriptedServer(t, () => ({ status: 500 }));
  const box = new Hushbox(base, { token: 'токен' });
  await t.throwsAsync(box.send('x'), code('UNAUTHORIZED'));
  await t.throwsAsync(box.request(), code('UNAUTHORIZED'));
  t.is(received.length, 0);
  const liar = await startLiar(t, LOOK);
  await t.throwsAsync(liar.box.open(liar.link, { idempotencyKey: 'ключ'.repeat(10) }), code('INVALID_REQUEST'));
  t.is(liar.posts().length, 0);
});
