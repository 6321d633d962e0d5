import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Inspection, SqliteFact } from '../../inspection.ts';
import { findOrphan } from '../engine/companions.ts';
import { refuseOldSqlite } from '../engine/connection.ts';

const INSPECTOR = fileURLToPath(new URL('inspector.ts', import.meta.url));

/** Looks at the file from outside. Changes nothing, creates nothing, and takes no longer than the given time. */
export async function inspectSqlite(
  path: string,
  patienceMs: number,
  version = process.versions.sqlite,
): Promise<Inspection> {
  const fact = findHindrance(path, version);
  return { engine: 'sqlite', facts: fact ? [fact] : await runInspector(path, patienceMs) };
}

/** What keeps a look at the file from being useful. */
function findHindrance(path: string, version: string | undefined): SqliteFact | undefined {
  try {
    refuseOldSqlite(version);
  } catch (error) {
    return { type: 'old-sqlite', reason: (error as Error).message };
  }
  const orphan = findOrphan(path);
  if (orphan) return { type: 'orphan', ...orphan };
  return statSync(path, { throwIfNoEntry: false }) ? undefined : { type: 'no-file' };
}

async function runInspector(path: string, patienceMs: number): Promise<SqliteFact[]> {
  const child = spawn(process.execPath, [INSPECTOR, path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: patienceMs,
    killSignal: 'SIGKILL',
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const lines = stdout.split('\n').slice(0, -1); // a line without its end was cut
  const facts = lines.map((line) => JSON.parse(line) as SqliteFact);
  if (facts.some(({ type }) => type === 'check')) return facts;
  if (child.killed) return [...facts, { type: 'timeout', afterMs: patienceMs }];
  const reason = /^\w*Error: (?<message>.*)$/m.exec(stderr)?.groups?.message ?? 'unknown failure';
  return [...facts, { type: 'failure', reason }];
}
