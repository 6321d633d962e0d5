import type { Config } from '../../config/config.ts';
import { readFenceFile } from '../../fence/file.ts';
import { type FenceMark, type FenceState, lostMark, unmarked } from '../../fence/store.ts';
import { openRecords } from '../../storage/open.ts';
import { describe, instant, isDatabaseThere, type Terminal } from '../terminal.ts';
import { type Finding, note, ok, problem, warning } from './findings.ts';

const CLOCK_TOLERANCE_MS = 5_000;

/** Whether the database was restored to an older state, as far as its marks show. */
export async function inspectFence(terminal: Terminal, config: Config): Promise<Finding[]> {
  if (!isDatabaseThere(config)) return [];
  let known: readonly FenceMark[] | undefined;
  try {
    known = readFenceFile(config.FENCE_FILE); // before the database: a running service moves both
  } catch (error) {
    const advice = 'Remove the file if it is damaged. Until it is written again, an older state goes unnoticed.';
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
    const advice = 'The next start refuses every secret created before that mark. See docs/security.md.';
    return [problem(`The database is in an older state than the mark of ${instant(lost)}.`, advice)];
  }
  if (!state) return [note('The database has no mark yet: the first start writes one.')];
  const findings = state.mark > now + CLOCK_TOLERANCE_MS ? [judgeFuture(state)] : [];
  if (!known.some(({ databaseId }) => databaseId === state.databaseId)) {
    findings.push(
      warning('The fence file has no mark of this database.', 'Was it restored, or moved? See docs/security.md.'),
    );
  }
  if (state.refusedUntil > 0) {
    const text = `Secrets created until ${instant(state.refusedUntil)} are refused: the database was restored to an older state.`;
    findings.push(warning(text, 'docs/security.md says why, and what you can do.'));
  }
  return findings.length > 0 ? findings : [ok(`The last mark is of ${instant(state.mark)}.`)];
}

function judgeFuture({ mark }: FenceState): Finding {
  const advice = 'Set the clocks by NTP: with a clock that is late, expired secrets can be read again.';
  return problem(`The last mark is of ${instant(mark)}, which is in the future: the clock was set back.`, advice);
}
