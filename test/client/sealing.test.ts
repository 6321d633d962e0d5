import { randomBytes } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { CompactEncrypt, calculateJwkThumbprint, compactDecrypt, decodeProtectedHeader, importJWK } from 'jose';
import {
  type Content,
  decode,
  encode,
  HushboxError,
  isKeyOf,
  kidOfPublicKey,
  newKey,
  type Opened,
  proofHashOf,
  proofOf,
  publicKeyOf,
  type Seal,
  seal,
  unseal,
} from '../../client/sealing.ts';
import { temporaryFolder } from '../support/storage/storage.ts';
import { keyFor, VECTORS } from './vectors.ts';

const bytesOf = (text: string) => Buffer.from(text, 'base64url');

async function sealed(content: Content, to: { key: string } | { x: string }): Promise<string> {
  return new Blob(await seal(content, to)).text();
}

/** What is read of a JWE that says itself for which key it is: a server says the same. */
async function opened(jwe: string, fragment: string): Promise<Opened> {
  return unseal(jwe, fragment, decodeProtectedHeader(jwe) as Seal);
}

async function plain({ text, files }: Opened) {
  const listed = files.map(async (file) => ({
    name: file.name,
    type: file.type,
    bytes: Buffer.from(await file.arrayBuffer()).toString('base64url'),
  }));
  return {
    text: text === undefined ? undefined : Buffer.from(text).toString('base64url'),
    files: await Promise.all(listed),
  };
}

for (const { title, alg, jwe, text, files } of VECTORS.opens) {
  test(`jwcrypto sealed it, and it opens byte for byte (${alg}): ${title}`, async (t) => {
    const { fragment, kid } = keyFor(alg);
    t.deepEqual(await plain(await unseal(jwe, fragment, { alg, kid })), { text, files: files ?? [] });
  });
}

for (const { title, alg, jwe } of VECTORS.refused) {
  test(`is refused (${alg}): ${title}`, async (t) => {
    const { fragment, kid } = keyFor(alg);
    const error = await t.throwsAsync(unseal(jwe, fragment, { alg, kid }), {
      instanceOf: HushboxError,
      code: 'UNTRUSTED',
    });
    t.is(error.cause, undefined);
  });
}

for (const { alg, fragment, kid, proof, proofHash } of VECTORS.keys) {
  test(`thumbprint and proof are those that others make (${alg})`, async (t) => {
    t.true(await isKeyOf(fragment, { alg, kid }));
    t.deepEqual(await proofOf(fragment), { proof });
    t.deepEqual(await proofHashOf(fragment), { proof_hash: proofHash });
  });

  test(`a key is for one kid and one algorithm alone (${alg})`, async (t) => {
    const other = alg === 'dir' ? 'ECDH-ES' : 'dir';
    t.false(await isKeyOf(fragment, { alg: other, kid }));
    t.false(await isKeyOf(fragment, { alg, kid: keyFor(other).kid }));
    t.false(await isKeyOf(newKey(), { alg, kid }));
    for (const wrong of [undefined, null, 1, '', 'none', ['dir']]) {
      t.false(await isKeyOf(fragment, { alg: wrong, kid }));
      t.false(await isKeyOf(fragment, { alg, kid: wrong }));
    }
  });
}

test('a public key comes from the private one', async (t) => {
  const { fragment, kid } = keyFor('ECDH-ES');
  t.is(await publicKeyOf(fragment), VECTORS.x);
  t.is(await kidOfPublicKey(VECTORS.x), kid);
  t.true(await isKeyOf(VECTORS.x, { alg: 'request', kid }));
  for (const alg of ['none', undefined, 'dir', 'ECDH-ES']) t.false(await isKeyOf(VECTORS.x, { alg, kid }));
});

test('nothing is sealed to a low-order point', async (t) => {
  t.is(VECTORS.lowOrder.length, 14);
  for (const x of VECTORS.lowOrder) {
    await t.throwsAsync(seal({ text: 'x', files: [] }, { x }), { instanceOf: HushboxError, code: 'UNTRUSTED' }, x);
  }
});

test('jose opens what is sealed with a key, and its thumbprint is the kid', async (t) => {
  const key = newKey();
  const jwe = await sealed({ text: '\uFEFF\r\n\0秘密', files: [] }, { key });
  const { plaintext, protectedHeader } = await compactDecrypt(jwe, bytesOf(key));
  t.is(Buffer.from(plaintext).toString(), '\uFEFF\r\n\0秘密');
  const kid = await calculateJwkThumbprint({ kty: 'oct', k: key });
  t.deepEqual(protectedHeader, { alg: 'dir', enc: 'A256GCM', kid });
});

