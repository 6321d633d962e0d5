import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import test from 'ava';
import fc from 'fast-check';
import { randomBytes } from '../../src/sealing/random.ts';
import {
  createReceiptKey,
  createSecretKey,
  idsExpiringBefore,
  parseReceiptKey,
  parseSecretKey,
} from '../../src/secrets/keys.ts';

test('a secret key is 48 base64url characters, parses to itself, and begins with its second of expiry', (t) => {
  const key = createSecretKey(1_767_268_800_999);
  t.regex(key.text, /^[A-Za-z0-9_-]{48}$/);
  t.is(key.bytes.readUInt32BE(0), 1_767_268_800);
  t.is(key.id.readUInt32BE(0), 1_767_268_800);
  t.deepEqual(parseSecretKey(key.text), key);
});

test('a receipt key is no secret key, belongs to one record, and parses to itself', (t) => {
  const { id, text } = createSecretKey(1_767_268_800_000);
  const receipt = createReceiptKey(id);
  t.regex(receipt.text, /^receipt_[A-Za-z0-9_-]{64}$/);
  t.deepEqual(parseReceiptKey(receipt.text), receipt);
  t.is(parseSecretKey(receipt.text), undefined);
  t.is(parseReceiptKey(text), undefined);
  t.is(parseReceiptKey(`receipt_${text}`), undefined);
});

test('keys end with a letter or digit; older ones that end with a sign are still keys', (t) => {
  const ends = new Set<string>();
  for (let count = 0; count < 4000; count++) {
    const { id, text } = createSecretKey(1_767_268_800_000);
    ends.add(text.at(-1) as string).add(createReceiptKey(id).text.at(-1) as string);
  }
  t.deepEqual(
    [...ends].filter((end) => !/[A-Za-z0-9]/.test(end)),
    [],
  );
  t.is(ends.size, 62);
  const { id, text } = createSecretKey(1_767_268_800_000);
  for (const end of ['-', '_']) {
    t.truthy(parseSecretKey(text.slice(0, -1) + end));
    t.truthy(parseReceiptKey(createReceiptKey(id).text.slice(0, -1) + end));
  }
});

test('no other text is a key', (t) => {
  const { text } = createSecretKey(1_767_268_800_000);
  for (const bad of [
    '',
    'x',
    text.slice(1),
    `${text}A`,
    `${text.slice(0, 47)}=`,
    `${text.slice(0, 47)}+`,
    `${text.slice(0, 46)}é`,
    `${text.slice(0, 47)} `,
  ]) {
    t.is(parseSecretKey(bad), undefined, bad);
  }
  fc.assert(fc.property(fc.string(), (any) => parseSecretKey(any) === undefined && parseReceiptKey(any) === undefined));
});

test('every character of a key counts: no two texts are the same key', (t) => {
  const { text, id } = createSecretKey(1_767_268_800_000);
  for (let at = 0; at < text.length; at++) {
    const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    t.notDeepEqual(parseSecretKey(changed)?.id, id);
  }
});

test('expired ids sort below the bound of the instant, others do not', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4_000_000_000_000 }),
      fc.integer({ min: 0, max: 4_000_000_000_000 }),
      (expiresAt, now) => {
        const isBelow = Buffer.compare(createSecretKey(expiresAt).id, idsExpiringBefore(now)) < 0;
        if (isBelow) return expiresAt < now;
        return expiresAt >= now - 1000;
      },
    ),
  );
  t.pass();
});

test('random bytes never repeat, and do not stay in the pool', (t) => {
  const { randomFillSync } = crypto;
  const pools: Buffer[] = [];
  Object.assign(crypto, { randomFillSync: (pool: Buffer) => pools.push(pool) && randomFillSync(pool) });
  syncBuiltinESMExports();
  t.teardown(() => {
    Object.assign(crypto, { randomFillSync });
    syncBuiltinESMExports();
  });
  const drawn = Array.from({ length: 2000 }, () => randomBytes(32));
  t.is(new Set(drawn.map((bytes) => bytes.toString('hex'))).size, 2000);
  t.true(pools.length > 1);
  t.true(drawn.every((bytes) => pools[0]?.includes(bytes) === false));
});
