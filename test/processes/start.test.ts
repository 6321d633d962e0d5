import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { type Exit, launch, type Program, start, until, untilReplaced } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const KEY = randomBytes(32).toString('hex');

async function endsInFailure(t: ExecutionContext, program: Program): Promise<Exit> {
  const exit = await program.exit;
  t.is(exit.signal, null);
  t.not(exit.code, 0);
  t.is(program.stdout(), '');
  t.deepEqual(program.processes(), []);
  return exit;
}

function socketsOf(folder: string): string[] {
  return readdirSync(folder).sort();
}

test.serial('one line on stdout gives the address once every worker listens and the storage answers', async (t) => {
  const program = await start(t, { env: { WORKERS: '3', HTTP_PORT: '0' } });
  t.regex(program.base, /^http:\/\/127\.0\.0\.1:\d+$/);
  t.is((await send(program.base, '/health/ready')).status, 200);
  t.is(program.workers().length, 3);
  const key = await createSecret(program.base, { secret: 'hand over' });
  t.deepEqual((await readSecret(program.base, key)).body, { secret: 'hand over' });
  program.signal('SIGTERM');
  t.deepEqual(await program.exit, { code: 0, signal: null });
  t.is(program.stdout(), `Hushbox is ready on ${program.base} (3 workers)\n`);
});

test.serial('a port in use ends the start, with a line that says so', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  const program = await launch(t, { env: { HTTP_PORT: String(port) } });
  await endsInFailure(t, program);
  const said = `  Port ${port} is already in use. Choose another one: HTTP_PORT=${port + 1} make run`;
  t.true(program.stderr().split('\n').includes(said), program.stderr());
});

/** The program says when it could not listen. */
const SAYING = `const { Server } = require('node:net');
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...args) {
    return listen.apply(this.once('error', ({ code }) => console.error('met', code)), args);
  };`;

test.serial('the start waits for a port that a predecessor is about to release', async (t) => {
  const folder = await temporaryFolder(t);
  const saying = join(folder, 'saying.cjs');
  writeFileSync(saying, SAYING);
  const port = await findFreePort();
  const predecessor = createServer().listen(port, '127.0.0.1');
  await new Promise((resolve) => predecessor.once('listening', resolve));
  const env = { HTTP_PORT: String(port), NODE_OPTIONS: `--require=${saying}` };
  const program = await launch(t, { folder, env });
  await until('its meeting with the predecessor', () => program.stderr().includes('met EADDRINUSE'));
  predecessor.close();
  t.is(await program.ready(), `http://127.0.0.1:${port}`);
});

test.serial('an address that is not ours ends the start, whether the port is given or free', async (t) => {
  for (const HTTP_PORT of ['0', '28000']) {
    const program = await launch(t, { env: { HTTP_PORT, HOST: '203.0.113.1' } });
    await endsInFailure(t, program);
    t.regex(program.stderr(), /^ {2}HOST is no address of this machine \(EADDRNOTAVAIL\)$/m);
  }
});

test.serial('with SOCKET_DIR each worker listens on its own socket, mode 0660, over a stale one too', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 's');
  const first = await start(t, { folder, env: { SOCKET_DIR } });
  t.is(first.base, `unix:${SOCKET_DIR}/worker-N.sock`);
  first.signalGroup('SIGKILL');
  await first.exit;
  t.deepEqual(socketsOf(SOCKET_DIR), ['worker-1.sock', 'worker-2.sock']);

  await start(t, { folder, env: { SOCKET_DIR } });
  t.deepEqual(socketsOf(SOCKET_DIR), ['worker-1.sock', 'worker-2.sock']);
  for (const name of socketsOf(SOCKET_DIR)) {
    const path = join(SOCKET_DIR, name);
    t.is(statSync(path).mode & 0o777, 0o660);
    t.is((await send(`unix:${path}`, '/health/ready')).status, 200);
  }
});

test.serial('a worker that leaves does not take away the socket of its successor', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 's');
  const program = await start(t, { folder, env: { SOCKET_DIR } });
  const before = program.workers();
  program.signal('SIGHUP');
  await until('new workers', () => {
    const now = program.workers();
    return now.length === 2 && !now.some((pid) => before.includes(pid));
  });
  t.deepEqual(socketsOf(SOCKET_DIR), ['worker-1.sock', 'worker-2.sock']);
  for (const name of socketsOf(SOCKET_DIR)) {
    t.is((await send(`unix:${join(SOCKET_DIR, name)}`, '/health/ready')).status, 200);
  }
});