test('jose opens what is sealed to a public key', async (t) => {
  const d = newKey();
  const x = await publicKeyOf(d);
  const file = new File([Uint8Array.of(0, 255)], 'a"%22../\u202e.exe', { type: 'text/html' });
  const jwe = await sealed({ text: '\uFEFFz', files: [file] }, { x });
  const jwk = { kty: 'OKP', crv: 'X25519', x };
  const { plaintext, protectedHeader } = await compactDecrypt(jwe, await importJWK({ ...jwk, d }, 'ECDH-ES'));
  const [line = '', rest] = Buffer.from(plaintext).toString('latin1').split('\n');
  t.deepEqual(JSON.parse(Buffer.from(line, 'latin1').toString()), {
    text: 4,
    files: [{ name: 'a"%22../\u202e.exe', type: 'text/html', bytes: 2 }],
  });
  t.is(rest, '\xef\xbb\xbfz\0\xff');
  const { epk, ...header } = protectedHeader;
  t.deepEqual(header, {
    alg: 'ECDH-ES',
    enc: 'A256GCM',
    kid: await calculateJwkThumbprint(jwk),
    cty: 'application/vnd.hushbox.files',
  });
  t.deepEqual(Object.keys(epk ?? {}).sort(), ['crv', 'kty', 'x']);
});

test('what jose seals opens, with either kind of key', async (t) => {
  const key = newKey();
  const x = await publicKeyOf(key);
  const kids = {
    dir: await calculateJwkThumbprint({ kty: 'oct', k: key }),
    'ECDH-ES': await calculateJwkThumbprint({ kty: 'OKP', crv: 'X25519', x }),
  };
  const publicKey = await importJWK({ kty: 'OKP', crv: 'X25519', x }, 'ECDH-ES');
  for (const [alg, to] of [
    ['dir', bytesOf(key)],
    ['ECDH-ES', publicKey],
  ] as const) {
    const jwe = await new CompactEncrypt(Buffer.from('from jose'))
      .setProtectedHeader({ alg, enc: 'A256GCM', kid: kids[alg] })
      .encrypt(to);
    t.deepEqual(await opened(jwe, key), { text: 'from jose', files: [] });
  }
});

test('every changed character of a JWE is noticed', async (t) => {
  const key = newKey();
  const jwe = await sealed({ text: 'text', files: [] }, { key });
  const seal = decodeProtectedHeader(jwe) as Seal;
  for (let at = 0; at < jwe.length; at++) {
    const changed = `${jwe.slice(0, at)}${jwe[at] === 'A' ? 'B' : 'A'}${jwe.slice(at + 1)}`;
    const code = await unseal(changed, key, seal).then(String, (error: HushboxError) => error.code);
    t.is(code, 'UNTRUSTED', changed);
  }
});

test('no two secrets share a nonce or an ephemeral key', async (t) => {
  const [key, x] = [newKey(), VECTORS.x];
  const made = await Promise.all([...Array(50)].map(() => sealed({ text: 'x', files: [] }, { key })));
  t.is(new Set(made.map((jwe) => jwe.split('.')[2])).size, 50);
  const answers = await Promise.all([...Array(10)].map(() => sealed({ text: 'x', files: [] }, { x })));
  t.is(new Set(answers.map((jwe) => jwe.split('.')[0])).size, 10);
});

test('nothing, half a surrogate pair, and a file that is gone are not sealed', async (t) => {
  const path = join(await temporaryFolder(t), 'file');
  await writeFile(path, 'some bytes');
  const gone = new File([await openAsBlob(path)], 'gone');
  await rm(path);
  const wrong: Content[] = [
    { files: [] },
    { text: '', files: [] },
    { text: 'a\uD800b', files: [] },
    { text: 'a', files: [gone] },
  ];
  for (const content of wrong) {
    await t.throwsAsync(seal(content, { key: newKey() }), { instanceOf: HushboxError, code: 'INVALID_REQUEST' });
  }
});

test('base64url is that of RFC 4648, for every length and for more than one step', (t) => {
  for (let length = 0; length < 100; length++) {
    const bytes = new Uint8Array(randomBytes(length));
    t.is(encode(bytes), Buffer.from(bytes).toString('base64url'));
    t.deepEqual(decode(encode(bytes)), bytes);
  }
});

test('of all last characters, only those without spare bits are taken', (t) => {
  const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const taken = (start: string) => [...characters].filter((last) => isTaken(start + last));
  t.is(taken('').length, 0);
  t.deepEqual(taken('A'), [...'AQgw']);
  t.deepEqual(taken('AA'), [...'AEIMQUYcgkosw048']);
  t.is(taken('AAA').length, 64);
  for (const wrong of ['AA==', 'AA+A', 'AA/A', 'AA A', 'AAA\n', 'AAé', 'AAA\u0141', '\0\0\0\0'])
    t.false(isTaken(wrong), wrong);
});

function isTaken(text: string): boolean {
  try {
    decode(text);
    return true;
  } catch (error) {
    if (error instanceof HushboxError && error.code === 'UNTRUSTED') return false;
    throw error;
  }
}

test('10 MiB of files and text come back, sealed and opened in steps that let others run', async (t) => {
  const bytes = new Uint8Array(randomBytes(10 << 20));
  const key = newKey();
  const jwe = await sealed({ text: 'with it', files: [new File([bytes], 'large')] }, { key });
  const { text, files } = await opened(jwe, key);
  t.is(text, 'with it');
  t.true(Buffer.from(bytes).equals(Buffer.from((await files[0]?.arrayBuffer()) ?? new ArrayBuffer())));
  const { plaintext } = await compactDecrypt(jwe, bytesOf(key));
  t.true(Buffer.from(plaintext).subarray(-bytes.length).equals(bytes));
});
