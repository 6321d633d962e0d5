import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { createTokenKey } from '../../../src/tokens/calls/key.ts';
import { createCallClaims, signToken } from '../../../src/tokens/calls/sign.ts';
import { TOKEN_MAX_LENGTH, verifyToken } from '../../../src/tokens/calls/verify.ts';

type Vector = { name: string; key_hex: string; claims: { iat: number; aud?: string }; token: string };

const { vectors } = JSON.parse(readFileSync('test/vectors/jwt-hs512.json', 'utf8')) as { vectors: Vector[] };
const BYTES = Buffer.alloc(64, 0x5a);
const KEY = createTokenKey(BYTES);
const NOW = Date.UTC(2026, 10, 21, 23, 59, 59, 999);
const NOW_SECONDS = Math.floor(NOW / 1000);
const CLAIMS = { iat: NOW_SECONDS, jti: 'AAECAwQFBgcICQoLDA0ODw', payload: { user: 'username', date: '2026-11-21' } };
const HS512 = { alg: 'HS512', typ: 'JWT' };

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with any header and claims, signed in any way. */
function forge(header: unknown, claims: unknown, { key = BYTES, hash = 'sha512' } = {}): string {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac(hash, key).update(signed).digest('base64url')}`;
}

/** Whether jose accepts the token, under the same rules. */
async function joseAccepts(token: string, key: Uint8Array = BYTES): Promise<boolean> {
  const options = { algorithms: ['HS512'], typ: 'JWT', currentDate: new Date(NOW_SECONDS * 1000) };
  try {
    const { payload } = await jwtVerify(token, key, { ...options, maxTokenAge: 0, clockTolerance: 300 });
    return payload.iat !== undefined;
  } catch {
    return false;
  }
}

for (const { name, key_hex: hex, claims, token } of vectors) {
  test(`known answer: ${name}`, (t) => {
    const key = createTokenKey(Buffer.from(hex, 'hex'));
    t.is(signToken(key, claims), token);
    t.deepEqual(verifyToken(key, token, claims.iat * 1000) as unknown, claims.aud ? undefined : claims);
  });
}

test('jose accepts any claims that we sign', async (t) => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 64 });
  const claims = fc.record({
    iat: fc.integer({ min: NOW_SECONDS - 300, max: NOW_SECONDS + 300 }),
    jti: text,
    payload: fc.record({ user: text, date: fc.constant('2026-11-21') }),
  });
  const keys = fc.uint8Array({ minLength: 64, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(claims, keys, async (claimed, bytes) => {
      const key = createTokenKey(bytes);
      const token = signToken(key, claimed);
      const options = { algorithms: ['HS512'], typ: 'JWT', currentDate: new Date(NOW) };
      const { payload, protectedHeader } = await jwtVerify(token, bytes, options);
      t.deepEqual(payload as unknown, claimed);
      t.deepEqual(protectedHeader as unknown, HS512);
      t.deepEqual(verifyToken(key, token, NOW) as unknown, claimed);
    }),
  );
});

test('we accept what jose signs', async (t) => {
  for (let round = 0; round < 50; round++) {
    const bytes = randomBytes(64 + round);
    const token = await new SignJWT(CLAIMS as unknown as JWTPayload).setProtectedHeader(HS512).sign(bytes);
    t.deepEqual(verifyToken(createTokenKey(bytes), token, NOW) as unknown, CLAIMS);
  }
});

test('for a token changed anywhere we agree with jose, or are stricter about its spelling', async (t) => {
  const token = signToken(KEY, CLAIMS);
  const letters = fc.constantFrom(...'ABab01-_.=+/ \n\0é');
  await fc.assert(
    fc.asyncProperty(fc.nat(token.length - 1), letters, fc.constantFrom(0, 1, 2), async (at, letter, removed) => {
      const changed = token.slice(0, at) + letter + token.slice(at + removed);
      const isOurs = verifyToken(KEY, changed, NOW) !== undefined;
      t.is(isOurs, changed === token);
      if (isOurs) t.true(await joseAccepts(changed));
    }),
    { numRuns: 1000 },
  );
});

const OTHER_HEADERS: readonly [name: string, header: unknown, isGood: boolean][] = [
  ['other order', { typ: 'JWT', alg: 'HS512' }, true],
  ['a kid', { ...HS512, kid: '1' }, true],
  ['none', { alg: 'none', typ: 'JWT' }, false],
  ['HS256', { alg: 'HS256', typ: 'JWT' }, false],
  ['hs512', { alg: 'hs512', typ: 'JWT' }, false],
  ['RS512', { alg: 'RS512', typ: 'JWT' }, false],
  ['another type', { alg: 'HS512', typ: 'dpop+jwt' }, false],
  ['no type', { alg: 'HS512' }, false],
  ['no algorithm', { typ: 'JWT' }, false],
  ['crit', { ...HS512, crit: ['exp'] }, false],
  ['crit and b64', { ...HS512, crit: ['b64'], b64: false }, false],
  ['a list', ['HS512', 'JWT'], false],
  ['null', null, false],
];
for (const [name, header, isGood] of OTHER_HEADERS) {
  test(`a header with ${name} is ${isGood ? 'taken' : 'refused'}, by jose too`, async (t) => {
    for (const hash of ['sha512', 'sha256']) {
      const token = forge(header, CLAIMS, { hash });
      t.is(verifyToken(KEY, token, NOW) !== undefined, isGood && hash === 'sha512');
      // jose knows this one critical name.
      if (name !== 'crit') t.is(await joseAccepts(token), isGood && hash === 'sha512');
    }
    t.is(verifyToken(KEY, `${part(header)}.${part(CLAIMS)}.`, NOW), undefined);
    t.is(verifyToken(KEY, `${part(header)}.${part(CLAIMS)}`, NOW), undefined);
  });
}

test('iat may be up to 5 minutes off in both directions and not a second more, as with jose', async (t) => {
  for (const [offset, isGood] of [
    [0, true],
    [300, true],
    [-300, true],
    [301, false],
    [-301, false],
    [-86_400, false],
  ] as const) {
    const token = signToken(KEY, { ...CLAIMS, iat: NOW_SECONDS + offset });
    t.is(verifyToken(KEY, token, NOW) !== undefined, isGood, String(offset));
    t.is(await joseAccepts(token), isGood, String(offset));
  }
});

test('exp and nbf hold if a token has them', (t) => {
  const accepts = (claims: object): boolean =>
    verifyToken(KEY, signToken(KEY, { ...CLAIMS, ...claims }), NOW) !== undefined;
  t.true(accepts({ exp: NOW_SECONDS + 1, nbf: NOW_SECONDS }));
  t.false(accepts({ exp: NOW_SECONDS }));
  t.false(accepts({ nbf: NOW_SECONDS + 1 }));
  for (const bad of ['1', null, {}, true]) {
    t.false(accepts({ exp: bad }));
    t.false(accepts({ nbf: bad }));
  }
});

const { payload: WHO } = CLAIMS;
const OTHER_CLAIMS: readonly unknown[] = [
  { ...CLAIMS, iat: undefined },
  { ...CLAIMS, iat: String(NOW_SECONDS) },
  { ...CLAIMS, iat: null },
  { ...CLAIMS, jti: undefined },
  { ...CLAIMS, jti: '' },
  { ...CLAIMS, jti: 7 },
  { ...CLAIMS, jti: 'j'.repeat(257) },
  { ...CLAIMS, jti: '\ud800' },
  { ...CLAIMS, aud: 'https://example.com' },
  { ...CLAIMS, payload: undefined },
  { ...CLAIMS, payload: null },
  { ...CLAIMS, payload: [WHO] },
  { ...CLAIMS, payload: { ...WHO, user: undefined } },
  { ...CLAIMS, payload: { ...WHO, user: '' } },
  { ...CLAIMS, payload: { ...WHO, user: 1 } },
  { ...CLAIMS, payload: { ...WHO, user: 'u'.repeat(257) } },
  { ...CLAIMS, payload: { ...WHO, date: '21.11.2026' } },
  [CLAIMS],
  'text',
  null,
];
for (const claims of OTHER_CLAIMS) {
  test(`signed correctly and refused: ${(JSON.stringify(claims) ?? '').slice(0, 100)}`, (t) => {
    t.is(verifyToken(KEY, forge(HS512, claims), NOW), undefined);
  });
}

test('text that is no token is refused without an error from any library', (t) => {
  const invalidUtf8 = Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url');
  const mac = (signed: string): string => `${signed}.${createHmac('sha512', BYTES).update(signed).digest('base64url')}`;
  for (const token of [
    '',
    '.',
    '..',
    '...',
    'a.b.c',
    mac(`${part(HS512)}.${invalidUtf8}`),
    mac(`${part(HS512)}.`),
    mac(`${part(HS512)}.${Buffer.from('{').toString('base64url')}`),
    mac(`${invalidUtf8}.${part(CLAIMS)}`),
    `${signToken(KEY, CLAIMS)}.`,
    ` ${signToken(KEY, CLAIMS)}`,
    signToken(KEY, { ...CLAIMS, more: 'm'.repeat(TOKEN_MAX_LENGTH) }),
  ]) {
    t.is(verifyToken(KEY, token, NOW), undefined, token.slice(0, 40));
  }
});

test('another key is refused, a short one cannot be made; jose signs with a short key without complaint', async (t) => {
  const token = signToken(KEY, CLAIMS);
  t.is(verifyToken(createTokenKey(Buffer.alloc(64, 0x5b)), token, NOW), undefined);
  t.is(verifyToken(createTokenKey(Buffer.alloc(65, 0x5a)), token, NOW), undefined);
  t.throws(() => createTokenKey(BYTES.subarray(0, 63)), { instanceOf: TypeError });
  const short = BYTES.subarray(0, 16);
  await t.notThrowsAsync(new SignJWT({}).setProtectedHeader(HS512).sign(short));
});

test('every call has its own jti of 128 random bits, the time, and the date in UTC', (t) => {
  let now = Date.UTC(2026, 10, 21, 23, 59, 59, 999);
  const claimsOf = createCallClaims({ clock: () => now, randomBytes });
  const first = claimsOf('username');
  t.deepEqual(first, { iat: 1_795_305_599, jti: first.jti, payload: { user: 'username', date: '2026-11-21' } });
  now += 1;
  t.like(claimsOf('Роман'), { iat: 1_795_305_600, payload: { user: 'Роман', date: '2026-11-22' } });
  now -= 1;
  t.is(claimsOf('username').payload.date, '2026-11-21');
  const ids = Array.from({ length: 10_000 }, () => claimsOf('username').jti);
  t.is(new Set(ids).size, 10_000);
  t.true(ids.every((id) => /^[\w-]{22}$/.test(id)));
});
