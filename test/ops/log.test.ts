import test from 'ava';
import { AppError } from '../../src/errors.ts';
import { createLog } from '../../src/ops/log.ts';

/** The messages of one line for each of these errors. */
function messagesOf(...errors: unknown[]): unknown[] {
  const lines: Record<string, unknown>[] = [];
  const log = createLog('trace', { write: (line: string) => void lines.push(JSON.parse(line)) });
  for (const err of errors) log.error({ err }, 'request failed');
  return lines.map(({ msg }) => msg);
}

test('the message of an error line ends with the innermost cause', (t) => {
  const full = new Error('database or disk is full');
  const middle = new Error('the commit failed', { cause: full });
  t.deepEqual(messagesOf(new AppError('STORAGE_UNAVAILABLE', { cause: middle })), [
    'request failed: database or disk is full',
  ]);
  t.deepEqual(messagesOf(new Error('100% %s %d'), new TypeError('')), [
    'request failed: 100% %s %d',
    'request failed: TypeError',
  ]);
  const refused = new AggregateError([new Error('connect ECONNREFUSED ::1:27017'), new Error('another')]);
  t.deepEqual(messagesOf(new Error('no server', { cause: refused })), [
    'request failed: connect ECONNREFUSED ::1:27017',
  ]);
});

test('the reason is one line of limited length, also in a circle of causes', (t) => {
  const circle = new Error('a circle');
  circle.cause = circle;
  t.deepEqual(messagesOf(circle, new Error(`first\nsecond`), 'no error'), [
    'request failed: a circle',
    'request failed: first',
    'request failed',
  ]);
  t.is(String(messagesOf(new Error('x'.repeat(10_000)))[0]).length, 'request failed: '.length + 300);
});

test('lines without an error stay as they are', (t) => {
  const lines: Record<string, unknown>[] = [];
  const log = createLog('trace', { write: (line: string) => void lines.push(JSON.parse(line)) });
  log.info('ready');
  log.child({ worker: 1 }).warn({ count: 2 }, 'some');
  log.info({ audit: 'secret.burned' });
  t.like(lines, [{ msg: 'ready' }, { msg: 'some', worker: 1, count: 2 }, { audit: 'secret.burned' }]);
});