test.serial(
  'the longest path that sockets have room for is taken, one byte more is refused at the start',
  async (t) => {
    const folder = await temporaryFolder(t);
    const longest = join(folder, 'x'.repeat(91 - folder.length - 1));
    const program = await start(t, { folder, env: { SOCKET_DIR: longest } });
    t.is((await send(`unix:${longest}/worker-1.sock`, '/health/ready')).status, 200);

    const refused = await launch(t, { folder, env: { SOCKET_DIR: `${longest}x` } });
    await endsInFailure(t, refused);
    t.regex(refused.stderr(), /SOCKET_DIR must be/);
    t.true(program.workers().length > 0);
  },
);

test.serial('wrong configuration ends the start, with every bad variable named and no value shown', async (t) => {
  const env = { HTTP_PORT: 'bad-1', WORKERS: 'bad-2', STORAGE_URL: 'bad-3', MASTER_KEY: 'bad-4', LOG_LEVEL: 'bad-5' };
  const program = await launch(t, { env });
  await endsInFailure(t, program);
  for (const name of Object.keys(env)) t.regex(program.stderr(), new RegExp(`^ *${name} `, 'm'));
  t.notRegex(program.stderr(), /bad-/);
});

test.serial(
  'a misspelt variable and development open to others are warned of once, and beside what is wrong',
  async (t) => {
    const program = await start(t, { env: { HTPT_PORT: 'hidden-1', HOST: '0.0.0.0' } });
    t.is(program.stderr().match(/"level":"warn".*HTPT_PORT .*HTTP_PORT/g)?.length, 1);
    t.is(program.stderr().match(/"level":"warn".*NODE_ENV=production/g)?.length, 1);
    const failed = await launch(t, { env: { NODE_ENV: 'production', MASTER_KYE: 'hidden-2' } });
    await endsInFailure(t, failed);
    t.regex(failed.stderr(), /^ {2}MASTER_KEY must be set[\s\S]*^MASTER_KYE .*MASTER_KEY/m);
    t.notRegex(program.stderr() + failed.stderr(), /hidden-/);
  },
);

test.serial('production refuses to start without a master key, and makes none', async (t) => {
  const program = await launch(t, { env: { NODE_ENV: 'production' } });
  await endsInFailure(t, program);
  t.regex(program.stderr(), /MASTER_KEY/);
  t.deepEqual(readdirSync(program.folder), []);
});

test.serial('a master key can come from a file', async (t) => {
  const folder = await temporaryFolder(t);
  const MASTER_KEY_FILE = join(folder, 'key');
  writeFileSync(MASTER_KEY_FILE, `${KEY}\n`);
  const first = await start(t, { folder, env: { NODE_ENV: 'production', MASTER_KEY_FILE } });
  const key = await createSecret(first.base, { secret: 'sealed with the file' });
  first.signal('SIGTERM');
  await first.exit;
  const second = await start(t, { folder, env: { NODE_ENV: 'production', MASTER_KEY: KEY } });
  t.deepEqual((await readSecret(second.base, key)).body, { secret: 'sealed with the file' });
});

test.serial(
  'two programs that start at once on one folder agree on the key they make, and serve one store',
  async (t) => {
    const folder = await temporaryFolder(t);
    const env = { INTERNAL_PORT: String(await findFreePort()) };
    const programs = await Promise.all([start(t, { folder }), start(t, { folder, env })]);
    t.is(statSync(join(folder, 'master.key')).mode & 0o777, 0o600);
    t.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('master')),
      ['master.key'],
    );
    const [one, other] = programs.map(({ base }) => base) as [string, string];
    t.deepEqual((await readSecret(other, await createSecret(one, { secret: 'a' }))).body, { secret: 'a' });
    t.deepEqual((await readSecret(one, await createSecret(other, { secret: 'b' }))).body, { secret: 'b' });
  },
);

test.serial('a made key is kept: a later start reads what an earlier one sealed', async (t) => {
  const first = await start(t);
  const made = readFileSync(join(first.folder, 'master.key'));
  const key = await createSecret(first.base, { secret: 'kept' });
  first.signal('SIGTERM');
  await first.exit;
  const second = await start(t, { folder: first.folder });
  t.deepEqual(readFileSync(join(first.folder, 'master.key')), made);
  t.deepEqual((await readSecret(second.base, key)).body, { secret: 'kept' });
});

test.serial('a file that is not a database ends the start, with one line that says so', async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'hushbox.db'), 'this is no database, but it is long enough to be mistaken for one');
  const program = await launch(t, { folder });
  await endsInFailure(t, program);
  t.regex(program.stderr(), /^ {2}STORAGE_URL names a file of another kind$/m);
});

