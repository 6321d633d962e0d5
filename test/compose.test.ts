import { readFileSync } from 'node:fs';
import test from 'ava';
import { listSettings } from '../src/config/config.ts';

// That the files for containers fit each other and the program; that they work: test/containers/.

const read = (path: string): string => readFileSync(path, 'utf8');
const COMPOSE = read('docker-compose.yml');
const FILES = [COMPOSE, read('docker-compose.dev.yml'), read('docker-compose.tls.yml')].join('\n');
const EXAMPLE = read('.env.example');
const [, WEB = ''] = /^ {2}web:\n((?: {4}.*\n|\n)*)/m.exec(COMPOSE) ?? [];

/** What is settled by the set-up itself, and how. */
const SETTLED: Readonly<Record<string, string>> = {
  NODE_ENV: 'in the image',
  HOST: 'in the image; nobody listens there',
  HTTP_PORT: "nginx's",
  FENCE_FILE: 'in DATA_DIR, which is a volume of its own',
  MASTER_KEY_PREVIOUS: 'on further lines of MASTER_KEY_FILE',
  TRUSTED_PROXIES: 'who comes through a socket is trusted',
};

test('every setting can be set for the containers, or is settled there', (t) => {
  t.true(WEB.includes('SOCKET_DIR'));
  const isPassed = (name: string): boolean => new RegExp(`^ {6}${name}(?:_FILE)?: `, 'm').test(WEB);
  const missing = listSettings().filter(({ name }) => !(name in SETTLED) && !isPassed(name));
  t.deepEqual(
    missing.map(({ name }) => name),
    [],
  );
});

test('.env.example explains every variable that the files take, and no other; its defaults are the true ones', (t) => {
  const taken = new Set([...FILES.matchAll(/\$\{([A-Z_]+)/g)].map(([, name = '']) => name));
  const explained = [...EXAMPLE.matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, name = '', value = '']) => ({ name, value }));
  const own = explained.filter(({ name }) => name !== 'COMPOSE_FILE'); // docker-compose's
  t.deepEqual(own.map(({ name }) => name).sort(), [...taken].sort());
  for (const { name, defaultValue } of listSettings()) {
    const example = own.find((one) => one.name === name);
    const isOurs = example !== undefined && WEB.includes(`\${${name}:-}`);
    if (isOurs && defaultValue && name !== 'INTERNAL_HOST') t.is(example.value, defaultValue, name);
  }
});

test('nothing has to be filled in: .env.example sets nothing, and every variable has a default', (t) => {
  t.deepEqual(EXAMPLE.match(/^[^#\n].*$/gm), null);
  t.deepEqual(FILES.match(/\$\{[A-Z_]+(?!:-|[A-Z_])/g), null);
});

test('there are as many workers as nginx has sockets for', (t) => {
  const sockets = read('nginx/upstream.conf').match(/^ *server unix:/gm)?.length;
  t.is(sockets, Number(/WORKERS: (\d+)/.exec(WEB)?.[1]));
});

test('one service publishes a port; MongoDB has no way out; nginx reaches neither it nor web but by sockets', (t) => {
  t.is(COMPOSE.match(/^ *ports:/gm)?.length, 1);
  t.regex(COMPOSE, /^ {2}nginx:\n(?: {4}.*\n)* {4}ports:/m);
  const networks = { nginx: 'front', web: 'back, out', mongo: 'back', setup: 'back' };
  for (const [service, names] of Object.entries(networks)) {
    t.regex(COMPOSE, new RegExp(`^ {2}${service}:\\n(?: {4}.*\\n)* {4}networks: \\[${names}\\]$`, 'm'), service);
  }
  t.is(COMPOSE.match(/^ *networks: /gm)?.length, Object.keys(networks).length);
  t.regex(COMPOSE, /^ {2}back:\n {4}internal: true$/m);
  t.regex(COMPOSE, /^ {2}out: \{\}$/m);
});

test('only what names itself goes into the image: no key, no data, no history', (t) => {
  const [first, ...others] = read('.dockerignore')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  t.is(first, '*');
  t.true(others.every((line) => /^!(?:package(?:-lock)?\.json|\.npmrc|(?:scripts|bin|src)(?:\/[\w.-]+)?)$/.test(line)));
});
