import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { ERRORS, PROXY_CODES } from '../../src/errors.ts';
import { assetRoutes } from '../../src/web/assets.ts';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { startNginx, withNginx } from '../support/nginx/nginx.ts';
import { CONFIGURATION, configure, isInstalled } from '../support/nginx/nginx-files.ts';
import { startUpstream } from '../support/nginx/upstream.ts';
import { testIf } from '../support/process/needs.ts';
import { start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';
import { KEY } from './cases/case.ts';

const run = promisify(execFile);
/** The linter; GIXY names it where it is not on the PATH. */
const GIXY = process.env.GIXY ?? 'gixy';
/** On purpose: nothing of an answer waits there, and the worker has its own deadlines for slow clients. */
const UNBUFFERED_PROXY = /(\nlocation ~ \^\/\+proxy\/\*\$ \{\n[^}]*?) +proxy_buffering off;\n/;
/** It takes the names of groups of servers for hosts that have to be looked up. */
const MAPPED_TARGET = '://$service;';
const withGixy = testIf(isInstalled(GIXY, '--version'), 'gixy');

const SETUPS = [
  { name: 'plain.conf', server: 'plain.conf' },
  { name: 'tls.conf', server: 'tls.conf' },
  { name: 'deploy/services', server: 'plain.conf', overlay: 'deploy/services' },
] as const;

for (const { name, ...setup } of SETUPS) {
  withNginx(`nginx takes the configuration with ${name}, without a warning`, async (t) => {
    const folder = await temporaryFolder(t);
    await configure(folder, { sockets: folder, ...setup, log: `${folder}/access.log requests` });
    if (setup.server === 'tls.conf') await makeCertificate(folder);
    const { stderr } = await run('nginx', ['-t', '-c', join(folder, 'nginx', 'nginx.conf')]);
    t.notRegex(stderr, /\[(?:warn|error|crit|alert|emerg)\]/);
  });

  withGixy(`the linter finds nothing in it but that /proxy is not buffered, with ${name}`, async (t) => {
    const folder = await temporaryFolder(t);
    const edit = (_file: string, text: string) =>
      text.replace(UNBUFFERED_PROXY, '$1').replace(MAPPED_TARGET, '://hushbox;');
    await configure(folder, { sockets: folder, ...setup, log: `${folder}/access.log requests`, edit });
    const { stdout } = await run(GIXY, [join(folder, 'nginx', 'nginx.conf')]);
    t.regex(stdout, /No issues found/);
  });
}

withNginx('a secret is created and read through nginx, by any worker', async (t) => {
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  await start(t, { folder, env: { SOCKET_DIR: sockets } });
  const nginx = await startNginx(t, { sockets });
  for (let n = 0; n < 4; n++) {
    const key = await createSecret(nginx.base, { secret: 'some secret' });
    t.like(await send(nginx.base, `/secrets/${key}`), { status: 200, body: { phrase: false } });
    t.like(await readSecret(nginx.base, key), { status: 200, body: { secret: 'some secret' } });
    t.like(await readSecret(nginx.base, key), { status: 404, body: { code: 'KEY_NOT_FOUND' } });
  }
  t.is(new Set(nginx.requests().map(({ upstream }) => upstream)).size, 2);
});

test("nginx's own answers have codes of the service, with their sentences, and a few of their own", (t) => {
  const text = readFileSync(join(CONFIGURATION, 'nginx.conf'), 'utf8');
  const rows = text.matchAll(/^ *(?<status>\d{3}|default) '"Error":"(?<sentence>[^"]+)","code":"(?<code>[^"]+)"';$/gm);
  const own = Array.from(rows, ({ groups }) => groups as { status: string; sentence: string; code: string });
  t.true(own.length > 10);
  for (const { status, sentence, code } of own) {
    const known = ERRORS[code as keyof typeof ERRORS];
    if (known)
      t.deepEqual([known.status, known.title], [status === 'default' ? 500 : Number(status), sentence] as never);
  }
  // 503 stands for 502: nginx has no reason for it, but would answer like that.
  t.deepEqual(
    own
      .filter(({ code, status }) => !(code in ERRORS) && status !== '503')
      .map(({ code, status }) => [code, Number(status)]),
    Object.entries(PROXY_CODES),
  );
});

const NGINX_CONF = readFileSync(join(CONFIGURATION, 'nginx.conf'), 'utf8');
const { paths: DOCUMENTED } = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as {
  paths: Record<string, Record<string, unknown>>;
};
/** The pattern of every path that the program serves: those of the document, and the files that pages load. */
const PATTERNS = [
  ...Object.keys(DOCUMENTED).map((path) => path.replace(/\{(\w+)\}/, ':$1')),
  ...assetRoutes({ type: 'image/png', content: Buffer.of(1) }).map(({ path }) => path),
];

/** The lines of a map: a regular expression (or a word), and the value it gives. */
function readMap(variable: string): { key: string; value: string }[] {
  const lines = new RegExp(`^  map \\S+ \\$${variable} \\{\\n(.*?)^  \\}`, 'ms').exec(NGINX_CONF)?.[1] ?? '';
  return Array.from(lines.matchAll(/^ *(?:"~(.+)"|(\S+)) +"?(.*?)"?;$/gm), ([, pattern, word, value]) => ({
    key: pattern ?? word ?? '',
    value: value ?? '',
  }));
}

test('nginx knows the patterns of all paths that the program serves, and no others', (t) => {
  const known = readMap('route').flatMap(({ key, value }) => {
    const group = /\(\?<(\w+)>([^)]*)\)/.exec(key);
    const [, name, alternatives = ''] = group ?? [];
    return group ? alternatives.split('|').map((one) => value.replace(`$${name}`, one.replaceAll('\\', ''))) : [];
  });
  t.deepEqual(known.sort(), PATTERNS.toSorted());
});

