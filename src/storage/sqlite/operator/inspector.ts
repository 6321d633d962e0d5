import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { retryWhileBusy } from '../engine/busy.ts';
import { openLooker } from '../engine/database.ts';
import { MIGRATIONS } from '../schema.ts';

// A process of its own that looks at the file it is given, for it can be killed when the disk or a check takes too long:
// see inspect.ts. Each fact is told as soon as it is known. Nothing of the database changes.

/** What is told, in this order. */
export type Fact =
  | { type: 'file'; bytes: number; version: number; newest: number }
  | { type: 'write'; ms: number }
  | { type: 'no-write'; code: string }
  | { type: 'check'; faults: readonly string[] };

const BUSY_DEADLINE_MS = 5_000;
const PROBES = 5;
const MAX_FAULTS = 5;
const PROBE_BYTES = 4_096;

const [path = ''] = process.argv.slice(2);
const database = openLooker(path);
const ask = (pragma: string): Record<string, unknown>[] =>
  retryWhileBusy(performance.now() + BUSY_DEADLINE_MS, () => database.prepare(`PRAGMA ${pragma}`).all());

const [{ user_version } = {}] = ask('user_version');
tell({ type: 'file', bytes: statSync(path).size, version: Number(user_version), newest: MIGRATIONS.length });
try {
  tell({ type: 'write', ms: measureWrite(dirname(path)) });
} catch (error) {
  tell({ type: 'no-write', code: (error as NodeJS.ErrnoException).code ?? 'unknown' });
}
const found = ask(`quick_check(${MAX_FAULTS})`).map(({ quick_check }) => String(quick_check));
tell({ type: 'check', faults: found.filter((line) => line !== 'ok') });

/** The usual time until the disk of this folder has a small write. The file has no name after its first moment. */
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

function tell(fact: Fact): void {
  process.stdout.write(`${JSON.stringify(fact)}\n`);
}
