import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import {
  createOpener,
  holdsJwe,
  needsPhrase,
  type Opener,
  sealAnswer,
  sealSecret,
} from '../../src/secrets/envelope.ts';
import { createRequestKeys, parseRequestKey, parseSecretKey, requestKeyOf } from '../../src/secrets/keys.ts';
import type { Label } from '../../src/secrets/label.ts';
import { pad, unpad } from '../../src/secrets/padding.ts';
import { openRequest, sealRequest } from '../../src/secrets/request-envelope.ts';
import { publicKeyOf } from '../../src/secrets/request-keys.ts';

type Vector = {
  jwe: string;
  kid: string;
  proofHash: string;
  claimTag: string;
  answerClaimTag: string;
  publicKey: string;
  requestKey: string;
  requestHash: string;
  note: string;
  askedKid: string;
  envelopes: Record<'plain' | 'copy' | 'jwe' | 'jweCopy' | 'request' | 'answer' | 'answerCopy' | 'answerJwe', string>;
};
const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8')) as T;
const vector = read<Vector>('envelope-v2');
const old =
  read<Record<'masterKey' | 'secretKey' | 'text' | 'salt' | 'phraseKey' | 'idempotencyKey', string>>('envelope-v1');
const { createdAt, expiresAt } = read<{ createdAt: number; expiresAt: number }>('envelope-v1');
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

const ring = createKeyRing([hex(old.masterKey)]);
const secretKey = parseSecretKey(old.secretKey);
const requestKey = parseRequestKey(vector.requestKey);
if (!secretKey || !requestKey) throw new TypeError('the vectors have no keys');
const { bytes, id } = secretKey;
const { token } = requestKey;
const identity = { id, createdAt, expiresAt };
const phraseKey = hex(old.phraseKey);
const text = Buffer.from(old.text);
const jwe = Buffer.from(vector.jwe);
const proofHash = Buffer.from(vector.proofHash, 'base64url');
const label: Label = { alg: 'dir', kid: vector.kid, hasFiles: false, proofHash };
const answerLabel: Label = { alg: 'ECDH-ES', kid: vector.askedKid, hasFiles: true, proofHash };

function opener(envelope: Uint8Array, idempotencyKey?: string, key: Uint8Array = bytes): Opener {
  const made = createOpener(ring, key, identity, envelope, idempotencyKey);
  if (!made) throw new TypeError('unknown format or key');
  return made;
}

test('known envelopes open: text, JWE, copies', (t) => {
  const { plain, copy, jwe: sealed, jweCopy } = vector.envelopes;
  t.deepEqual(opener(hex(plain)).open(undefined), text);
  t.is(opener(hex(plain)).openLabel(), undefined);
  t.is(opener(hex(plain), old.idempotencyKey).claimTag?.toString('hex'), vector.claimTag);
  t.deepEqual(opener(hex(copy), old.idempotencyKey).open(undefined), text);
  for (const made of [opener(hex(sealed)), opener(hex(jweCopy), old.idempotencyKey)]) {
    t.deepEqual(made.openLabel(), label);
    t.deepEqual(made.salt, hex(old.salt));
    t.true(made.isRightPhrase(phraseKey));
    t.deepEqual(made.open(phraseKey), jwe);
  }
  t.true(holdsJwe(hex(sealed)) && needsPhrase(hex(sealed)));
});

test('known requests and answers open', (t) => {
  t.deepEqual(requestKeyOf(secretKey), requestKey);
  t.is(requestKey.requestHash.toString('hex'), vector.requestHash);
  t.is(publicKeyOf(bytes).toString('hex'), vector.publicKey);
  const { request, answer, answerCopy, answerJwe } = vector.envelopes;
  t.deepEqual(openRequest(ring, token, identity, hex(request)), {
    publicKey: hex(vector.publicKey),
    note: vector.note,
    label: { ...answerLabel, hasFiles: false },
  });
  t.deepEqual(opener(hex(answer)).open(undefined), text);
  t.is(opener(hex(answer), old.idempotencyKey).claimTag?.toString('hex'), vector.answerClaimTag);
  t.deepEqual(opener(hex(answerCopy), old.idempotencyKey).open(undefined), text);
  t.deepEqual(opener(hex(answerJwe)).openLabel(), answerLabel);
  t.deepEqual(opener(hex(answerJwe)).open(undefined), jwe);
});

test('an answer comes back, as itself and as a copy, with the secret key alone', (t) => {
  for (const content of [{ text }, { text: jwe, label: answerLabel }]) {
    const sealed = sealAnswer(ring, publicKeyOf(bytes), identity, content);
    const made = opener(sealed, old.idempotencyKey);
    t.deepEqual(made.open(undefined), content.text);
    t.deepEqual(made.openLabel(), content.label);
    const copy = made.sealCopy(content.text, undefined);
    t.deepEqual(opener(copy, old.idempotencyKey).open(undefined), content.text);
    t.deepEqual(opener(copy, old.idempotencyKey).openLabel(), content.label);
    t.throws(() => opener(copy).open(undefined));
    t.throws(() => opener(sealed, undefined, randomBytes(36)).open(undefined));
  }
});

