import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { hashPhraseSync } from '../../src/hashing/argon2.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { createOpener, needsPhrase, type Opener, type PhraseKey, sealSecret } from '../../src/secrets/envelope.ts';
import { parseReceiptKey, parseSecretKey } from '../../src/secrets/keys.ts';

type Vector = {
  masterKey: string;
  masterKeyId: string;
  secretKey: string;
  id: string;
  createdAt: number;
  expiresAt: number;
  receiptKey: string;
  receiptHash: string;
  text: string;
  phrase: string;
  salt: string;
  phraseKey: string;
  idempotencyKey: string;
  claimTag: string;
  envelopes: { plain: string; phrase: string; copy: string; phraseCopy: string };
};
const vector = JSON.parse(readFileSync(new URL('../vectors/envelope-v1.json', import.meta.url), 'utf8')) as Vector;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

const ring = createKeyRing([hex(vector.masterKey)]);
const secretKey = parseSecretKey(vector.secretKey);
if (!secretKey) throw new TypeError('the vector has no secret key');
const { bytes, id } = secretKey;
const identity = { id, createdAt: vector.createdAt, expiresAt: vector.expiresAt };
const phraseKey = hex(vector.phraseKey);
const text = Buffer.from(vector.text);
const phrase: PhraseKey = { salt: hex(vector.salt), key: phraseKey };

function opener(envelope: Uint8Array, idempotencyKey?: string, changes: Partial<typeof identity> = {}): Opener {
  const made = createOpener(ring, bytes, { ...identity, ...changes }, envelope, idempotencyKey);
  if (!made) throw new TypeError('unknown format or key');
  return made;
}

test('ids, receipt hashes and master key ids are the known ones', (t) => {
  t.is(id.toString('hex'), vector.id);
  t.is(parseReceiptKey(vector.receiptKey)?.receiptHash.toString('hex'), vector.receiptHash);
  t.is(parseReceiptKey(vector.receiptKey)?.id.toString('hex'), vector.id);
  t.is(ring.current.id.toString('hex'), vector.masterKeyId);
});

test('a phrase becomes the known key', (t) => {
  const normalised = Buffer.from(vector.phrase.normalize('NFC'));
  t.is(Buffer.from(hashPhraseSync(normalised, phrase.salt)).toString('hex'), vector.phraseKey);
});

test('known envelopes open', (t) => {
  const { plain, phrase: withPhrase, copy, phraseCopy } = vector.envelopes;
  t.deepEqual(opener(hex(plain)).open(undefined), text);
  t.deepEqual(opener(hex(withPhrase)).open(phraseKey), text);
  t.deepEqual(opener(hex(copy), vector.idempotencyKey).open(undefined), text);
  t.deepEqual(opener(hex(phraseCopy), vector.idempotencyKey).open(phraseKey), text);
  t.true(opener(hex(withPhrase)).isRightPhrase(phraseKey));
  t.true(opener(hex(phraseCopy), vector.idempotencyKey).isRightPhrase(phraseKey));
  t.deepEqual(opener(hex(withPhrase)).salt, phrase.salt);
  t.is(opener(hex(plain), vector.idempotencyKey).claimTag?.toString('hex'), vector.claimTag);
});

test('any text comes back, with and without phrase, and as a copy', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      fc.boolean(),
      fc.string({ minLength: 22 }),
      (any, hasPhrase, header) => {
        const key = hasPhrase ? phraseKey : undefined;
        const sealed = sealSecret(ring, bytes, identity, { text: any }, hasPhrase ? phrase : undefined);
        t.is(needsPhrase(sealed), hasPhrase);
        const made = opener(sealed, header);
        t.deepEqual(Uint8Array.from(made.open(key)), any);
        const copy = made.sealCopy(any, key);
        t.is(needsPhrase(copy), hasPhrase);
        t.deepEqual(Uint8Array.from(opener(copy, header).open(key)), any);
        t.throws(() => opener(copy, `${header}x`).open(key));
        t.throws(() => opener(copy).open(key));
      },
    ),
    { numRuns: 50 },
  );
});

test('no envelope opens after a single bit changed, in itself or in what identifies it', (t) => {
  const sealed = sealSecret(ring, bytes, identity, { text }, phrase);
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
    const made = createOpener(ring, bytes, identity, changed, vector.idempotencyKey);
    t.false(
      canOpen(() => made?.open(phraseKey)),
      `bit ${bit}`,
    );
  }
  for (const changes of [{ id: randomBytes(24) }, { createdAt: 1 }, { expiresAt: vector.expiresAt + 1 }]) {
    t.throws(() => opener(sealed, undefined, changes).open(phraseKey));
    t.throws(() => opener(sealed, undefined, changes).isRightPhrase(phraseKey));
  }
});

test('database, master key and link together do not open a secret with a phrase', (t) => {
  const sealed = sealSecret(ring, bytes, identity, { text }, phrase);
  t.throws(() => opener(sealed).open(undefined));
  t.throws(() => opener(sealed).open(randomBytes(32)));
  t.false(opener(sealed).isRightPhrase(randomBytes(32)));
});

test('database and master key alone open nothing: another secret key fails', (t) => {
  const sealed = sealSecret(ring, bytes, identity, { text });
  t.throws(() => createOpener(ring, randomBytes(36), identity, sealed)?.open(undefined));
});

test('a key ring seals with its first key and opens with all of them; with an unknown key or format nothing is tried', (t) => {
  const [older, newer] = [randomBytes(32), randomBytes(32)];
  const before = sealSecret(createKeyRing([older]), bytes, identity, { text });
  const rotated = createKeyRing([newer, older]);
  t.deepEqual(createOpener(rotated, bytes, identity, before)?.open(undefined), text);
  const after = sealSecret(rotated, bytes, identity, { text });
  t.is(createOpener(createKeyRing([older]), bytes, identity, after), undefined);
  t.deepEqual(createOpener(createKeyRing([newer]), bytes, identity, after)?.open(undefined), text);
  t.is(
    createOpener(
      ring,
      bytes,
      identity,
      Buffer.concat([Buffer.of(3), sealSecret(ring, bytes, identity, { text }).subarray(1)]),
    ),
    undefined,
  );
  t.is(createOpener(ring, bytes, identity, Buffer.alloc(0)), undefined);
});

test('one text sealed twice has no bytes in common after the header', (t) => {
  const [one, two] = [sealSecret(ring, bytes, identity, { text }), sealSecret(ring, bytes, identity, { text })];
  t.notDeepEqual(one.subarray(10, 22), two.subarray(10, 22));
  t.notDeepEqual(one.subarray(22), two.subarray(22));
});

function canOpen(open: () => Buffer | undefined): boolean {
  try {
    return open() !== undefined;
  } catch {
    return false;
  }
}
