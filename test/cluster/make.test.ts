import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createSecret, openUpload, readSecret, send } from '../support/client.ts';
import { isAlive, launch, type Program, type ReadyProgram, start, until, untilReplaced } from '../support/program.ts';

const hasMake = spawnSync('make', ['--version'], { encoding: 'utf8' }).stdout?.startsWith('GNU Make') ?? false;
/** What is watched of make shows on Linux alone. */
const withMake = hasMake && process.platform === 'linux' ? test.serial : test.serial.skip;
const hasScript = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false;
const withTerminal = hasScript ? test.serial : test.serial.skip;

/** As `make run`, where everything is installed: a test installs nothing. */
const MAKE_RUN = ['make', '--old-file=node_modules/.installed', 'run'] as const;

function makeRun(t: ExecutionContext): Promise<ReadyProgram> {
  return start(t, { command: MAKE_RUN });
}

function countRolls(program: Program): number {
  return program.stderr().match(/"replacing the workers"/g)?.length ?? 0;
}

async function endsCleanly(t: ExecutionContext, program: Program): Promise<void> {
  await program.exit;
  t.deepEqual(program.processes(), []);
  t.regex(program.stderr(), /"ending: /);
  t.notRegex(program.stderr(), /killed|"level":"error"/);
}

withMake('make run serves, and ends as the program does', async (t) => {
  const program = await makeRun(t);
  const key = await createSecret(program.base, { secret: 'by make' });
  t.is((await readSecret(program.base, key)).status, 200);
  process.kill(program.primary(), 'SIGTERM');
  t.deepEqual(await program.exit, { code: 0, signal: null });
  t.deepEqual(program.processes(), []);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  withMake(`${signal} to make alone drains the program and ends both`, async (t) => {
    const program = await makeRun(t);
    program.signal(signal);
    await endsCleanly(t, program);
    t.deepEqual(await program.exit, { code: null, signal }); // as make ends, once what it ran has ended
  });

  withMake(`${signal} to make and all it runs drains the program once`, async (t) => {
    const program = await makeRun(t);
    const upload = await openUpload(program.base, '/generate');
    program.signalGroup(signal);
    await sleep(500); // were it taken for a second one, it would have come by now
    t.is((await upload.finish('{"secret": "slow"}')).status, 201);
    await endsCleanly(t, program);
  });
}

withMake('SIGHUP to make alone replaces the workers, and again', async (t) => {
  const program = await makeRun(t);
  for (const round of [1, 2]) {
    const before = program.workers();
    program.signal('SIGHUP');
    await untilReplaced(program, before);
    await until('the end of the roll', () => program.stderr().match(/"done replacing/g)?.length === round);
    t.is(countRolls(program), round);
    await sleep(1_100); // within a second it would be the same signal
  }
  t.is((await send(program.base, '/health/ready')).status, 200);
  program.signal('SIGTERM');
  await endsCleanly(t, program);
});

withMake('SIGHUP to make and all it runs replaces the workers once', async (t) => {
  const program = await makeRun(t);
  const before = program.workers();
  program.signalGroup('SIGHUP');
  await untilReplaced(program, before);
  await sleep(1_500); // were it taken for a second one, it would have come by now
  t.is(countRolls(program), 1);
  program.signal('SIGINT');
  await endsCleanly(t, program);
});

withMake('a second SIGINT to make alone, more than a second later, ends a drain at once', async (t) => {
  const program = await makeRun(t);
  await openUpload(program.base, '/generate');
  program.signal('SIGINT');
  await sleep(1_400);
  t.true(isAlive(program.primary()));
  const orderedAt = performance.now();
  program.signal('SIGINT');
  await program.exit;
  t.true(performance.now() - orderedAt < 3_000);
  t.deepEqual(program.processes(), []);
});

withMake('kill -9 of make leaves no orphan: the program drains and ends', async (t) => {
  const program = await makeRun(t);
  program.signal('SIGKILL');
  await until('the end of the program', () => program.processes().length === 0);
  t.regex(program.stderr(), /"ending: /);
});

withMake('a program whose make died before it could look ends at once', async (t) => {
  const program = await launch(t, { env: { HUSHBOX_MAKE_PID: '1' } });
  t.deepEqual(await program.exit, { code: 0, signal: null });
  t.is(program.stdout(), '');
});

withMake('a failed start is a failed make', async (t) => {
  const program = await launch(t, { command: MAKE_RUN, env: { WORKERS: 'none' } });
  t.deepEqual(await program.exit, { code: 2, signal: null });
  t.regex(program.stderr(), /WORKERS must/);
});

withTerminal('SIGHUP to a program started from a terminal ends it', async (t) => {
  const program = await start(t, { command: ['script', '-qec', `${process.execPath} src/main.ts`, '/dev/null'] });
  process.kill(program.primary(), 'SIGHUP');
  t.deepEqual(await program.exit, { code: 0, signal: null });
  t.deepEqual(program.processes(), []);
});

withTerminal(
  'a terminal that goes away drains the program: its log has nowhere to go, its clients get answers',
  async (t) => {
    const program = await start(t, { command: ['script', '-qec', `${process.execPath} src/main.ts`, '/dev/null'] });
    const upload = await openUpload(program.base, '/generate');
    program.signal('SIGKILL');
    await sleep(300);
    t.is((await upload.finish('{"secret": "slow"}')).status, 201);
    await until('the end of the program', () => program.processes().length === 0);
  },
);
