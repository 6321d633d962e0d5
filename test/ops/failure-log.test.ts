import test from 'ava';
import { AppError } from '../../src/errors.ts';
import { createFailureLog } from '../../src/ops/failure-log.ts';
import { createLog } from '../../src/ops/log.ts';

for (const code of ['STORAGE_UNAVAILABLE', 'STORAGE_FULL'] as const) {
  test(`${code} is a line a second, everything else that fails a line each`, (t) => {
    const lines: Record<string, unknown>[] = [];
    const log = createFailureLog(
      createLog('info', { write: (line: string) => void lines.push(JSON.parse(line)) }),
      () => false,
    );
    for (let n = 0; n < 100; n++) log(`away-${n}`, new AppError(code));
    for (let n = 0; n < 3; n++) log(`bug-${n}`, new AppError('INTERNAL'));
    t.deepEqual(
      lines.map(({ requestId }) => requestId),
      ['away-0', 'bug-0', 'bug-1', 'bug-2'],
    );
  });
}

test('until the service is ready, a storage that does not answer is no error', (t) => {
  const lines: Record<string, unknown>[] = [];
  let isStarting = true;
  const write = (line: string): void => void lines.push(JSON.parse(line));
  const failed = createFailureLog(createLog('info', { write }), () => isStarting);
  failed('health-check', new AppError('STORAGE_UNAVAILABLE', { cause: new Error('connect ECONNREFUSED') }));
  failed('bug', new AppError('INTERNAL'));
  t.like(lines, [
    { level: 'info', requestId: 'health-check', reason: 'connect ECONNREFUSED', err: undefined },
    { level: 'error', requestId: 'bug' },
  ]);
  isStarting = false;
  const later = createFailureLog(createLog('info', { write }), () => isStarting);
  later('away', new AppError('STORAGE_UNAVAILABLE'));
  t.like(lines.at(-1), { level: 'error', requestId: 'away' });
});
