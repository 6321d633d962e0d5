import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Inspection, SqliteFact } from '../../inspection.ts';

const INSPECTOR = fileURLToPath(new URL('inspector.ts', import.meta.url));

/** Looks at the file from outside. Changes nothing, creates nothing, and takes no longer than the given time. */
export async function inspectSqlite(path: string, patienceMs: number): Promise<Inspection> {
  const isThere = statSync(path, { throwIfNoEntry: false }) !== undefined;
  return { engine: 'sqlite', facts: isThere ? await runInspector(path, patienceMs) : [{ type: 'no-file' }] };
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
