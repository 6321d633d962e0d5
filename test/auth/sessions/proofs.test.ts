import { createHmac, randomUUID } from 'node:crypto';
import test from 'ava';
import { exportJWK } from 'jose';
import { ALGORITHMS, verifyProof } from '../../../src/auth/sessions/proofs.ts';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';
import { type AuthServer, athOf, type Client, createClient, startAuth } from './support.ts';

const URL = 'https://hush.example/data';
const AT = Date.UTC(2066, 0, 1);
const OK = { authenticated: true };
const NO = { authenticated: false, code: 'UNAUTHORIZED' };

/** A log-in that binds the token to the client's key. */
async function logInWith(server: AuthServer, client: Client): Promise<string> {
  const proof = await client.prove({ htm: 'POST', htu: `${server.base}/login` });
  return server.logIn({ dpop: proof });
}

function proofFor(client: Client, token: string, claims: Record<string, unknown> = {}, head = {}): Promise<string> {
  return client.prove({ htm: 'GET', htu: URL, ath: athOf(token), ...claims }, head);
}

/** Of a business service: the proof that came, with the method and the URL of the request. */
function dpop(proof: string, method = 'GET', url = URL): object {
  return { dpop: { proof, method, url } };
}

for (const engine of ENGINES) {
  const { name, test } = engine;

  test(`${name}: a bound token is good with a proof by its key, and only with one`, async (t) => {
    const server = await startAuth(t, engine);
    const client = await createClient(() => server.clock.now);
    const token = await logInWith(server, client);
    t.like(await server.validate(token, dpop(await proofFor(client, token))), OK);
    t.deepEqual(await server.validate(token), NO);
    const other = await createClient(() => server.clock.now);
    t.deepEqual(await server.validate(token, dpop(await proofFor(other, token))), NO);
    t.deepEqual(await server.validate(token, dpop('')), NO);
    const unbound = await server.logIn();
    t.deepEqual(await server.validate(unbound, dpop(await proofFor(client, unbound))), NO);
    t.like(await server.validate(unbound), OK);
  });

  test(`${name}: a proof is good once; again only under the same call id`, async (t) => {
    const server = await startAuth(t, engine);
    const client = await createClient(() => server.clock.now);
    const token = await logInWith(server, client);
    const call = { 'hushbox-call-id': randomUUID() };
    const proof = dpop(await proofFor(client, token));
    t.like(await server.validate(token, proof, call), OK);
    t.like(await server.validate(token, proof, call), OK);
    t.deepEqual(await server.validate(token, proof, { 'hushbox-call-id': randomUUID() }), NO);
    t.deepEqual(await server.validate(token, proof), NO);
    const jti = randomUUID();
    const [one, two] = [await proofFor(client, token, { jti }), await proofFor(client, token, { jti, htm: 'GET' })];
    const answers = await Promise.all([one, two, one, two].map((proof) => server.validate(token, dpop(proof))));
    t.is(answers.filter(({ authenticated }) => authenticated).length, 1);
    const secondClient = await createClient(() => server.clock.now);
    const secondToken = await logInWith(server, secondClient);
    t.like(await server.validate(secondToken, dpop(await proofFor(secondClient, secondToken, { jti }))), OK);
  });

  test(`${name}: a proof of a log-in is good once, and not afterwards with a token`, async (t) => {
    const server = await startAuth(t, engine);
    const client = await createClient(() => server.clock.now);
    const proof = await client.prove({ htm: 'POST', htu: `${server.base}/login` });
    const token = await server.logIn({ dpop: proof });
    const again = await server.tryLogIn({}, { dpop: proof });
    t.is(again.status, 400);
    t.like(await again.json(), { code: 'INVALID_DPOP_PROOF' });
    t.deepEqual(await server.validate(token, dpop(proof, 'POST', `${server.base}/login`)), NO);
  });
}

