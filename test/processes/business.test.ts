import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Answer, oneShot, send } from '../support/http/client.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { remember } from '../support/process/leaks.ts';
import { type Program, type ReadyProgram, start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const INTERNAL_TOKEN = 'an-internal-token-of-this-test';
const EMAIL = 'somebody@example.com';
const PASSWORD = 'a password of this test';

type Pair = { auth: ReadyProgram; business: ReadyProgram; token: string };

/** Two programs with nothing in common but what the environment says. */
async function startPair(t: ExecutionContext, ofAuth: Env, toAuth: (auth: Program) => Env): Promise<Pair> {
  remember(PASSWORD);
  remember(INTERNAL_TOKEN);
  const auth = await start(t, { env: { SERVICES: 'auth', ...ofAuth } });
  await createAccount(t, auth);
  // In production, where `auth` would not start without a master key.
  const env = { SERVICES: 'business', NODE_ENV: 'production', ...toAuth(auth) };
  const business = await start(t, { env });
  return { auth, business, token: await logIn(auth) };
}

type Env = Readonly<Record<string, string>>;

async function createAccount(t: ExecutionContext, { folder }: Program): Promise<void> {
  const file = join(await temporaryFolder(t), 'password');
  writeFileSync(file, PASSWORD);
  const env = { STORAGE_URL: `sqlite:${join(folder, 'hushbox.db')}`, DATA_DIR: folder };
  const { code, stderr } = await hushbox(['account', 'create', EMAIL, '--password-file', file], env);
  t.is(code, 0, stderr);
}

async function logIn({ base }: ReadyProgram): Promise<string> {
  const { status, body } = await send(base, '/login', { username: EMAIL, password: PASSWORD });
  if (status !== 200) throw new Error(`log-in: ${status}`);
  return body.token as string;
}

function getData({ business, token }: Pair): Promise<Answer> {
  return send(business.base, '/data', undefined, { headers: { token }, agent: oneShot, timeoutMs: 20_000 });
}

function isUnavailable(t: ExecutionContext, { status, headers, body }: Answer): void {
  t.is(status, 503);
  t.regex(headers['retry-after'] ?? '', /^[1-9]\d*$/);
  t.like(body, { code: 'AUTH_UNAVAILABLE' });
}

async function usesService(t: ExecutionContext, pair: Pair): Promise<void> {
  const { auth, business, token } = pair;
  const headers = { token };
  t.like(await getData(pair), { status: 200, body: { data: { email: EMAIL, role: 'member' } } });
  const created = await send(business.base, '/customers/create', { name: 'Роман', dob: '1999-12-31' }, { headers });
  t.is(created.status, 201);
  const listed = await send(business.base, '/customers', undefined, { headers: { authorization: `Bearer ${token}` } });
  t.deepEqual(listed.body as unknown, [created.body]);
  // Each serves its own, and nothing else.
  t.is((await send(auth.base, '/data', undefined, { headers })).status, 404);
  for (const path of ['/login', '/generate', '/proxy']) t.is((await send(business.base, path, {})).status, 404, path);
  t.is((await send(business.base, '/validateToken', { token })).status, 404);
  t.is((await send(auth.base, '/validateToken', { token })).status, 404);
}

/** By every worker, at once. */
async function isLoggedOut(t: ExecutionContext, pair: Pair): Promise<void> {
  const { auth, token } = pair;
  t.is((await send(auth.base, '/logout', undefined, { method: 'DELETE', headers: { token } })).status, 204);
  const answers = await Promise.all(Array.from({ length: 20 }, () => getData(pair)));
  for (const { status, body } of answers) t.deepEqual([status, body.code], [401, 'UNAUTHORIZED']);
}

test.serial('business asks auth by port, with the internal token; killed, it is away, and then back', async (t) => {
  const port = String(await findFreePort());
  const ofAuth = { INTERNAL_PORT: port, INTERNAL_TOKEN };
  const pair = await startPair(t, ofAuth, () => ({ AUTH_URL: `http://127.0.0.1:${port}`, INTERNAL_TOKEN }));
  await usesService(t, pair);
  await pair.auth.end();
  for (let left = 4; left > 0; left--) isUnavailable(t, await getData(pair));
  t.is((await send(pair.business.base, '/health/ready')).status, 200);
  t.is((await send(pair.business.base, '/data')).status, 401, 'without a token nobody is asked');
  const auth = await start(t, { folder: pair.auth.folder, env: { SERVICES: 'auth', ...ofAuth } });
  t.is((await getData(pair)).status, 200, 'the session lives');
  await isLoggedOut(t, { ...pair, auth });
});

test.serial('business asks auth over a unix socket; hung, it is away within the deadline, and then back', async (t) => {
  const pair = await startPair(t, {}, ({ folder }) => ({ AUTH_URL: `unix:${join(folder, 'internal.sock')}` }));
  await usesService(t, pair);
  const hung = pair.auth.processes();
  for (const pid of hung) process.kill(pid, 'SIGSTOP');
  const startedAt = performance.now();
  const answers = await Promise.all(Array.from({ length: 10 }, () => getData(pair)));
  t.true(performance.now() - startedAt < 15_000); // the deadline is 3 s; without one we would wait for 20 s
  for (const answer of answers) isUnavailable(t, answer);
  for (const pid of hung) process.kill(pid, 'SIGCONT');
  await until('auth to be back', async () => (await getData(pair)).status === 200);
  await isLoggedOut(t, pair);
});

test.serial('where the internal token is another one, nobody gets a yes, and the log says why', async (t) => {
  const port = String(await findFreePort());
  const pair = await startPair(t, { INTERNAL_PORT: port, INTERNAL_TOKEN }, () => ({
    ...{ AUTH_URL: `http://127.0.0.1:${port}`, INTERNAL_TOKEN: 'another-internal-token' },
  }));
  isUnavailable(t, await getData(pair));
  await until('the log', () => pair.business.stderr().includes('INTERNAL_TOKEN must be the same on both sides'));
});

test.serial('business alone starts without a master key and makes none, also where nobody knows tokens', async (t) => {
  const business = await start(t, { env: { SERVICES: 'business', NODE_ENV: 'production' } });
  isUnavailable(t, await getData({ auth: business, business, token: 'a-token-that-nobody-knows' }));
  t.regex(business.stderr(), /AUTH_URL is not set/);
  t.false(existsSync(join(business.folder, 'master.key')));
  const { paths } = (await send(business.base, '/openapi.json')).body as { paths: object };
  t.deepEqual(
    Object.keys(paths).filter((path) => !/^\/(data|customers|docs|health|status|openapi)/.test(path)),
    [],
  );
});

test.serial('a program that serves everything asks itself', async (t) => {
  const program = await start(t);
  remember(PASSWORD);
  await createAccount(t, program);
  const pair = { auth: program, business: program, token: await logIn(program) };
  t.is((await getData(pair)).status, 200);
  await isLoggedOut(t, pair);
});
