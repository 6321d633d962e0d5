import { mkdirSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { Agent } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { chooseFirstName } from '../../src/processes/internal-socket.ts';
import { oneShot, openUpload, send, type Target } from '../support/http/client.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { kill, launch, type Program, start, until, untilReplaced } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const TOKEN = 'a token for the internal listener'.replaceAll(' ', '-');

function internalOf({ folder }: Program): Target {
  return `unix:${join(folder, 'internal.sock')}`;
}

test.serial(
  'the internal listener is a socket in DATA_DIR that only the owner may use, with its own routes',
  async (t) => {
    const program = await start(t);
    const internal = internalOf(program);
    t.is(statSync(join(program.folder, 'internal.sock')).mode & 0o777, 0o600);
    t.deepEqual(
      readdirSync(program.folder).filter((name) => name.includes('internal')),
      ['internal.sock'],
    );
    for (const path of ['/health/live', '/health/ready']) t.is((await send(internal, path)).status, 200);
    const { status, body, headers } = await send(internal, '/generate', { secret: 'x' });
    t.is(status, 404);
    t.like(body, { code: 'NOT_FOUND', request_id: headers['x-request-id'] });
    t.like(headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  },
);

test.serial('with a port and a token, the internal listener answers requests that send the token', async (t) => {
  const port = await findFreePort();
  const env = { INTERNAL_PORT: String(port), INTERNAL_HOST: '0.0.0.0', INTERNAL_TOKEN: TOKEN };
  const program = await start(t, { env });
  const internal = `http://127.0.0.1:${port}`;
  for (const authorization of [undefined, 'Bearer', `Bearer ${TOKEN}x`, `Basic ${TOKEN}`]) {
    for (const path of ['/health/live', '/no-such-path']) {
      const answer = await send(internal, path, undefined, { headers: { ...(authorization && { authorization }) } });
      t.is(answer.status, 401, `${path} ${authorization}`);
      t.is(answer.headers['www-authenticate'], 'Bearer');
    }
  }
  const headers = { authorization: `Bearer ${TOKEN}` };
  t.is((await send(internal, '/health/live', undefined, { headers })).status, 200);
  t.false(readdirSync(program.folder).includes('internal.sock'));
});

test.serial('an internal port in use, and a folder too long for a socket, end the start and are named', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  const folder = await temporaryFolder(t);
  for (const [env, message] of [
    [
      { INTERNAL_PORT: String(port) },
      new RegExp(`^ {2}Port ${port} is already in use\\. .*: INTERNAL_PORT=\\d+ `, 'm'),
    ],
    [{ INTERNAL_PORT: '9', INTERNAL_HOST: '203.0.113.1', INTERNAL_TOKEN: TOKEN }, /^ {2}INTERNAL_HOST is no address/m],
    [{ DATA_DIR: join(folder, 'x'.repeat(88 - folder.length)) }, /^ {2}DATA_DIR must be at most 88 bytes long/m],
  ] as const) {
    const program = await launch(t, { env });
    t.is((await program.exit).code, 1);
    t.regex(program.stderr(), message);
  }
  const longest = join(folder, 'x'.repeat(88 - folder.length - 1));
  await start(t, { env: { DATA_DIR: longest } });
  t.is((await send(`unix:${longest}/internal.sock`, '/health/live')).status, 200);
});

const CLIENTS = 20;
const KILLS = 4;
type Load = { answered: number; failures: string[]; stop(): Promise<void> };

/** Clients that ask the whole time, half of them on a connection that they keep. */
function startAsking(target: Target): Load {
  let isStopping = false;
  const load: Load = {
    answered: 0,
    failures: [],
    async stop() {
      isStopping = true;
      await Promise.all(clients);
    },
  };
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const agent = client % 2 === 0 ? oneShot : new Agent({ keepAlive: true, maxSockets: 1 });
    while (!isStopping) {
      try {
        const { status } = await send(target, '/health/live', undefined, { agent });
        if (status === 200) load.answered += 1;
        else load.failures.push(String(status));
      } catch (error) {
        load.failures.push((error as NodeJS.ErrnoException).code ?? String(error));
      }
    }
    if (agent !== oneShot) agent.destroy();
  });
  return load;
}