test.serial(
  'with both keys, an internal port and a fence file given and the database elsewhere, no data folder is made',
  async (t) => {
    const folder = await temporaryFolder(t);
    const env = {
      MASTER_KEY: KEY,
      JWT_HEX_SECRET: KEY.repeat(2),
      STORAGE_URL: 'mongodb://127.0.0.1:1/',
      DATA_DIR: join(folder, 'none'),
      INTERNAL_PORT: String(await findFreePort()),
      FENCE_FILE: join(folder, 'fence.json'),
    };
    const program = await launch(t, { folder, env });
    await until('the workers listen', () => program.stderr().includes('storage does not answer yet'));
    t.deepEqual(readdirSync(folder), []);
  },
);

test.serial('a database that is damaged ends the start, with one line that says so', async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'hushbox.db'), `SQLite format 3\0${'damaged'.repeat(1000)}`);
  const program = await launch(t, { folder });
  await endsInFailure(t, program);
  t.is(program.stderr().match(/^Hushbox cannot run: .*not a database/gm)?.length, 1);
});

test.serial('problems that only a try can find are named with all others, and folders with their path', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'a-file');
  writeFileSync(file, 'not a folder');
  const other = join(folder, 'a-folder');
  mkdirSync(other);
  const cases: [Record<string, string>, string[]][] = [
    [
      { HOST: 'bad.host.invalid', DATA_DIR: file, LOG_LEVEL: 'bad' },
      [`The folder DATA_DIR (${file}) is not a folder`, 'HOST is no address of this machine', 'LOG_LEVEL must be'],
    ],
    [
      { HOST: 'http://bad', STORAGE_URL: `sqlite:${other}` },
      ['HOST is no address of this machine', `The file of STORAGE_URL (${other}) cannot be written to (EISDIR)`],
    ],
    [{ HOST: '[::1]', STORAGE_URL: `sqlite:${file}` }, ['HOST is', 'STORAGE_URL names a file of another kind']],
    [{ LOG_LEVEL: 'bad', DATA_DIR: join(folder, 'new', 'deep'), SOCKET_DIR: join(folder, 'sockets') }, ['LOG_LEVEL']],
    [
      { SOCKET_DIR: file, STORAGE_URL: 'mongodb://bad:bad@' },
      [`The folder SOCKET_DIR (${file}) is not a folder`, 'STORAGE_URL must be'],
    ],
    [
      { DATA_DIR: '/proc/none', SOCKET_DIR: '/proc/none/s' },
      ['The folder DATA_DIR (/proc/none) cannot be written to (ENOENT)', 'The folder SOCKET_DIR (/proc/none/s) cannot'],
    ],
    [
      { STORAGE_URL: 'sqlite:/proc/none/hushbox.db', WORKERS: 'bad' },
      ['The folder of STORAGE_URL (/proc/none) cannot be written to (ENOENT)', 'WORKERS must be'],
    ],
    [
      { STORAGE_URL: 'sqlite:/proc/none/hushbox.db', DATA_DIR: '/proc/none' },
      ['The folder of STORAGE_URL (/proc/none) cannot be written to (ENOENT)'],
    ],
    [{ FENCE_FILE: join(file, 'fence.json') }, [`The folder of FENCE_FILE (${file}) is not a folder`]],
  ];
  for (const [env, expected] of cases) {
    const program = await launch(t, { folder, env });
    await endsInFailure(t, program);
    const said = program.stderr().match(/^ {2}\S.*/gm) ?? [];
    t.is(said.length, expected.length, program.stderr());
    for (const text of expected)
      t.true(
        said.some((line) => line.startsWith(`  ${text}`)),
        `${text}: ${said}`,
      );
    t.notRegex(program.stderr(), /bad/);
    t.deepEqual(readdirSync(folder).sort(), ['a-file', 'a-folder']);
  }
});

test.serial('one worker that cannot run is enough to end the start', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 's');
  mkdirSync(join(SOCKET_DIR, 'worker-2.sock', 'in-the-way'), { recursive: true });
  await endsInFailure(t, await launch(t, { folder, env: { SOCKET_DIR } }));
});

test.serial('a start works the same if nobody reads its output', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 's');
  const command = ['sh', '-c', `${process.execPath} src/main.ts 2>&1 | true`] as const;
  const program = await launch(t, { folder, command, env: { SOCKET_DIR } });
  await until('an answer', () =>
    send(`unix:${SOCKET_DIR}/worker-1.sock`, '/health/ready').then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
  const before = program.workers();
  await until('both workers', () => program.workers().length === 2);
  process.kill(program.primary(), 'SIGHUP');
  await t.notThrowsAsync(untilReplaced(program, before));
});