test('nginx gives each path its pattern, with slashes at its end and repeated ones too', (t) => {
  const patternOf = (uri: string): string => {
    for (const { key, value } of readMap('route')) {
      const found = key.startsWith('^') ? new RegExp(key).exec(uri) : null;
      if (found) return value.replace(/\$(\w+)/g, (_all, name) => found.groups?.[name] ?? '');
    }
    return 'none';
  };
  for (const pattern of PATTERNS) {
    const path = pattern.replace(/:\w+/g, KEY);
    for (const uri of [path, `${path}/`, `${path}?x`, `${path}//?x`, path.replaceAll('/', '//')]) {
      t.is(patternOf(uri), pattern, uri);
    }
  }
  for (const uri of [
    '/x',
    '/secrets',
    '/secrets/',
    `/secrets/${KEY}/x`,
    '/Generate',
    '/generate/x',
    '/assets/',
    '/metrics',
  ]) {
    t.is(patternOf(uri), 'none', uri);
  }
});

test('nginx logs every method of the document by its name, and allows these methods alone', (t) => {
  const documented = Object.values(DOCUMENTED).flatMap((item) => Object.keys(item).map((name) => name.toUpperCase()));
  const methods = [...new Set([...documented, 'HEAD', 'OPTIONS'])].sort();
  const allowed = readMap('own_allow')
    .find(({ key }) => key === '405')
    ?.value.split(', ');
  t.deepEqual(allowed?.sort(), methods);
  const logged = /\(\?<method>([^)]*)\)/.exec(readMap('logged_method').at(-1)?.key ?? '')?.[1]?.split('|') ?? [];
  t.deepEqual(
    methods.filter((method) => !logged.includes(method)),
    [],
  );
});

withNginx('the log has the pattern of every path that the program serves', async (t) => {
  const sockets = await temporaryFolder(t);
  await startUpstream(t, sockets, 1, (_request, response) => void response.end());
  const nginx = await startNginx(t, { sockets, workers: 1 });
  for (const pattern of PATTERNS) await send(nginx.base, pattern.replace(/:\w+/, KEY));
  await until('the last line', () => nginx.requests().length >= PATTERNS.length); // it is written after the answer
  const routes = nginx.requests().map(({ route }) => route);
  t.deepEqual(routes.sort(), PATTERNS.toSorted()); // each worker of nginx writes its own lines
});
