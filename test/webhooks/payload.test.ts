import { execFileSync } from 'node:child_process';
import test from 'ava';
import { fingerprintOf, formatPayload } from '../../src/webhooks/payload.ts';

const KEY = 'A'.repeat(43);

test('an event says what happened, when, and to which secret; nothing else', (t) => {
  t.deepEqual(JSON.parse(formatPayload('read', Date.UTC(2026, 0, 2), 'ab')), {
    type: 'secret.read',
    timestamp: '2026-01-02T00:00:00.000Z',
    data: { secret_id: 'ab' },
  });
});

test('the creator computes the same id with sha256sum', (t) => {
  const digest = execFileSync('sh', ['-c', `printf %s ${KEY} | sha256sum`], { encoding: 'utf8' });
  t.is(fingerprintOf(KEY), digest.slice(0, 32));
  t.is(fingerprintOf(KEY).length, 32);
});
