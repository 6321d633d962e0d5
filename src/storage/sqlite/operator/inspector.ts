import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SqliteFact } from '../../inspection.ts';
import { retryWhileBusy } from '../engine/busy.ts';
import { openLooker } from '../engine/database.ts';
import { MIGRATIONS } from '../schema.ts';

// Looks at the file it is given, in a process of its own that can be killed when the disk or the check takes too long
// (see inspect.ts). Prints each fact as soon as it is known: file, write, check. The database does not change.

const BUSY_DEADLINE_MS = 5_000;
const PROBES = 5;
const MAX_FAULTS = 5;
const PROBE_BYTES = 4_096;

const [path = ''] = process.argv.slice(2);
const database = openLooker(path);
const ask = (pragma: string): Record<string, unknown>[] =>
  retryWhileBusy(performance.now() + BUSY_DEADLINE_MS, () => database.prepare(`PRAGMA ${pragma}`).all());

const [{ user_version } = {}] = ask('user_version');
print({ type: 'file', bytes: statSync(path).size, version: Number(user_version), newest: MIGRATIONS.length });
try {
  print({ type: 'write', ms: measureWrite(dirname(path)) });
} catch (error) {
  print({ type: 'no-write', code: (error as NodeJS.ErrnoException).code ?? 'unknown' });
}
const found = ask(`quick_check(${MAX_FAULTS})`).map(({ quick_check }) => String(quick_check));
print({ type: 'check', faults: found.filter((line) => line !== 'ok') });

/** The median time of a small synced write in this folder. The probe loses its name at once, so nothing stays behind. */
function measureWrite(folder: string): number {
  const probe = join(folder, `.hushbox-probe-${randomUUID()}`);
  const file = openSync(probe, 'wx', 0o600);
  unlinkSync(probe);
  const times = Array.from({ length: PROBES }, () => {
    const startedAt = performance.now();
    writeFileSync(file, Buffer.alloc(PROBE_BYTES));
    fsyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  return times.toSorted((a, b) => a - b)[PROBES >> 1] as number;
}

function print(fact: SqliteFact): void {
  process.stdout.write(`${JSON.stringify(fact)}\n`);
}
