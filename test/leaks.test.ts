import test from 'ava';
import { findLeaks, remember, rememberBody, rememberCall, rememberHeaders } from './support/process/leaks.ts';

// What holds the suite to "nothing secret is logged" (support/leaks.ts) is itself held here.

test('what was sent or received is found in a log, as it is and as JSON has it', (t) => {
  rememberBody({ secret: 'two\nlines "quoted"', phrase: 'a right phrase', ttl: { days: 1 } });
  rememberBody('{"secret_key":"AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKKKLLLL","expires_at":"2066-01-01"}');
  rememberHeaders({ 'Idempotency-Key': 'an idempotency key', 'content-type': 'application/json' });
  rememberBody({ notify: 'https://hooks.example/secret-path', webhook_secret: 'whsec_QUJD+/==' });
  rememberCall({
    'webhook-id': 'msg_AAAABBBBCCCCDDDDEEEEFFFF',
    'webhook-signature': 'v1,AbC/d+ef=',
    'x-my-jwt': 'a.b.signature',
  });
  remember('receipt_AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKKKLLLL');
  t.deepEqual(findLeaks('{"level":30,"msg":"request","contentType":"application/json","at":"2066-01-01"}'), []);
  t.is(findLeaks('two\nlines "quoted"').length, 1);
  t.is(findLeaks(JSON.stringify({ msg: 'two\nlines "quoted"' })).length, 1);
  t.is(findLeaks('hashing a right phrase').length, 1);
  t.is(findLeaks('an idempotency key').length, 1);
  t.is(findLeaks('to https://hooks.example/secret-path').length, 1);
  t.is(findLeaks('{"key":"whsec_QUJD+/=="}').length, 1);
  t.is(findLeaks('msg_AAAABBBBCCCCDDDDEEEEFFFF v1,AbC/d+ef= a.b.signature').length, 3);
  t.is(findLeaks('GET /secrets/AAAABBBBCCCCDDDDEEEEFFFF?').length, 1);
  t.is(findLeaks('/receipts/receipt_AAAABBBBCCCCDDDDEEEE').length, 1);
});

test('words too short to tell are not remembered, nor what is no JSON', (t) => {
  remember('short');
  remember(undefined);
  rememberBody('<html>');
  rememberBody('null');
  t.deepEqual(findLeaks('short undefined <html>'), []);
});
