import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { Webhook } from 'standardwebhooks';
import { formatWebhookSecret, signMessage } from '../../src/webhooks/signature.ts';

type Vector = { secret: string; id: string; timestamp: number; body: string; signature: string };
const vector = JSON.parse(
  readFileSync(new URL('../vectors/standard-webhooks.json', import.meta.url), 'utf8'),
) as Vector;
const secret = Buffer.from(vector.secret.slice('whsec_'.length), 'base64');
const key = createSecretKey(secret);

test("the example of Standard Webhooks' own libraries holds", (t) => {
  const { id, timestamp, body, signature } = vector;
  t.deepEqual(signMessage(key, { id, timestampSeconds: timestamp, body }), {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signature,
  });
});

test('a secret is shown as its bytes in base64 behind whsec_', (t) => {
  t.is(formatWebhookSecret(secret), vector.secret);
});

test('id, time and body are all signed', (t) => {
  const message = { id: 'msg_a', timestampSeconds: 1, body: '{}' };
  const others = [
    message,
    { ...message, id: 'msg_b' },
    { ...message, timestampSeconds: 2 },
    { ...message, body: '[]' },
  ];
  t.is(new Set(others.map((other) => signMessage(key, other)['webhook-signature'])).size, others.length);
});

test('a receiver that uses the standardwebhooks package takes what we sign, and not what was changed on the way', (t) => {
  const body = '{"type":"secret.read"}';
  const headers = signMessage(key, { id: 'msg_a', timestampSeconds: Math.floor(Date.now() / 1_000), body });
  const receiver = new Webhook(formatWebhookSecret(secret));
  t.deepEqual(receiver.verify(body, headers), JSON.parse(body));
  t.throws(() => receiver.verify(`${body} `, headers));
  t.throws(() => receiver.verify(body, { ...headers, 'webhook-id': 'msg_b' }));
});
