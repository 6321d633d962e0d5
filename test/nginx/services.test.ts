import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createDocument, EVERYTHING, type Served } from '../../src/openapi.ts';
import { send } from '../support/http/client.ts';
import { type Nginx, startNginx, withNginx } from '../support/nginx/nginx.ts';
import { echo, startUpstream } from '../support/nginx/upstream.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { remember } from '../support/process/leaks.ts';
import { type ReadyProgram, start, until } from '../support/process/program.ts';
import { MONGODB, temporaryFolder } from '../support/storage/storage.ts';
import { KEY } from './cases/case.ts';

// auth and business as services of their own behind nginx, as docker-compose.services.yml has them.

const OVERLAY = 'deploy/services';
const UPSTREAM = readFileSync(join(OVERLAY, 'upstream.conf'), 'utf8');
const both = MONGODB.test === test ? withNginx : MONGODB.test;
const EMAIL = 'somebody@example.com';
const PASSWORD = 'a password of this test';
const PROXY_TOKEN = 'a-token-of-this-test';

/** The patterns of the paths that a program with this service alone serves, and one without it does not. */
function patternsOf(service: keyof Served): string[] {
  const served = Object.fromEntries(Object.keys(EVERYTHING).map((name) => [name, name !== service])) as Served;
  const limits = { secretMaxBytes: 1, ttlMaxSeconds: 60 };
  const pathsOf = (some: Served): string[] =>
    Object.keys(createDocument({ limits, needsToken: false, publicUrl: undefined, served: some }).paths);
  const others = new Set(pathsOf(served));
  return pathsOf(EVERYTHING)
    .filter((path) => !others.has(path))
    .map((path) => path.replace(/\{(\w+)\}/, ':$1'));
}

for (const service of ['auth', 'business'] as const) {
  test(`nginx sends exactly the paths of ${service} to ${service}`, (t) => {
    const sent = [...UPSTREAM.matchAll(/^ {2}(\/\S+) (\S+);$/gm)];
    const own = sent.filter(([, , upstream]) => upstream === `hushbox-${service}`).map(([, pattern]) => pattern);
    t.true(own.length > 1);
    t.deepEqual(own.sort(), patternsOf(service).sort());
  });
}

