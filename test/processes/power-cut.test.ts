import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { createSecret, readSecret } from '../support/http/client.ts';
import { parseTrace, rebuildDisk, STRACE, sentIn, type Trace } from '../support/process/disk-trace.ts';
import { launch, start } from '../support/process/program.ts';
import { withStrace } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const CUTS = Number(process.env.POWER_CUTS ?? 12);
const CLIENTS = 8;
const PER_CLIENT = 25;
/** Large, so that the write-ahead log is brought into the database several times. */
const FILLER = 'x'.repeat(24_000);

/** A secret, and the lines of the trace where the answers to its creation and to its reading began. */
type Traced = { key: string; text: string; createdAt: number; readAt: number };

/** Serves a load under strace: of two secrets one is read. */
async function traceLoad(t: ExecutionContext): Promise<{ folder: string; trace: Trace; secrets: Traced[] }> {
  const folder = join(await temporaryFolder(t), 'data');
  mkdirSync(folder);
  const output = join(folder, '..', 'trace');
  const program = await start(t, {
    folder,
    command: ['strace', ...STRACE, '-o', output, process.execPath, 'src/main.ts'],
    env: { WORKERS: '1' },
  });
  const client = async (number: number): Promise<{ key: string; text: string }[]> => {
    const made = [];
    for (let n = 0; n < PER_CLIENT; n++) {
      const text = `secret ${number}.${n}. ${FILLER}`;
      const key = await createSecret(program.base, { secret: text });
      made.push({ key, text });
      if (n % 2 === 0) t.is((await readSecret(program.base, key)).status, 200);
    }
    return made;
  };
  const made = (await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)))).flat();
  process.kill(program.primary(), 'SIGTERM');
  await program.exit;
  const trace = parseTrace(output);
  const sent = sentIn(trace);
  const lineOf = (text: string): number => sent.find((one) => one.text.includes(text))?.at ?? Number.POSITIVE_INFINITY;
  const secrets = made.map(({ key, text }) => {
    return { key, text, createdAt: lineOf(key), readAt: lineOf(`"secret":"${text.split('x', 1)[0]}`) };
  });
  t.true(secrets.every(({ createdAt }) => Number.isFinite(createdAt)));
  t.is(secrets.filter(({ readAt }) => Number.isFinite(readAt)).length, CLIENTS * Math.ceil(PER_CLIENT / 2));
  return { folder, trace, secrets };
}

/** Starts the program on what the disk holds after a cut. @returns each acknowledged step that is not true any more. */
async function faultsAfter(t: ExecutionContext, disk: string, secrets: Traced[], cutAt: number): Promise<string[]> {
  const created = secrets.filter(({ createdAt }) => createdAt < cutAt);
  const mustBeGone = created.filter(({ readAt }) => readAt < cutAt);
  const mustBeThere = created.filter(({ readAt }) => readAt === Number.POSITIVE_INFINITY);
  const program = await launch(t, { folder: disk, env: { WORKERS: '1' } });
  const base = await program.ready().catch(() => undefined);
  if (!base) return [`does not start: ${program.stderr().split('\n').at(-2)}`];
  const faults: string[] = [];
  await Promise.all(
    mustBeGone.map(async ({ key, text }) => {
      const { status } = await readSecret(base, key);
      if (status !== 404) faults.push(`read twice: ${text.slice(0, 14)} (${status})`);
    }),
  );
  await Promise.all(
    mustBeThere.map(async ({ key, text }) => {
      const { status, body } = await readSecret(base, key);
      if (status !== 200 || body.secret !== text) faults.push(`lost: ${text.slice(0, 14)} (${status})`);
    }),
  );
  await program.end();
  return faults;
}

withStrace.serial('a power cut at any moment loses no acknowledged secret and brings none back', async (t) => {
  t.timeout(600_000);
  const { folder, trace, secrets } = await traceLoad(t);
  const from = Math.min(...secrets.map(({ createdAt }) => createdAt));
  const until = Math.max(...secrets.map(({ createdAt }) => createdAt));
  for (let cut = 0; cut < CUTS; cut++) {
    const cutAt = Math.round(from + Math.random() * (until - from));
    const to = join(await temporaryFolder(t), 'disk');
    rebuildDisk(trace, { folder, to, cutAt, chance: Math.random });
    t.deepEqual(await faultsAfter(t, to, secrets, cutAt), [], `cut at line ${cutAt}`);
  }

  // The same, as if the sync of a commit were left out: this test has to see it.
  const found: string[] = [];
  for (let cut = 0; cut < 5 && found.length === 0; cut++) {
    const cutAt = Math.round((from + until) / 2 + cut * 10);
    const to = join(await temporaryFolder(t), 'disk');
    rebuildDisk(trace, { folder, to, cutAt, chance: Math.random }, (file) => !file.endsWith('-wal'));
    found.push(...(await faultsAfter(t, to, secrets, cutAt)));
  }
  t.regex(found.join(), /^(lost|read twice|does not start): /);
});
