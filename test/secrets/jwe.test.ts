import { createPrivateKey, createPublicKey, diffieHellman, randomBytes } from 'node:crypto';
import test from 'ava';
import { checkJwe, jweMaxLength, readJwe } from '../../src/secrets/jwe.ts';
import { ask, FILES, seal, sealFor } from '../support/secrets/sealed.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64url');
const headerOf = (jwe: string): string => Buffer.from(jwe.split('.')[0] as string, 'base64url').toString();
/** The same JWE with another part. */
function change(jwe: string, part: number, to: (text: string) => string): string {
  return jwe
    .split('.')
    .map((text, index) => (index === part ? to(text) : text))
    .join('.');
}
const withHeader = (jwe: string, to: (text: string) => string): string =>
  change(jwe, 0, (text) => b64(to(Buffer.from(text, 'base64url').toString())));

/** Another last character that stands for the same bytes. */
function twin(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1) as string) + 1];
}

test('what jose seals is accepted, and shows how it was sealed', async (t) => {
  const { jwe, kid } = await seal('some secret');
  t.deepEqual(checkJwe(jwe, 'dir'), { alg: 'dir', kid, hasFiles: false, ciphertextBytes: 11 });
  t.deepEqual(readJwe(jwe), { alg: 'dir', kid, hasFiles: false });
  const files = await seal('{"files":[]}\n', { cty: FILES });
  t.like(checkJwe(files.jwe, 'dir'), { hasFiles: true });
  const asking = await ask();
  const answer = await sealFor(asking, 'some secret');
  t.deepEqual(checkJwe(answer, 'ECDH-ES'), {
    alg: 'ECDH-ES',
    kid: asking.kid,
    hasFiles: false,
    ciphertextBytes: 11,
  });
  t.deepEqual(readJwe(await sealFor(asking, 's', { cty: FILES })), { alg: 'ECDH-ES', kid: asking.kid, hasFiles: true });
});

test('every length of ciphertext is measured, and none of them is longer than said', async (t) => {
  for (let length = 1; length <= 70; length++) {
    const { jwe } = await seal('x'.repeat(length));
    t.is(checkJwe(jwe, 'dir')?.ciphertextBytes, length);
    t.true(jwe.length <= jweMaxLength(length));
  }
});

test('blanks and another order in the header are accepted, up to a kilobyte', async (t) => {
  const { jwe, kid } = await seal('s');
  const spaced = withHeader(jwe, () => ` {"kid" : "${kid}",\n"enc":"A256GCM", "alg":"dir"}`);
  t.like(checkJwe(spaced, 'dir'), { kid });
  const blanks = 1024 - headerOf(jwe).length;
  t.truthy(
    checkJwe(
      withHeader(jwe, (text) => text + ' '.repeat(blanks)),
      'dir',
    ),
  );
  t.is(
    checkJwe(
      withHeader(jwe, (text) => text + ' '.repeat(blanks + 1)),
      'dir',
    ),
    undefined,
  );
});

test('anything else is refused: the parts', async (t) => {
  const { jwe } = await seal('some secret');
  const answer = await sealFor(await ask(), 'some secret');
  const bad: Record<string, string> = {
    empty: '',
    'not a JWE': 'some secret',
    'four parts': jwe.slice(0, jwe.lastIndexOf('.')),
    'six parts': `${jwe}.`,
    'an encrypted key': change(jwe, 1, () => 'AAAA'),
    'no header': change(jwe, 0, () => ''),
    'a short nonce': change(jwe, 2, (text) => text.slice(0, -4)),
    'a long nonce': change(jwe, 2, (text) => `${text}AAAA`),
    'no ciphertext': change(jwe, 3, () => ''),
    'a short tag': change(jwe, 4, (text) => text.slice(0, -4)),
    'a blank at the end': `${jwe} `,
    'a line end': `${jwe}\n`,
    'a blank at the front': ` ${jwe}`,
    'padding of base64': change(jwe, 4, (text) => `${text}==`),
    'base64, not base64url': change(jwe, 3, (text) => `+${text.slice(1)}`),
    'one character alone': change(jwe, 3, (text) => `${text}AA`),
    'letters of other alphabets': change(jwe, 3, (text) => `é${text.slice(1)}`),
    'the other alg': answer,
    'a JWS': `${b64('{"alg":"HS256"}')}.${b64('{}')}.AAAA`,
  };
  for (const part of [2, 3, 4]) {
    const twinned = change(jwe, part, (text) => (text.length % 4 === 0 ? `${text.slice(0, -1)}=` : twin(text)));
    bad[`a last character of part ${part} that stands for the same bytes`] = twinned;
  }
  for (const [title, text] of Object.entries(bad)) t.is(checkJwe(text, 'dir'), undefined, title);
  t.is(checkJwe(jwe, 'ECDH-ES'), undefined);
});

test('a slash in the header may be written as an escape, as some libraries do', async (t) => {
  const { jwe, kid } = await seal('some secret');
  const header = (cty: string) => `{"alg":"dir","enc":"A256GCM","kid":"${kid}","cty":"${cty}"}`;
  const escaped = withHeader(jwe, () => header(FILES.replace('/', '\\/')));
  t.true(checkJwe(escaped, 'dir')?.hasFiles);
  t.true(readJwe(escaped).hasFiles);
  t.is(
    checkJwe(
      withHeader(jwe, () => header(FILES.replace('/', '\\\\/'))),
      'dir',
    ),
    undefined,
  );
});

