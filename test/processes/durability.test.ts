import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecret, readSecret } from '../support/http/client.ts';
import { start } from '../support/process/program.ts';
import { withStrace } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

type Event = 'request' | 'write' | 'sync' | 'answer';

/**
 * What counts of a line of strace, in the order in which it was begun; a sync counts when it has returned.
 * @param syncing the threads in a sync of the WAL whose end stands in a line of its own, for others were traced meanwhile.
 */
function eventOf(line: string, syncing: Set<string>): Event | undefined {
  if (/ read(?:\(| resumed>).*"POST \//.test(line)) return 'request';
  if (/ writev?\(.*"HTTP\/1\.1 20[01] /.test(line)) return 'answer';
  if (/ pwrite64\(\d+<[^>]*\.db-wal>/.test(line)) return 'write';
  if (/ f(data)?sync\(\d+<[^>]*\.db-wal>\)\s+= 0/.test(line)) return 'sync';
  const thread = line.split(' ')[0] as string;
  if (/ f(data)?sync\(\d+<[^>]*\.db-wal> <unfinished/.test(line)) syncing.add(thread);
  return / f(data)?sync resumed>\)\s+= 0/.test(line) && syncing.delete(thread) ? 'sync' : undefined;
}

/** From each request to its answer, with repeated events once. */
function stepsOf(trace: string): Event[][] {
  const steps: Event[][] = [];
  const syncing = new Set<string>();
  for (const line of trace.split('\n')) {
    const event = eventOf(line, syncing);
    if (event === 'request') steps.push([]);
    const current = steps.at(-1);
    if (event && current && current.at(-1) !== event && !current.includes('answer')) current.push(event);
  }
  return steps;
}

withStrace.serial('a create and a read are synced to the disk before they are answered', async (t) => {
  const folder = await temporaryFolder(t);
  const output = join(folder, 'trace');
  const calls = 'trace=read,write,writev,pwrite64,fsync,fdatasync';
  const program = await start(t, {
    folder,
    command: ['strace', '-f', '-y', '-s', '24', '-e', calls, '-o', output, process.execPath, 'src/main.ts'],
    env: { WORKERS: '1' },
  });
  const pairs = 5;
  for (let n = 0; n < pairs; n++) {
    const key = await createSecret(program.base, { secret: 'x', receipt: n % 2 === 0 });
    const headers = n < 3 ? {} : { 'idempotency-key': 'a key that was made for this' };
    t.is((await readSecret(program.base, key, {}, { headers })).status, 200);
  }
  process.kill(program.primary(), 'SIGTERM');
  await program.exit;
  const steps = stepsOf(readFileSync(output, 'utf8')).map((events) => events.join(' '));
  t.is(steps.length, 2 * pairs);
  // A checkpoint that is under way when the request comes syncs the WAL too, and the first commit into a WAL that was
  // emptied syncs its head before its own pages.
  for (const step of steps) t.regex(step, /^request( sync)?( write sync)+ answer$/);
});
