import { execFileSync } from 'node:child_process';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createSecret, openUpload, readSecret, send } from '../support/http/client.ts';
import { launch, type Program, start, until, untilReplaced } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

/** Code that every worker runs before its own; the primary does not. */
async function sabotage(t: ExecutionContext, code: string): Promise<{ NODE_OPTIONS: string }> {
  const path = join(await temporaryFolder(t), 'sabotage.cjs');
  writeFileSync(path, `if (process.env.HUSHBOX_WORKER_NUMBER) { ${code} }`);
  return { NODE_OPTIONS: `--require=${path}` };
}

function countReady(program: Program): number {
  return program.stderr().match(/"worker is ready"/g)?.length ?? 0;
}

test.serial('a worker that is killed is replaced at once, and the other serves meanwhile', async (t) => {
  const program = await start(t);
  for (let round = 1; round <= 5; round++) {
    const before = program.workers();
    const [victim] = before as [number];
    process.kill(victim, 'SIGKILL');
    for (let n = 0; n < 20; n++) t.is((await send(program.base, '/health/ready')).status, 200);
    await until('two workers', () => program.workers().length === 2 && !program.workers().includes(victim));
    await until('its readiness', () => countReady(program) === 2 + round);
  }
});

test.serial('the address stays when all workers are killed at once, again and again', async (t) => {
  const program = await start(t);
  const key = await createSecret(program.base, { secret: 'survives' });
  for (let round = 1; round <= 5; round++) {
    for (const pid of program.workers()) process.kill(pid, 'SIGKILL');
    await until('two ready workers', () => countReady(program) === 2 + 2 * round);
    t.is((await send(program.base, '/health/ready')).status, 200);
  }
  t.deepEqual((await readSecret(program.base, key)).body, { secret: 'survives' });
  t.is(program.stdout().split('\n').length, 2); // ready is said once
});

test.serial('kill -9 of the primary ends its workers too, and a new start finds everything', async (t) => {
  const first = await start(t);
  const key = await createSecret(first.base, { secret: 'acknowledged' });
  const read = await createSecret(first.base, { secret: 'read' });
  await readSecret(first.base, read);
  first.signal('SIGKILL');
  await first.exit;
  await until('the end of the workers', () => first.processes().length === 0, 5_000);
  const second = await start(t, { folder: first.folder });
  t.is((await readSecret(second.base, read)).status, 404);
  t.deepEqual((await readSecret(second.base, key)).body, { secret: 'acknowledged' });
});

test.serial('workers that die as soon as they start end the program, with a line that says so', async (t) => {
  const env = await sabotage(t, 'process.exit(3);');
  const program = await launch(t, { env });
  const { code } = await program.exit;
  t.is(code, 1);
  t.is(program.stdout(), '');
  t.regex(program.stderr(), /^Hushbox cannot run: /m);
  t.deepEqual(program.processes(), []);
});

test('workers that die soon after they were ready, every time, are started again, with growing pauses', async (t) => {
  const env = await sabotage(
    t,
    `const { send } = process;
    process.send = (message, ...rest) => {
      if (message.type === 'ready') setTimeout(() => process.abort(), 50);
      return send.call(process, message, ...rest);
    };`,
  );
  const program = await launch(t, { env });
  const deaths = (): number => program.stderr().match(/"worker died"/g)?.length ?? 0;
  await until('more deaths than failed starts may be', () => deaths() > 14);
  const before = deaths();
  await sleep(2_000); // by now the pauses are longer than three seconds
  t.true(deaths() <= before + 2);
  program.signal('SIGTERM');
  t.is((await program.exit).signal, null);
  t.notRegex(program.stderr(), /giving up/);
});

test('a worker that could not even be started is started later', async (t) => {
  const folder = await temporaryFolder(t);
  const node = join(folder, 'node');
  // Not by us: a process forked meanwhile would hold the copy open for writing, and it could not be run (ETXTBSY).
  execFileSync('cp', [process.execPath, node]);
  const program = await start(t, { folder, command: [node, 'src/main.ts'] });
  renameSync(node, `${node}-away`);
  process.kill(program.workers()[0] as number, 'SIGKILL');
  await until('a start that failed', () => program.stderr().includes('"worker cannot be started: '));
  renameSync(`${node}-away`, node);
  await until('two ready workers', () => countReady(program) === 3);
  program.signal('SIGTERM');
  t.deepEqual(await program.exit, { code: 0, signal: null });
});

test('a worker that is due to start again in the middle of a roll runs once, on its socket', async (t) => {
  const folder = await temporaryFolder(t);
  const curse = join(folder, 'curse');
  const isCursed = `process.env.HUSHBOX_WORKER_NUMBER === '1' && require('node:fs').existsSync(${JSON.stringify(curse)})`;
  const env = await sabotage(t, `if (${isCursed}) process.exit(3);`);
  const program = await start(t, { folder, env: { ...env, SOCKET_DIR: folder } });
  for (let rolls = 1; rolls <= 3; rolls++) {
    const deaths = (): number => program.stderr().match(/"worker died"/g)?.length ?? 0;
    const before = deaths();
    writeFileSync(curse, '');
    process.kill(program.workers()[0] as number, 'SIGKILL');
    await until('some deaths', () => deaths() >= before + 4); // the next start is half a second away
    rmSync(curse);
    program.signal('SIGHUP');
    await until('the end of the roll', () => program.stderr().match(/"done replacing/g)?.length === rolls);
    await until('two workers', () => program.workers().length === 2);
    for (const number of [1, 2])
      t.is((await send(`unix:${folder}/worker-${number}.sock`, '/health/ready')).status, 200);
  }
});

test('a worker that hangs is replaced; the other answers everything meanwhile', async (t) => {
  const program = await start(t);
  const before = program.workers();
  const [victim] = before as [number];
  process.kill(victim, 'SIGSTOP');
  await until('its replacement', async () => {
    // Not whether it is ready: the one that hangs may have the lock of the database until it is killed.
    t.is((await send(program.base, '/health/live', undefined, { timeoutMs: 3_000 })).status, 200);
    return program.workers().length === 2 && !program.workers().includes(victim);
  });
  await until('the reason in the log', () => program.stderr().includes('"worker hangs: killed"'));
  t.true(program.workers().includes(before[1] as number));
});

test('a program that is paused as a whole and continues keeps its workers', async (t) => {
  const program = await start(t);
  const before = program.workers();
  const key = await createSecret(program.base, { secret: 'patient' });
  program.signalGroup('SIGSTOP');
  await sleep(9_000); // longer than a hanging worker is given
  program.signalGroup('SIGCONT');
  t.deepEqual((await readSecret(program.base, key)).body, { secret: 'patient' });
  await sleep(1_500); // it would have been killed with the next ping
  t.deepEqual(program.workers(), before);
});

test('a request that takes longer than a drain is still answered through a roll', async (t) => {
  const program = await start(t);
  const { finish } = await openUpload(program.base, '/generate');
  const before = program.workers();
  process.kill(program.primary(), 'SIGHUP');
  await sleep(11_000);
  t.is((await finish('{"secret": "slow"}')).status, 201);
  await t.notThrowsAsync(untilReplaced(program, before));
});
