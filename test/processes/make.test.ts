import { spawnSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { parseEnvironment } from '../../src/config/config.ts';
import { createTokenKey } from '../../src/tokens/calls/key.ts';
import { signToken } from '../../src/tokens/calls/sign.ts';
import { createSecret, openUpload, readSecret, send } from '../support/http/client.ts';
import { testIf } from '../support/process/needs.ts';
import {
  isAlive,
  launch,
  type Program,
  type ReadyProgram,
  start,
  until,
  untilReplaced,
} from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const hasMake = spawnSync('make', ['--version'], { encoding: 'utf8' }).stdout?.startsWith('GNU Make') ?? false;
const withMake = testIf(hasMake, 'make').serial;
const hasScript = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false;
const withTerminal = testIf(hasScript, 'script').serial;

/** As `make run` where everything is installed, because a test installs nothing. */
const MAKE_RUN = ['make', '--old-file=node_modules/.installed', 'run'] as const;

const DEMO = { username: 'demo@example.com', password: 'demo-password' };
const MAKE_DEMO = ['make', '--old-file=node_modules/.installed', 'demo'] as const;

function makeRun(t: ExecutionContext): Promise<ReadyProgram> {
  return start(t, { command: MAKE_RUN });
}

async function endsCleanly(t: ExecutionContext, program: Program): Promise<void> {
  await program.exit;
  t.deepEqual(program.processes(), []);
  t.regex(program.stderr(), /"shutting down: /);
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

const demoEnv = (): Record<string, string> =>
  Object.fromEntries(
    readFileSync('demo.env', 'utf8')
      .split('\n')
      .filter((line) => line && !line.startsWith('#'))
      .map((line) => line.split('=', 2) as [string, string]),
  );

withMake('make demo serves with the public key, says so, and ends as the program does', async (t) => {
  const program = await start(t, { command: MAKE_DEMO });
  t.is((await send(program.base, '/proxy/', { a: 1 })).status, 201);
  t.like(Object.values((await send(program.base, '/server/')).body)[0], { payload: { user: 'username' } });
  const { JWT_HEX_SECRET = '', ...others } = demoEnv();
  t.deepEqual(Object.keys(others), ['STORAGE_URL', 'SESSION_IDLE_SECONDS']);
  const { token } = (await send(program.base, '/login', DEMO)).body as { token: string };
  const customers = await send(program.base, '/customers', undefined, { method: 'GET', headers: { token } });
  t.is(Object.keys(customers.body).length, 200);
  const key = createTokenKey(Buffer.from(JWT_HEX_SECRET, 'hex'));
  const payload = { user: 'username', date: '2026-11-21' };
  const claims = { iat: Math.floor(Date.now() / 1000), jti: randomUUID(), payload };
  const call = { headers: { 'x-my-jwt': signToken(key, claims) } };
  t.is((await send(program.base, '/server/', {}, call)).status, 201);
  t.regex(
    program.stdout(),
    /^A demonstration: .*\nThe demonstration has the account demo@example\.com: .*\nHushbox is ready on /,
  );
  const workers = program.workers();
  process.kill(program.primary(), 'SIGHUP');
  await untilReplaced(program, workers);
  t.is((await send(program.base, '/server/', {}, call)).status, 409);
  program.signal('SIGTERM');
  await endsCleanly(t, program);
});

withMake(
  'make demo keeps its data apart, and variables override its settings, also those that name a file',
  async (t) => {
    const folder = await temporaryFolder(t);
    const own = join(folder, 'own.key');
    const hex = randomBytes(64).toString('hex');
    writeFileSync(own, hex, { mode: 0o600 });
    writeFileSync(join(folder, 'url'), `sqlite:${join(folder, 'own.db')}`);
    const env = { JWT_HEX_SECRET_FILE: own, STORAGE_URL: '', STORAGE_URL_FILE: join(folder, 'url') };
    const program = await start(t, { command: MAKE_DEMO, folder, env });
    const payload = { user: 'username', date: '2026-11-21' };
    const claims = { iat: Math.floor(Date.now() / 1000), jti: randomUUID(), payload };
    const statusOf = async (key: string): Promise<number> => {
      const headers = { 'x-my-jwt': signToken(createTokenKey(Buffer.from(key, 'hex')), claims) };
      return (await send(program.base, '/server/', {}, { headers })).status;
    };
    t.is(await statusOf(demoEnv().JWT_HEX_SECRET as string), 401);
    t.is(await statusOf(hex), 201);
    t.true(existsSync(join(folder, 'own.db')));
    t.is(demoEnv().STORAGE_URL, 'sqlite:./data/demo/hushbox.db');
  },
);

test('production refuses the key of make demo', (t) => {
  const { problems } = parseEnvironment({ ...demoEnv(), NODE_ENV: 'production', MASTER_KEY: '0'.repeat(64) });
  t.deepEqual(problems, ['JWT_HEX_SECRET must not be the one of the demonstration in production']);
});

withMake('SIGTERM to make alone drains the program and ends both', async (t) => {
  const program = await makeRun(t);
  const upload = await openUpload(program.base, '/generate');
  program.signal('SIGTERM');
  await sleep(500);
  t.is((await upload.finish('{"secret": "slow"}')).status, 201);
  await endsCleanly(t, program);
  t.deepEqual(await program.exit, { code: null, signal: 'SIGTERM' }); // as make ends, after its program
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  withMake(`${signal} to make and all it runs drains the program once, and ends both`, async (t) => {
    const program = await makeRun(t);
    const upload = await openUpload(program.base, '/generate');
    program.signalGroup(signal);
    await sleep(500); // a second order, which would end the program at once, has come by now
    t.is((await upload.finish('{"secret": "slow"}')).status, 201);
    await endsCleanly(t, program);
    t.deepEqual(await program.exit, { code: null, signal });
  });
}

withMake('a second SIGINT to make and all it runs, more than a second later, ends a drain at once', async (t) => {
  const program = await makeRun(t);
  await openUpload(program.base, '/generate');
  program.signalGroup('SIGINT');
  await until('the drain', () => program.stderr().includes('"shutting down'));
  await sleep(1_200);
  t.true(isAlive(program.primary()));
  const orderedAt = performance.now();
  program.signalGroup('SIGINT');
  await program.exit;
  t.true(performance.now() - orderedAt < 5_000);
  t.deepEqual(program.processes(), []);
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

withTerminal('a terminal that goes away drains the program: its log is lost, its clients are answered', async (t) => {
  const program = await start(t, { command: ['script', '-qec', `${process.execPath} src/main.ts`, '/dev/null'] });
  const upload = await openUpload(program.base, '/generate');
  program.signal('SIGKILL');
  await sleep(300);
  t.is((await upload.finish('{"secret": "slow"}')).status, 201);
  await until('the end of the program', () => program.processes().length === 0);
});