test('database, master key and request key together do not open an answer', (t) => {
  const sealed = sealAnswer(ring, publicKeyOf(bytes), identity, { text });
  for (const guess of [token, vector.requestKey, hex(vector.publicKey), Buffer.alloc(36)]) {
    t.throws(() => opener(sealed, undefined, Buffer.from(guess)).open(undefined));
  }
});

test('nothing opens after a single bit changed', (t) => {
  const sealed: [Buffer, Buffer | undefined][] = [
    [sealSecret(ring, bytes, identity, { text: jwe, label }, { salt: hex(old.salt), key: phraseKey }), phraseKey],
    [sealAnswer(ring, publicKeyOf(bytes), identity, { text: jwe, label: answerLabel }), undefined],
  ];
  for (const [envelope, key] of sealed) {
    for (let bit = 0; bit < envelope.length * 8; bit++) {
      const changed = flip(envelope, bit);
      t.false(
        canOpen(() => createOpener(ring, bytes, identity, changed, old.idempotencyKey)?.open(key)),
        `bit ${bit}`,
      );
    }
    const labelEnd = 10 + (key ? 76 : 32) + 93;
    for (let bit = 8; bit < labelEnd * 8; bit++) {
      if (bit === 9 || (key && bit >= (10 + 16) * 8 && bit < (10 + 76) * 8)) continue; // a copy's flag, the verifier
      t.false(
        canOpen(() => createOpener(ring, bytes, identity, flip(envelope, bit))?.openLabel()),
        `label, bit ${bit}`,
      );
    }
  }
});

test('a request does not open after a single bit changed, in itself or in what identifies it', (t) => {
  const sealed = sealRequest(ring, bytes, identity, { note: 'please', label: answerLabel });
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    t.false(
      canOpen(() => openRequest(ring, token, identity, flip(sealed, bit))),
      `bit ${bit}`,
    );
  }
  for (const changes of [{ id: randomBytes(24) }, { createdAt: 1 }, { expiresAt: expiresAt + 1 }]) {
    t.throws(() => openRequest(ring, token, { ...identity, ...changes }, sealed));
  }
  t.throws(() => openRequest(ring, randomBytes(24), identity, sealed));
  t.is(openRequest(createKeyRing([randomBytes(32)]), token, identity, sealed), undefined);
});

test('a public key of low order is refused, when an answer is sealed and when one is opened', (t) => {
  for (const point of [Buffer.alloc(32), Buffer.concat([Buffer.of(1), Buffer.alloc(31)])]) {
    t.throws(() => sealAnswer(ring, point, identity, { text }));
    const sealed = sealAnswer(ring, publicKeyOf(bytes), identity, { text });
    point.copy(sealed, 10);
    t.throws(() => opener(sealed));
  }
});

test('a request without a note and a kid has none', (t) => {
  const sealed = sealRequest(ring, bytes, identity, {});
  t.deepEqual(openRequest(ring, token, identity, sealed), { publicKey: publicKeyOf(bytes) });
});

test('every text comes back from its padding, which takes at most 12 % and shows few lengths', (t) => {
  const lengths = new Set<number>();
  for (let length = 0; length <= 5000; length++) {
    const padded = pad(Buffer.alloc(length, 1));
    t.true(padded.length >= 64 && padded.length >= length + 4);
    t.true(padded.length <= Math.max(64, (length + 4) * 1.12), `${length}`);
    t.is(unpad(padded).length, length);
    lengths.add(padded.length);
  }
  t.true(lengths.size < 100, `${lengths.size}`);
  // Of "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs".
  for (const [length, padded] of [
    [60, 64],
    [61, 72],
    [996, 1024],
    [997, 1024],
    [9 * 1024 - 4, 9216],
    [9 * 1024, 9728],
  ])
    t.is(pad(Buffer.alloc(length as number)).length, padded as number, `${length}`);
  t.throws(() => unpad(Buffer.alloc(64, 1)));
  const sizes = [0, 1, 30, 60].map(
    (length) => sealSecret(ring, bytes, identity, { text: Buffer.alloc(length) }).length,
  );
  t.is(new Set(sizes).size, 1);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9000 }), (any) => {
      t.deepEqual(Uint8Array.from(unpad(pad(any))), any);
    }),
    { numRuns: 50 },
  );
});

test('a copy is padded too', (t) => {
  const made = opener(sealSecret(ring, bytes, identity, { text }), old.idempotencyKey);
  const copies = [0, 10, 60].map((length) => made.sealCopy(Buffer.alloc(length), undefined).length);
  t.is(new Set(copies).size, 1);
});

test('request keys end with a letter or digit, and are made from the secret key', (t) => {
  for (let count = 0; count < 300; count++) {
    const made = createRequestKeys(expiresAt);
    t.regex(made.requestKey.text, /^request_[A-Za-z0-9_-]{63}[A-Za-z0-9]$/);
    t.deepEqual(parseRequestKey(made.requestKey.text), made.requestKey);
    t.deepEqual(requestKeyOf(made.secretKey), made.requestKey);
  }
});

function flip(envelope: Buffer, bit: number): Buffer {
  const changed = Buffer.from(envelope);
  changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
  return changed;
}

function canOpen(open: () => unknown): boolean {
  try {
    return open() !== undefined;
  } catch {
    return false;
  }
}