test('each service that a path goes to has servers', (t) => {
  const servers = [...UPSTREAM.matchAll(/^upstream (\S+) \{\n {2}zone \1 64k;$/gm)].map(([, name]) => name);
  const targets = [...UPSTREAM.matchAll(/^ {2}(?:\/\S*|default) (\S+);$/gm)].map(([, name]) => name);
  t.deepEqual([...new Set(targets)].sort(), servers.sort()); // nginx itself would notice only at a request
});

withNginx('each path goes to the service that has it, however it is spelled; everything else to web', async (t) => {
  const sockets = join(await temporaryFolder(t), 's');
  const names = ['', '-auth', '-business'];
  for (const name of names) {
    await startUpstream(t, sockets + name, 1, (request, response) => {
      response.setHeader('x-served-by', `web${name}`);
      echo(request, response);
    });
  }
  const nginx = await startNginx(t, { sockets, workers: 1, overlay: OVERLAY });
  const expected = { auth: patternsOf('auth'), business: patternsOf('business') };
  const others = [
    '/',
    '/generate',
    `/secrets/${KEY}`,
    '/proxy',
    '/server',
    '/status',
    '/health/ready',
    '/assets/page.js',
  ];
  const unknown = ['/Login', '/login/x', '/loginx', '/x/login', '/%6cogin', '/customers/other', '/sessions/a/b'];
  for (const [wanted, patterns] of Object.entries({ ...expected, '': [...others, ...unknown] })) {
    for (const pattern of patterns) {
      const path = pattern.replace(/:\w+/, KEY);
      for (const uri of [path, `${path}/`, `${path}?x=/login`, `/${path}//?x`]) {
        const { headers, body } = await send(nginx.base, uri);
        t.is(headers['x-served-by'], wanted ? `web-${wanted}` : 'web', uri);
        t.is(body.url, uri);
      }
    }
  }
});

/** web, auth and business as the overlay sets them up: one storage, each with its own folders, business without a key. */
async function startServices(t: ExecutionContext): Promise<{ nginx: Nginx; auth: ReadyProgram }> {
  remember(PASSWORD);
  remember(PROXY_TOKEN);
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  const { url } = await MONGODB.place(t);
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, PASSWORD);
  const MASTER_KEY = randomBytes(32).toString('hex');
  const startOne = (name: string, env: Record<string, string>): Promise<ReadyProgram> => {
    const own = { SOCKET_DIR: sockets + name, DATA_DIR: `${folder}/data${name}`, STORAGE_URL: url, WORKERS: '1' };
    return start(t, { env: { ...own, NODE_ENV: 'production', PROXY_TOKEN, ...env } });
  };
  const auth = await startOne('-auth', { SERVICES: 'auth', MASTER_KEY });
  const AUTH_URL = `unix:${folder}/data-auth/internal.sock`;
  const JWT_HEX_SECRET = randomBytes(64).toString('hex');
  await startOne('-business', { SERVICES: 'business', AUTH_URL });
  await startOne('', { SERVICES: 'secrets,proxy', AUTH_URL, MASTER_KEY, JWT_HEX_SECRET });
  const words = ['account', 'create', EMAIL, '--password-file', passwordFile];
  const { code, stderr } = await hushbox(words, { STORAGE_URL: url, DATA_DIR: folder });
  t.is(code, 0, stderr);
  return { nginx: await startNginx(t, { sockets, workers: 1, overlay: OVERLAY }), auth };
}

both('a client logs in, uses data, customers and the proxy, and logs out, each at its own service', async (t) => {
  const { nginx, auth } = await startServices(t);
  const logIn = await send(nginx.base, '/login', { username: EMAIL, password: PASSWORD });
  t.is(logIn.status, 200);
  const headers = { token: logIn.body.token as string };
  remember(headers.token);
  t.like(await send(nginx.base, '/data', undefined, { headers }), { status: 200, body: { data: { email: EMAIL } } });
  const customer = { name: 'Роман', dob: '1999-12-31' };
  t.is((await send(nginx.base, '/customers/create', customer, { headers })).status, 201);
  t.is((await send(nginx.base, '/sessions', undefined, { headers })).status, 200);
  t.is((await send(nginx.base, '/generate', { secret: 'some secret' })).status, 201);
  const asCaller = { headers: { ...headers, 'proxy-authorization': `Bearer ${PROXY_TOKEN}` } };
  t.is((await send(nginx.base, '/proxy', { a: 1 }, asCaller)).status, 201);
  const calls = await send(nginx.base, '/server', undefined, { headers: { authorization: `Bearer ${PROXY_TOKEN}` } });
  t.like(Object.values(calls.body), [{ payload: { user: EMAIL } }], 'signed for the caller');
  t.is((await send(nginx.base, '/validateToken', headers)).status, 404);
  t.is((await send(nginx.base, '/logout', undefined, { method: 'DELETE', headers })).status, 204);
  t.is((await send(nginx.base, '/data', undefined, { headers })).status, 401);
  t.is((await send(nginx.base, '/proxy', { a: 1 }, asCaller)).status, 401);
  await auth.end();
  t.like(await send(nginx.base, '/login', {}), { status: 502, body: { code: 'NO_WORKER' } });
  t.like(await send(nginx.base, '/data', undefined, { headers }), { status: 503, body: { code: 'AUTH_UNAVAILABLE' } });
  t.is((await send(nginx.base, '/generate', { secret: 'another secret' })).status, 201, 'secrets need no auth');
  await until('the last line', () => nginx.requests().some(({ route, status }) => route === '/data' && status === 503));
});