test('anything else is refused: the header', async (t) => {
  const { jwe, kid } = await seal('some secret');
  const good = headerOf(jwe);
  const headers: Record<string, string> = {
    'not JSON': 'some text',
    'no object': 'null',
    'an array': '["dir"]',
    'a byte order mark': `\ufeff${good}`,
    'another alg': good.replace('"dir"', '"A256KW"'),
    'another enc': good.replace('A256GCM', 'A256CBC-HS512'),
    'a short enc': good.replace('A256GCM', 'A128GCM'),
    'no kid': `{"alg":"dir","enc":"A256GCM"}`,
    'a kid of 31 bytes': good.replace(kid, kid.slice(0, 42)),
    'a kid that is not canonical': good.replace(kid, twin(kid)),
    'a kid that is a number': good.replace(`"${kid}"`, '7'),
    zip: good.replace('}', ',"zip":"DEF"}'),
    crit: good.replace('}', ',"crit":[]}'),
    typ: good.replace('}', ',"typ":"JOSE"}'),
    'an epk': good.replace('}', ',"epk":{"kty":"OKP","crv":"X25519","x":"AAAA"}}'),
    'another cty': good.replace('}', ',"cty":"text/plain"}'),
    'cty in capitals': good.replace('}', `,"cty":"${FILES.toUpperCase()}"}`),
    'cty null': good.replace('}', ',"cty":null}'),
    'cty empty': good.replace('}', ',"cty":""}'),
    __proto__: good.replace('}', ',"__proto__":{}}'),
    'alg twice': good.replace('}', ',"alg":"dir"}'),
    'alg twice, the last one good': good.replace('{', '{"alg":"A256KW",'),
    'kid twice, one escaped': good.replace('{', `{"\\u006bid":"${kid}",`),
    'an escape': good.replace('"dir"', '"\\u0064ir"'),
    'not UTF-8': good.replace('"dir"', '"dir\ufffd"'),
  };
  for (const [title, header] of Object.entries(headers)) {
    t.is(
      checkJwe(
        withHeader(jwe, () => header),
        'dir',
      ),
      undefined,
      title,
    );
  }
});

test('anything else is refused: the key that was made for one answer', async (t) => {
  const jwe = await sealFor(await ask(), 'some secret');
  const good = headerOf(jwe);
  const { x } = (JSON.parse(good) as { epk: { x: string } }).epk;
  const headers: Record<string, string> = {
    'no epk': good.replace(/,?"epk":\{[^}]*\}/, ''),
    'epk null': good.replace(/"epk":\{[^}]*\}/, '"epk":null'),
    'epk an array': good.replace(/"epk":\{[^}]*\}/, '"epk":["OKP","X25519"]'),
    'another curve': good.replace('X25519', 'Ed25519'),
    'another type': good.replace('OKP', 'EC'),
    'a private key': good.replace('"kty"', `"d":"${x}","kty"`),
    'another member': good.replace('"kty"', '"use":"enc","kty"'),
    'x twice': good.replace('"kty"', `"x":"${x}","kty"`),
    'x too short': good.replace(x, x.slice(0, 42)),
    'x not canonical': good.replace(x, twin(x)),
    'x a number': good.replace(`"${x}"`, '7'),
    apu: good.replace('{', '{"apu":"AAAA",'),
    'alg dir': good.replace('ECDH-ES', 'dir'),
  };
  for (const [title, header] of Object.entries(headers)) {
    t.is(
      checkJwe(
        withHeader(jwe, () => header),
        'ECDH-ES',
      ),
      undefined,
      title,
    );
  }
});

/** All that are published: RFC 7748 §6.1 refuses what they lead to. The second list is that of other encodings. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];
const MORE = [
  'cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880',
  '4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7',
  'd9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

test('a point of low order is refused, however it is encoded, and so is every encoding that is not canonical', async (t) => {
  const jwe = await sealFor(await ask(), 'some secret');
  const { x } = (JSON.parse(headerOf(jwe)) as { epk: { x: string } }).epk;
  const check = (point: Buffer): unknown =>
    checkJwe(
      withHeader(jwe, (text) => text.replace(x, point.toString('base64url'))),
      'ECDH-ES',
    );
  for (const hex of LOW_ORDER) {
    const point = Buffer.from(hex, 'hex');
    const masked = Buffer.from(point);
    masked[31] = (masked[31] as number) | 0x80; // a bit that X25519 ignores
    for (const encoding of [point, masked]) {
      t.throws(() => agreeWith(encoding), undefined, `${hex} is not of low order`);
      t.is(check(encoding), undefined, hex);
    }
  }
  for (const hex of MORE) t.is(check(Buffer.from(hex, 'hex')), undefined, hex);
  t.truthy(check(Buffer.from(`ebffffff${'ff'.repeat(27)}7f`, 'hex')), 'the greatest that is canonical');
  for (let count = 0; count < 200; count++) {
    const point = randomBytes(32);
    point[31] = (point[31] as number) & 0x7f;
    t.truthy(check(point), point.toString('hex'));
  }
});

function agreeWith(point: Buffer): Buffer {
  const privateKey = createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), Buffer.alloc(32, 7)]),
    format: 'der',
    type: 'pkcs8',
  });
  const publicKey = createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), point]),
    format: 'der',
    type: 'spki',
  });
  return diffieHellman({ privateKey, publicKey });
}
