import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { send } from '../support/http/client.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { kill, launch, type Program, type ReadyProgram, start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

/** "Within seconds", on a busy machine. */
const HEAL_MS = 15_000;

async function answersOn(path: string): Promise<boolean> {
  const asked = send(`unix:${path}`, '/health/live', undefined, { timeoutMs: 2_000 });
  return asked.then(
    ({ status }) => status === 200,
    () => false,
  );
}

function untilItAnswers(path: string): Promise<void> {
  return until(`an answer on ${path}`, () => answersOn(path), HEAL_MS);
}

/** The end of a second program: it says what is in use and what to set, and touches nothing. */
async function isRefused(t: ExecutionContext, second: Program, path: string, advice: string): Promise<void> {
  t.deepEqual(await second.exit, { code: 1, signal: null });
  const said = second.stderr().split('\n');
  t.true(said.includes(`  Another program listens on ${path}. Set ${advice}`), second.stderr());
  t.is(second.stdout(), '');
}

/** Listens on the path, in place of what is there. */
async function listenAt(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy()).listen(`${path}.new`);
  await new Promise((resolve) => server.once('listening', resolve));
  renameSync(`${path}.new`, path);
  return server;
}

/** A socket on which nobody listens any more, as a killed program leaves it. */
async function leaveStale(path: string): Promise<void> {
  const server = await listenAt(path);
  renameSync(path, `${path}.kept`); // it is removed under the name that it was bound to
  await new Promise((resolve) => server.close(resolve));
  renameSync(`${path}.kept`, path);
}

const ADVICE = 'DATA_DIR to another folder, or INTERNAL_PORT';

test.serial('a second program does not take the internal socket, and the first one keeps it', async (t) => {
  const first = await start(t);
  const path = join(first.folder, 'internal.sock');
  const before = statSync(path).ino;
  const second = await launch(t, { folder: first.folder });
  await isRefused(t, second, path, ADVICE);
  t.is(statSync(path).ino, before);
  t.true(await answersOn(path));
});

test.serial('with an internal port of its own, a second program serves the same data', async (t) => {
  const first = await start(t);
  const second = await start(t, { folder: first.folder, env: { INTERNAL_PORT: String(await findFreePort()) } });
  t.is((await send(second.base, '/health/ready')).status, 200);
  second.signal('SIGTERM');
  await second.exit;
  t.true(await answersOn(join(first.folder, 'internal.sock')));
});

test.serial('a second program does not take the sockets of workers, whatever their number', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 's');
  const first = await start(t, { folder, env: { SOCKET_DIR } });
  rmSync(join(SOCKET_DIR, 'worker-1.sock'));
  const env = { SOCKET_DIR, WORKERS: '1', INTERNAL_PORT: String(await findFreePort()) };
  const second = await launch(t, { folder, env });
  t.deepEqual(await second.exit, { code: 1, signal: null });
  t.regex(
    second.stderr(),
    /^ {2}Another program listens on .*\/s\/worker-\d\.sock\. Set SOCKET_DIR to another folder$/m,
  );
  for (const name of ['worker-1.sock', 'worker-2.sock']) await untilItAnswers(join(SOCKET_DIR, name));
  t.is(first.workers().length, 2);
});

test.serial('of programs that start at once on one folder, exactly one has the internal socket', async (t) => {
  const folder = await temporaryFolder(t);
  const programs = await Promise.all([launch(t, { folder }), launch(t, { folder })]);
  await until('the end of one, and the start of the other', () => {
    const ready = programs.filter((program) => /^Hushbox is ready/m.test(program.stdout()));
    return ready.length > 0 && programs.every((program) => ready.includes(program) || program.processes().length === 0);
  });
  const path = join(folder, 'internal.sock');
  await untilItAnswers(path);
  const ended = programs.filter((program) => program.processes().length === 0);
  if (ended.length === 1) {
    t.regex((ended[0] as Program).stderr(), /Another program listens on .*internal\.sock\. Set DATA_DIR/);
  } else {
    await until('the one without it says so', () =>
      programs.some((program) => program.stderr().includes('another program has taken the socket')),
    );
  }
  t.pass();
});

function putFile(path: string): void {
  rmSync(path);
  writeFileSync(path, 'a file');
}

const LOSSES: readonly [what: string, how: (path: string) => void | Promise<void>][] = [
  ['removed', (path) => rmSync(path)],
  ['replaced by a stale socket', leaveStale],
  ['replaced by a file', putFile],
];

async function heals(t: ExecutionContext, program: ReadyProgram, path: string, mode: number): Promise<void> {
  for (const [what, lose] of LOSSES) {
    await lose(path);
    await untilItAnswers(path);
    t.is(statSync(path).mode & 0o777, mode, what);
  }
  t.is((await send(program.base, '/health/live')).status, 200);
}

test.serial('an internal socket that was removed or replaced is bound again, and a roll keeps it', async (t) => {
  const program = await start(t);
  const path = join(program.folder, 'internal.sock');
  await heals(t, program, path, 0o600);
  process.kill(program.primary(), 'SIGHUP');
  await until('the end of the roll', () => program.stderr().includes('"isComplete":true'));
  t.true(await answersOn(path));
  for (const pid of program.workers()) kill(pid);
  await until('their successors', () => program.stderr().match(/"worker is ready"/g)?.length === 6);
  t.true(await answersOn(path));
  t.notRegex(program.stderr(), /another program has taken/);
});

test.serial('the socket of a worker that was removed or replaced is bound again, with its folder too', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 's');
  const program = await start(t, { folder, env: { SOCKET_DIR } });
  const path = join(SOCKET_DIR, 'worker-2.sock');
  await heals(t, Object.assign(program, { base: `unix:${SOCKET_DIR}/worker-1.sock` }), path, 0o660);
  rmSync(SOCKET_DIR, { recursive: true });
  for (const name of ['worker-1.sock', 'worker-2.sock']) await untilItAnswers(join(SOCKET_DIR, name));
  t.is(program.workers().length, 2);
});

test.serial('what another program listens on is left to it, said once, and bound again when that ends', async (t) => {
  const program = await start(t);
  const path = join(program.folder, 'internal.sock');
  const other = await listenAt(path);
  await until('the log says so', () => program.stderr().includes('another program has taken the socket'), HEAL_MS);
  t.false(await answersOn(path));
  other.close();
  await untilItAnswers(path);
  t.is(program.stderr().match(/another program has taken the socket/g)?.length, 1);
});

test.serial('a stale socket is taken over, a folder in the way ends the start', async (t) => {
  const stale = await temporaryFolder(t);
  await leaveStale(join(stale, 'internal.sock'));
  const program = await start(t, { folder: stale });
  t.true(await answersOn(join(program.folder, 'internal.sock')));

  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, 'internal.sock', 'in-the-way'), { recursive: true });
  const blocked = await launch(t, { folder });
  t.is((await blocked.exit).code, 1);
  t.notRegex(blocked.stderr(), /Another program/);
});
