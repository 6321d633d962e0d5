import type { Config } from '../../config/config.ts';
import { readFenceFile } from '../../fence/file.ts';
import { type FenceMark, type FenceState, lostMark, unmarked } from '../../fence/store.ts';
import { type Finding, note, ok, problem, warning } from '../../findings.ts';
import { openRecords } from '../../storage/open.ts';
import { describe, instant, isDatabaseThere, type Terminal } from '../terminal.ts';

const CLOCK_TOLERANCE_MS = 5_000;

/** Whether the database was put back to an older state, as far as its marks tell. */
export async function inspectFence(terminal: Terminal, config: Config): Promise<Finding[]> {
  if (!isDatabaseThere(config)) return [];
  let known: readonly FenceMark[] | undefined;
  try {
    known = readFenceFile(config.FENCE_FILE); // before the database: a running service moves both
  } catch (error) {
    const advice = 'Remove the file if it is damaged: until it is written anew, an older state cannot be told.';
    return [problem(`The marks in ${config.FENCE_FILE} cannot be read: ${describe(error)}.`, advice)];
  }
  const records = await openRecords(config);
  try {
    return judge(await records.findMark(), known, terminal.now());
  } finally {
    await records.close();
  }
}

function judge(state: FenceState | undefined, known: readonly FenceMark[] = [], now: number): Finding[] {
  const lost = lostMark(state ?? unmarked(''), known);
  if (lost > 0) {
    const advice =
      'docs/security.md says what was put back. The next start refuses every secret made before that mark.';
    return [problem(`The database is in an older state than the mark of ${instant(lost)}.`, advice)];
  }
  if (!state) return [note('The database was never marked: the first start does it.')];
  const findings = state.mark > now + CLOCK_TOLERANCE_MS ? [judgeFuture(state)] : [];
  if (!known.some(({ databaseId }) => databaseId === state.databaseId)) {
    findings.push(
      warning('The fence file has no mark of this database.', 'Was it restored, or moved? See docs/security.md.'),
    );
  }
  if (state.refusedUntil > 0) {
    const text = `Secrets made until ${instant(state.refusedUntil)} are refused: the database had been put back.`;
    findings.push(warning(text, 'docs/security.md says why, and what can be done.'));
  }
  return findings.length > 0 ? findings : [ok(`The last mark is of ${instant(state.mark)}.`)];
}

function judgeFuture({ mark }: FenceState): Finding {
  const advice = 'Set the clocks by NTP: with a clock that is late, what has expired waits again.';
  return problem(`The last mark is of ${instant(mark)}, which is in the future: our clock went back.`, advice);
}
