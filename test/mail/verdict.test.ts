import test from 'ava';
import { createRest } from '../../src/mail/rest.ts';
import { judgeFailure } from '../../src/mail/verdict.ts';
import type { Outcome } from '../../src/outbox/outcome.ts';

const failed = (command: string, response: string): unknown =>
  Object.assign(new Error(response), {
    code: 'EENVELOPE',
    command,
    response,
    responseCode: Number(response.slice(0, 3)),
  });

const CASES: readonly [command: string, response: string, result: Outcome['result']][] = [
  ['RCPT TO', '550 No such user', 'gone'],
  ['RCPT TO', '550 5.1.1 <a@example.org>: no such user', 'gone'],
  ['RCPT TO', '550-5.1.1 The account does not exist', 'gone'],
  ['RCPT TO', '551 User not local', 'gone'],
  ['RCPT TO', '552 5.2.2 Mailbox full', 'gone'],
  ['RCPT TO', '553 Mailbox name not allowed', 'gone'],
  ['RCPT TO', '550 5.2.1 Mailbox disabled', 'gone'],
  ['DATA', '554 5.6.0 Message content refused', 'gone'],
  ['RCPT TO', '550 5.1.8 Sender domain does not exist', 'refused'],
  ['RCPT TO', '550 5.1.7 Sender mailbox', 'refused'],
  ['RCPT TO', '550 5.7.1 Relaying denied', 'refused'],
  ['RCPT TO', '554 5.7.1 Relay access denied', 'refused'],
  ['RCPT TO', '554 Refused', 'refused'],
  ['DATA', '554 5.7.1 Looks like spam', 'refused'],
  ['RCPT TO', '503 5.5.1 Bad sequence', 'refused'],
  ['RCPT TO', '451 4.7.1 Greylisted', 'refused'],
  ['RCPT TO', '450 4.2.1 Mailbox unavailable', 'refused'],
  ['DATA', '452 4.3.1 No space', 'refused'],
  ['RCPT TO', '421 4.3.2 Shutting down', 'unreachable'],
  ['DATA', '421 Closing', 'unreachable'],
  ['MAIL FROM', '550 Sender refused', 'unreachable'],
  ['MAIL FROM', '530 5.7.0 Authentication required', 'unreachable'],
  ['AUTH PLAIN', '535 5.7.8 Invalid credentials', 'unreachable'],
  ['CONN', '554 No service', 'unreachable'],
  ['STARTTLS', '550 5.1.1 Odd', 'unreachable'],
];
for (const [command, response, expected] of CASES) {
  test(`${command} ${response}: ${expected}`, (t) => {
    t.is(judgeFailure(failed(command, response)).outcome.result, expected);
  });
}

test('a failure without an answer is one of the server, and what is kept of a failure are words of the library', (t) => {
  const secret = 'anna@example.org';
  for (const error of [
    Object.assign(new Error(secret), { code: 'ECONNECTION', command: 'CONN' }),
    Object.assign(new Error(secret), { code: 'ETIMEDOUT' }),
    new DOMException('aborted', 'AbortError'),
    Object.assign(new Error(secret), { code: secret, command: `RCPT TO ${secret}`, response: secret }),
  ]) {
    const { outcome, failure } = judgeFailure(error);
    t.is(outcome.result, 'unreachable');
    t.false(JSON.stringify(failure).includes('anna'));
  }
});

test('a server rests after three failures in a row, longer each time up to ten seconds, until it answers', (t) => {
  const rest = createRest();
  const rests: number[] = [];
  for (let n = 0; n < 9; n++) {
    rest.note('failed', 0);
    rests.push(rest.leftMs(0));
  }
  t.deepEqual(rests, [0, 0, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
  t.is(rest.leftMs(9_999), 1);
  t.is(rest.leftMs(10_000), 0);
  t.is(rest.leftMs(-3_600_000), 10_000, 'the clock was set back');
  rest.note('answered', 10_000);
  rest.note('failed', 10_000);
  t.is(rest.leftMs(10_000), 0);
});