test.serial('replacing the workers refuses and cuts no call to the internal listener', async (t) => {
  const program = await start(t);
  const load = startAsking(internalOf(program));
  for (let rolls = 1; rolls <= 2; rolls++) {
    const before = program.workers();
    process.kill(program.primary(), 'SIGHUP');
    await untilReplaced(program, before);
    await until('the end of the roll', () => program.stderr().match(/"done replacing/g)?.length === rolls);
  }
  await load.stop();
  t.deepEqual(load.failures, []);
  t.true(load.answered > 50, `${load.answered} answers`);
});

test.serial('the death of a worker refuses no call to the internal listener, and cuts only those it had', async (t) => {
  const program = await start(t);
  const load = startAsking(internalOf(program));
  for (let kills = 0; kills < KILLS; kills++) {
    const before = program.workers();
    kill(before[kills % 2] as number);
    await until('its successor', () => program.stderr().match(/"worker is ready"/g)?.length === 3 + kills);
  }
  await load.stop();
  t.deepEqual(
    load.failures.filter((failure) => ['ECONNREFUSED', 'ENOENT', '503'].includes(failure)),
    [],
  );
  t.true(load.failures.length <= KILLS * CLIENTS, `${load.failures}`);
  t.true(load.answered > 50, `${load.answered} answers`);
});

test.serial('a program takes over the socket that an earlier one left at its end or when it was killed', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await start(t, { folder });
  first.signal('SIGTERM');
  await first.exit;
  const second = await start(t, { folder });
  t.is((await send(internalOf(second), '/health/ready')).status, 200);
  second.signalGroup('SIGKILL');
  await second.end();
  const third = await start(t, { folder });
  t.is((await send(internalOf(third), '/health/ready')).status, 200);
});

/** @returns a program whose public port is just closed. Everything is cut a second later: if that is near, it starts again. */
async function startDraining(t: ExecutionContext, tries = 5) {
  const program = await start(t, { env: { WORKERS: '1' } });
  const internal = internalOf(program);
  const { finish } = await openUpload(program.base, '/generate');
  const orderedAt = performance.now();
  program.signal('SIGTERM');
  await until('not ready', async () => (await send(internal, '/health/ready')).status === 503);
  await until('no public port', () =>
    send(program.base, '/health/live').then(
      () => false,
      () => true,
    ),
  );
  if (performance.now() - orderedAt < 7_900 || tries === 1) return { program, internal, finish };
  await program.end();
  return startDraining(t, tries - 1);
}

test.serial('the internal listener answers until the public one is drained', async (t) => {
  const { program, internal, finish } = await startDraining(t);
  const { status, headers } = await send(internal, '/health/live');
  t.is(status, 200);
  t.is(headers.connection, 'close');
  t.is((await finish('{"secret": "slow"}')).status, 201);
  t.deepEqual(await program.exit, { code: 0, signal: null });
});

test('a first name that a killed program left is removed, one that another program is binding is not', async (t) => {
  const folder = await temporaryFolder(t);
  const bind = async (name: string, ageSeconds: number): Promise<void> => {
    const server = createServer().listen(join(folder, name));
    t.teardown(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const at = statSync(join(folder, name)).mtimeMs / 1000 - ageSeconds;
    utimesSync(join(folder, name), at, at);
  };
  await bind('.internal-00000001', 120);
  await bind('.internal-00000002', 0);
  await bind('internal.sock', 120);
  mkdirSync(join(folder, '.internal-00000003'));
  const name = chooseFirstName(folder);
  t.regex(name, /^\.internal-[0-9a-f]{8}$/);
  t.deepEqual(readdirSync(folder).sort(), ['.internal-00000002', '.internal-00000003', 'internal.sock']);
});