test('refused proofs extend nothing and end nothing', async (t) => {
  const server = await startAuth(t, SQLITE, { SESSION_IDLE_SECONDS: '30' });
  const client = await createClient(() => server.clock.now);
  const token = await logInWith(server, client);
  server.clock.advance({ seconds: 20 });
  t.deepEqual(await server.validate(token, dpop('x')), NO);
  t.deepEqual(await server.validate(token), NO);
  server.clock.advance({ seconds: 9 });
  t.like(await server.validate(token, dpop(await proofFor(client, token))), OK);
  const replayed = dpop(await proofFor(client, token));
  t.like(await server.validate(token, replayed), OK);
  server.clock.advance({ seconds: 20 });
  t.deepEqual(await server.validate(token, replayed), NO);
  server.clock.advance({ seconds: 10 });
  t.deepEqual(await server.validate(token, dpop(await proofFor(client, token))), NO);
});

test('on our own routes the scheme is DPoP, and the proof is of the method and the URL that were used', async (t) => {
  const server = await startAuth(t, SQLITE);
  const client = await createClient(() => server.clock.now);
  const token = await logInWith(server, client);
  const htu = `${server.base}/sessions`;
  const ask = async (claims = {}, headers = {}, path = '/sessions'): Promise<Response> =>
    server.get(path, {
      authorization: `DPoP ${token}`,
      dpop: await proofFor(client, token, { htu, ...claims }),
      ...headers,
    });
  t.is((await ask()).status, 200);
  t.is((await ask({}, {}, '/sessions?a=b')).status, 200);
  t.is((await ask({}, { authorization: `dpop ${token}` })).status, 200);
  for (const response of [
    await ask({ htu: `${server.base}/logout` }),
    await ask({ htm: 'DELETE' }),
    await ask({}, { dpop: '' }),
    await ask({}, { authorization: `DPoP ${token}x` }),
  ]) {
    t.is(response.status, 401);
    t.is(response.headers.get('www-authenticate'), `DPoP algs="${ALGORITHMS.join(' ')}"`);
  }
  for (const headers of [
    { authorization: `Bearer ${token}` },
    { token },
    { token, authorization: `Bearer ${token}` },
  ]) {
    const dpop = await proofFor(client, token, { htu });
    t.is((await server.get('/sessions', { ...headers, dpop })).status, 401);
    t.is((await server.get('/sessions', headers)).status, 401);
  }
  const out = await proofFor(client, token, { htm: 'DELETE', htu: `${server.base}/logout` });
  t.is(
    (await server.request('DELETE', '/logout', undefined, { authorization: `DPoP ${token}`, dpop: out })).status,
    204,
  );
});

test('with PUBLIC_URL that is the URL of a proof, whatever host was used', async (t) => {
  const server = await startAuth(t, SQLITE, { PUBLIC_URL: 'https://hush.example/under', NODE_ENV: 'production' });
  const client = await createClient(() => server.clock.now);
  const prove = (htu: string): Promise<string> => client.prove({ htm: 'POST', htu });
  t.is((await server.tryLogIn({}, { dpop: await prove(`${server.base}/login`) })).status, 400);
  t.is((await server.tryLogIn({}, { dpop: await prove('https://hush.example/login') })).status, 400);
  t.is((await server.tryLogIn({}, { dpop: await prove('https://hush.example/under/login') })).status, 200);
});

test('a bad proof at log-in is 400 whatever the password, and takes none of the limits', async (t) => {
  const server = await startAuth(t, SQLITE, { LIMITS: 'on' });
  for (let count = 0; count < 40; count++) {
    const response = await server.tryLogIn({ password: 'a wrong password' }, { dpop: 'x' });
    t.is(response.status, 400);
    t.like(await response.json(), { code: 'INVALID_DPOP_PROOF' });
  }
  t.is((await server.tryLogIn()).status, 200);
});

const TOKEN = `hushbox_${'a'.repeat(43)}`;

async function isValid(proof: string, { now = AT, token = TOKEN, method = 'GET', url = URL } = {}) {
  return (await verifyProof({ proof, method, url }, token, now)) !== undefined;
}

for (const alg of ALGORITHMS) {
  test(`${alg} is taken`, async (t) => {
    t.true(await isValid(await proofFor(await createClient(() => AT, alg), TOKEN)));
  });
}

