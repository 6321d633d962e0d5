import { createHmac, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { createHmacKey, hkdf, hmac } from '../../src/sealing/hkdf.ts';

type Vectors = {
  hkdf: { salt: string; ikm: string; info: string; okm: string }[];
  hmac: { key: string; data: string; mac: string }[];
};
const vectors = JSON.parse(readFileSync(new URL('../vectors/hkdf-sha256.json', import.meta.url), 'utf8')) as Vectors;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

test("the RFCs' vectors hold", (t) => {
  for (const { salt, ikm, info, okm } of vectors.hkdf) {
    t.is(hkdf(createHmacKey(hex(salt)), hex(ikm), hex(info)).toString('hex'), okm);
  }
  for (const { key, data, mac } of vectors.hmac) t.is(hmac(createHmacKey(hex(key)), hex(data)).toString('hex'), mac);
});

test('on any input the result is the same as that of node:crypto', (t) => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), bytes, bytes, (key, input, info) => {
      t.deepEqual(hkdf(createHmacKey(key), input, info), Buffer.from(hkdfSync('sha256', input, key, info, 32)));
      t.deepEqual(hmac(createHmacKey(key), input), createHmac('sha256', key).update(input).digest());
    }),
  );
});

test('a key longer than a block is refused', (t) => {
  t.throws(() => createHmacKey(new Uint8Array(65)), { instanceOf: TypeError });
});
