import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type Finding, note, ok, problem, warning } from '../../../findings.ts';
import type { Fact } from './inspector.ts';

const INSPECTOR = fileURLToPath(new URL('inspector.ts', import.meta.url));
/** A commit waits for one such write. */
const SLOW_WRITE_MS = 50;
const RESTORE =
  'Stop the service, keep a copy of the file, and put back one that is sound, or begin with an empty one.';

/** Looks at the file from outside: changes nothing, makes nothing, and takes no longer than the time given. */
export async function inspectSqlite(path: string, patienceMs: number): Promise<Finding[]> {
  if (!statSync(path, { throwIfNoEntry: false })) return [note('There is no database yet: the first start makes it.')];
  const { facts, failure, isCut } = await runInspector(path, patienceMs);
  const findings = facts.map(judge);
  if (facts.some(({ type }) => type === 'check')) return findings;
  if (!isCut) return [...findings, problem(`The database cannot be looked at: ${failure}.`, RESTORE)];
  const isOpen = facts.length > 1;
  const late = `did not end within ${patienceMs / 1000} s`;
  return isOpen
    ? [...findings, note(`The integrity check ${late}, and was given up: the file is large, or the disk slow.`)]
    : [...findings, problem(`Opening the database ${late}.`, 'See whether its disk answers, and who holds the file.')];
}

function judge(fact: Fact): Finding {
  if (fact.type === 'file') return judgeVersion(fact);
  if (fact.type === 'write') {
    const took = `A write is on disk after ${fact.ms.toFixed(1)} ms`;
    if (fact.ms < SLOW_WRITE_MS) return ok(`${took}.`);
    return warning(`${took}: every create and read waits for that.`, 'Put the database on a faster disk.');
  }
  if (fact.type === 'no-write') {
    const advice = 'Run this as the user of the service; if it is, give that user the folder, or room on its disk.';
    return problem(`Nothing can be written beside the database (${fact.code}).`, advice);
  }
  if (fact.faults.length === 0) return ok('The integrity check found nothing.');
  return problem(`The database is damaged: ${fact.faults.join('; ')}.`, RESTORE);
}

function judgeVersion({ bytes, version, newest }: Fact & { type: 'file' }): Finding {
  const size = `${(bytes / 1_048_576).toFixed(1)} MiB`;
  if (version === newest) return ok(`SQLite opens: ${size}, version ${version} of the tables.`);
  const older = `SQLite opens: ${size}, version ${version} of the tables; the next start brings them to ${newest}.`;
  if (version < newest) return note(older, 'See docs/upgrade.md: afterwards an older program refuses the file.');
  return problem(
    `The database was made by a newer version of Hushbox (${version}, this one knows ${newest}).`,
    'Run that version: there is no way back.',
  );
}

type Report = { facts: readonly Fact[]; failure: string; isCut: boolean };

async function runInspector(path: string, patienceMs: number): Promise<Report> {
  const child = spawn(process.execPath, [INSPECTOR, path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: patienceMs,
    killSignal: 'SIGKILL',
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const lines = stdout.split('\n').slice(0, -1); // a last one without its end was cut
  return {
    facts: lines.map((line) => JSON.parse(line) as Fact),
    failure: /^\w*Error: (?<said>.*)$/m.exec(stderr)?.groups?.said ?? 'unknown failure',
    isCut: child.killed,
  };
}