test('what is wrong about a proof', async (t) => {
  const client = await createClient(() => AT);
  const seconds = AT / 1000;
  const private_ = await exportJWK(client.privateKey);
  const wrong: readonly [what: string, claims: Record<string, unknown>, head?: Record<string, unknown>][] = [
    ['another method', { htm: 'POST' }],
    ['a method in small letters', { htm: 'get' }],
    ['no method', { htm: undefined }],
    ['another path', { htu: 'https://hush.example/customers' }],
    ['another host', { htu: 'https://evil.example/data' }],
    ['another scheme', { htu: 'http://hush.example/data' }],
    ['another port', { htu: 'https://hush.example:8443/data' }],
    ['a user in the URL', { htu: 'https://a@hush.example/data' }],
    ['no URL', { htu: undefined }],
    ['a URL that is none', { htu: '/data' }],
    ['a URL that is an object', { htu: { $ne: '' } }],
    ['too old', { iat: seconds - 61 }],
    ['too new', { iat: seconds + 61 }],
    ['an hour old', { iat: seconds - 3600 }],
    ['no time', { iat: undefined }],
    ['a time as text', { iat: `${seconds}` }],
    ['expired', { exp: seconds - 1 }],
    ['not yet', { nbf: seconds + 30 }],
    ['no jti', { jti: undefined }],
    ['an empty jti', { jti: '' }],
    ['a jti that is a number', { jti: 1 }],
    ['a long jti', { jti: 'x'.repeat(257) }],
    ['the hash of another token', { ath: athOf('another') }],
    ['no hash of a token', { ath: undefined }],
    ['another type', {}, { typ: 'JWT' }],
    ['no type', {}, { typ: undefined }],
    ['no key', {}, { jwk: undefined }],
    ['a private key', {}, { jwk: private_ }],
    ['a symmetric key', {}, { jwk: { kty: 'oct', k: 'c2VjcmV0' } }],
    ['a key by URL', {}, { jwk: undefined, jku: 'https://evil.example/jwks' }],
    ['an unknown critical header', {}, { crit: ['x'], x: 1 }],
  ];
  for (const [what, claims, head] of wrong) {
    t.false(await isValid(await proofFor(client, TOKEN, claims, head)), what);
  }
  t.true(await isValid(await proofFor(client, TOKEN)));
});

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

test('what is right about a proof', async (t) => {
  const client = await createClient(() => AT);
  const seconds = AT / 1000;
  for (const claims of [
    { iat: seconds - 60 },
    { iat: seconds + 60 },
    { htu: `${URL}?query=x#fragment` },
    { htu: 'HTTPS://HUSH.example:443/data' },
    { htu: `${URL}/` },
    { jti: 'x'.repeat(256) },
    { more: 'claims' },
  ]) {
    t.true(await isValid(await proofFor(client, TOKEN, claims)), JSON.stringify(claims));
  }
  const atLogIn = { proof: await proofFor(client, TOKEN, { ath: undefined }), method: 'GET', url: URL };
  t.truthy(await verifyProof(atLogIn, undefined, AT));
  t.true(await isValid(await proofFor(client, TOKEN), { url: `${URL}?asked=x` }));
});

test('no algorithm but the pinned ones: none, and HMAC with the public key as its secret', async (t) => {
  const client = await createClient(() => AT);
  const claims = encode({ jti: 'x', iat: AT / 1000, htm: 'GET', htu: URL, ath: athOf(TOKEN) });
  for (const alg of ['none', 'None', 'NONE']) {
    t.false(await isValid(`${encode({ alg, typ: 'dpop+jwt', jwk: client.jwk })}.${claims}.`));
  }
  for (const jwk of [client.jwk, { kty: 'oct', k: Buffer.from('secret').toString('base64url') }]) {
    for (const secret of ['secret', JSON.stringify(client.jwk)]) {
      const signed = `${encode({ alg: 'HS256', typ: 'dpop+jwt', jwk })}.${claims}`;
      t.false(await isValid(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`));
    }
  }
  const [head = '', body = '', signature = ''] = (await proofFor(client, TOKEN)).split('.');
  for (const tampered of [
    `${head}.${claims}.${signature}`,
    `${head}.${body}.`,
    `${head}.${body}`,
    `${head}.${body}.${signature}.`,
    '..',
    '',
    'x'.repeat(5_000),
  ]) {
    t.false(await isValid(tampered));
  }
  const stranger = await createClient(() => AT);
  const [, , other = ''] = (await proofFor(stranger, TOKEN)).split('.');
  t.false(await isValid(`${head}.${body}.${other}`));
});
