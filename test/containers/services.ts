import { randomBytes } from 'node:crypto';
import type { ExecutionContext, TestFn } from 'ava';
import type { Containers } from '../support/containers/containers.ts';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { remember } from '../support/process/leaks.ts';
import { until } from '../support/process/program.ts';

const EMAIL = 'somebody@example.com';
const PASSWORD = randomBytes(16).toString('hex');
const SERVICES = ['auth', 'business'];

/** docker-compose.services.yml. @param change starts the containers with it, in place of those without. */
export function servicesSuite(test: TestFn, here: () => Containers, change: () => Promise<void>): void {
  test('auth and business as services of their own: a client uses each through nginx', async (t) => {
    t.timeout(300_000);
    await change();
    await createAccount(here());
    const token = await logIn(t, here().base);
    await usesEverything(t, here(), token);
    t.is((await send(here().base, '/logout', undefined, { method: 'DELETE', headers: { token } })).status, 204);
    t.is((await send(here().base, '/data', undefined, { headers: { token } })).status, 401);
  });

  test('they have no privileges and no way out, and business has no key', async (t) => {
    const keys = (await here().inside('web', 'cat /keys/master-key /keys/jwt-key')).trim().split('\n');
    const seen = await here().inside('business', 'cat /proc/[0-9]*/environ /keys/* 2>/dev/null; true');
    t.regex(seen, /mongodb:\/\//);
    for (const key of keys) t.false(seen.includes(key));
    t.regex(await here().inside('business', 'rm /auth/internal.sock 2>&1; true'), /Read-only file system/);
    for (const service of SERVICES) {
      const script = 'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status; id -u; touch /x 2>&1; true';
      const said = await here().inside(service, script);
      t.regex(said, /^CapEff:\s0+\nCapBnd:\s0+\nNoNewPrivs:\s1\n1000\n.*Read-only file system/m, service);
      const reach = `timeout 3 bash -c 'exec 3<>/dev/tcp/1.1.1.1/443' 2>&1; timeout 3 bash -c 'exec 3<>/dev/tcp/mongo/27017' && echo reached`;
      t.regex(await here().inside(service, reach), /unreachable(?:.|\n)*reached$/m, service);
    }
  });

  test('without auth, secrets go on and nobody is let in; when it is back, the session lives', async (t) => {
    t.timeout(120_000);
    const { base, compose } = here();
    const headers = { token: await logIn(t, base) };
    await compose('stop', 'auth');
    t.like(await send(base, '/data', undefined, { headers }), { status: 503, body: { code: 'AUTH_UNAVAILABLE' } });
    t.like(await send(base, '/login', {}), { status: 502, body: { code: 'NO_WORKER' } });
    const key = await createSecret(base, { secret: 'needs no account' });
    t.is((await readSecret(base, key)).status, 200);
    await compose('start', 'auth');
    await until('auth', async () => (await send(base, '/data', undefined, { headers })).status === 200);
    await compose('kill', '-s', 'HUP', 'auth');
    await compose('kill', '-s', 'HUP', 'business');
    t.is((await send(base, '/data', undefined, { headers })).status, 200);
  });
}

async function createAccount({ inside }: Containers): Promise<void> {
  remember(PASSWORD);
  const file = '/tmp/password';
  await inside(
    'auth',
    `umask 077; echo ${PASSWORD} >${file}; hushbox account create ${EMAIL} --password-file ${file}; rm ${file}`,
  );
}

async function logIn(t: ExecutionContext, base: string): Promise<string> {
  const { status, body } = await send(base, '/login', { username: EMAIL, password: PASSWORD });
  t.is(status, 200);
  remember(body.token);
  return body.token as string;
}

async function usesEverything(t: ExecutionContext, { base, inside }: Containers, token: string): Promise<void> {
  const headers = { token };
  t.like(await send(base, '/data', undefined, { headers }), { status: 200, body: { data: { email: EMAIL } } });
  t.is((await send(base, '/customers/create', { name: 'Роман', dob: '1999-12-31' }, { headers })).status, 201);
  t.is((await send(base, '/sessions', undefined, { headers })).status, 200);
  const proxyToken = (await inside('web', 'cat /keys/proxy-token')).trim();
  remember(proxyToken);
  const asCaller = { headers: { ...headers, 'proxy-authorization': `Bearer ${proxyToken}` } };
  t.like(await send(base, '/proxy/', { a: 1 }, asCaller), { status: 201, body: { payload: { user: EMAIL } } });
  t.is((await send(base, '/validateToken', { token })).status, 404);
}
