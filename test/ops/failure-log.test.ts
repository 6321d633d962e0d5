import test from 'ava';
import { AppError } from '../../src/errors.ts';
import { createFailureLog } from '../../src/ops/failure-log.ts';
import { createLog } from '../../src/ops/log.ts';

for (const code of ['STORAGE_UNAVAILABLE', 'STORAGE_FULL'] as const) {
  test(`${code} is a line a second, everything else that fails a line each`, (t) => {
    const lines: Record<string, unknown>[] = [];
    const log = createFailureLog(createLog('info', { write: (line: string) => void lines.push(JSON.parse(line)) }));
    for (let n = 0; n < 100; n++) log(`away-${n}`, new AppError(code));
    for (let n = 0; n < 3; n++) log(`bug-${n}`, new AppError('INTERNAL'));
    t.deepEqual(
      lines.map(({ requestId }) => requestId),
      ['away-0', 'bug-0', 'bug-1', 'bug-2'],
    );
  });
}
