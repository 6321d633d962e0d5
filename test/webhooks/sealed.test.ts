import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { HEAD_BYTES, masterKeyIdIn } from '../../src/sealing/head.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { fingerprintOf } from '../../src/webhooks/payload.ts';
import { createSubscription, destinationOf, openSubscription, sealSubscription } from '../../src/webhooks/sealed.ts';

type Vector = Record<
  | 'masterKey'
  | 'secretKey'
  | 'id'
  | 'url'
  | 'secret'
  | 'webhookId'
  | 'fingerprint'
  | 'sealed'
  | 'origin'
  | 'destination',
  string
>;
const vector = JSON.parse(readFileSync(new URL('../vectors/webhook-v1.json', import.meta.url), 'utf8')) as Vector;
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

const ring = createKeyRing([hex(vector.masterKey)]);
const id = hex(vector.id);
const { url, webhookId, fingerprint } = vector;

test('a known subscription opens, its destination and its fingerprint are the known ones', (t) => {
  const opened = openSubscription(ring, id, hex(vector.sealed));
  t.deepEqual(opened, { url, secret: hex(vector.secret), webhookId, fingerprint });
  t.is(destinationOf(ring.current, vector.origin).toString('hex'), vector.destination);
  t.is(fingerprintOf(vector.secretKey), fingerprint);
});

test('what is made for a new secret opens again, each with a secret and an id of its own', (t) => {
  const made = Array.from({ length: 100 }, () => createSubscription(ring, url, { id, text: vector.secretKey }));
  const opened = made.map(({ sealed }) => openSubscription(ring, id, sealed));
  for (const [index, subscription] of opened.entries()) {
    t.like(subscription, { url, fingerprint });
    t.regex(subscription?.webhookId ?? '', /^msg_[\w-]{24}$/);
    const shown = made[index]?.webhookSecret.slice('whsec_'.length) ?? '';
    t.deepEqual(Buffer.from(shown, 'base64'), Buffer.from(subscription?.secret ?? []));
  }
  t.is(new Set(opened.map((subscription) => subscription?.webhookId)).size, made.length);
  t.is(new Set(made.map(({ webhookSecret }) => webhookSecret)).size, made.length);
});

test('URLs of one origin have one destination, other origins and other master keys another', (t) => {
  const other = createKeyRing([randomBytes(32)]);
  const key = { id, text: vector.secretKey };
  const of = (from: typeof ring, to: string) => createSubscription(from, to, key).destination.toString('hex');
  t.is(of(ring, 'https://a.example/x'), of(ring, 'https://A.example:443/y?z'));
  const others = [of(ring, 'https://a.example/x'), of(ring, 'http://a.example/x'), of(ring, 'https://a.example:8443/')];
  t.is(new Set([...others, of(other, 'https://a.example/x')]).size, 4);
});

test('its head names the master key; without that key nothing is said, with an older one it opens', (t) => {
  const { sealed } = createSubscription(ring, url, { id, text: vector.secretKey });
  t.deepEqual(masterKeyIdIn(sealed.subarray(0, HEAD_BYTES)), ring.current.id);
  t.is(openSubscription(createKeyRing([randomBytes(32)]), id, sealed), undefined);
  t.like(openSubscription(createKeyRing([randomBytes(32), hex(vector.masterKey)]), id, sealed), { url });
});

test('it opens neither with a changed bit nor with the id of another secret', (t) => {
  const { sealed } = createSubscription(ring, url, { id, text: vector.secretKey });
  fc.assert(
    fc.property(fc.nat(sealed.length * 8 - 1), (bit) => {
      const changed = Buffer.from(sealed);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        t.is(openSubscription(ring, id, changed), undefined); // another format, another master key
        t.true(bit < HEAD_BYTES * 8);
      } catch (error) {
        t.regex((error as Error).message, /authenticate/);
      }
    }),
  );
  const another = Buffer.from(id);
  another[23] = (another[23] as number) ^ 1;
  t.throws(() => openSubscription(ring, another, sealed));
});

test('address, secret, id and fingerprint are not visible from outside', (t) => {
  const secret = Buffer.alloc(64, 'a secret to look for');
  const sealed = sealSubscription(ring.current, id, { url, secret, webhookId, fingerprint });
  for (const part of [Buffer.from('hooks'), secret.subarray(0, 20), hex(fingerprint)]) t.false(sealed.includes(part));
});
