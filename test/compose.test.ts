import { readFileSync } from 'node:fs';
import test from 'ava';
import { listSettings } from '../src/config/config.ts';
import { SERVICES } from '../src/config/schema.ts';

// That the files for containers fit each other and the program; that they work: test/containers/.

const read = (path: string): string => readFileSync(path, 'utf8');
const COMPOSE = read('docker-compose.yml');
const OVERLAY = read('docker-compose.services.yml');
const OVERLAY_UPSTREAM = read('deploy/services/upstream.conf');
const KAFKA = read('docker-compose.kafka.yml');
const MAIL = read('docker-compose.mail.yml');
const FILES = [COMPOSE, OVERLAY, KAFKA, MAIL, read('docker-compose.dev.yml'), read('docker-compose.tls.yml')].join(
  '\n',
);
const EXAMPLE = read('.env.example');
const WEB = serviceOf(COMPOSE, 'web');

/** The lines of a service, and of what it shares with others. */
function serviceOf(file: string, name: string): string {
  const [, own = ''] = new RegExp(`^ {2}${name}:\\n((?: {4}.*\\n|\\n)*)`, 'm').exec(file) ?? [];
  const shared = [...own.matchAll(/^ *<<: \*(\w+)$/gm)].map(
    ([, anchor]) => new RegExp(`^x-\\w+: &${anchor}\\n((?: {2}.*\\n)*)`, 'm').exec(file)?.[1] ?? '',
  );
  return [own, ...shared].join('\n');
}

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

/** What a service of the overlay has no use for, and why. */
const SECRETS_AND_CALLS = ['CREATE_TOKEN', 'CREATES_PER_MINUTE', 'CLIENT_MAX_SECRETS', 'CLIENT_MAX_BYTES'].concat(
  ['SECRET_MAX_BYTES', 'SECRET_TTL_MAX_SECONDS', 'JWT_HEX_SECRET', 'PROXY_USER', 'PROXY_TOKEN', 'PROXY_OPEN'],
  ['EGRESS_ALLOW', 'EGRESS_DNS', 'KAFKA_URL'],
);
const USELESS: Readonly<Record<string, readonly string[]>> = {
  // Its internal listener is a socket and has to stay one: that is where the others ask.
  auth: [...SECRETS_AND_CALLS, 'AUTH_URL', 'INTERNAL_PORT', 'INTERNAL_HOST', 'INTERNAL_TOKEN'],
  business: [
    ...SECRETS_AND_CALLS,
    'MASTER_KEY',
    'SESSION_IDLE_SECONDS',
    'BROWSER_IDLE_SECONDS',
    'SESSION_MAX_SECONDS',
    'SINGLE_SESSION',
    'REGISTRATION',
    'SMTP_URL',
    'MAIL_FROM',
  ],
};

for (const [name, useless] of Object.entries(USELESS)) {
  const lines = serviceOf(OVERLAY, name);

  test(`overlay: ${name} gets every setting that it has a use for, and no other`, (t) => {
    const passed = new Set([...lines.matchAll(/^ *([A-Z_]+?)(?:_FILE)?: /gm)].map(([, setting]) => setting));
    const wanted = listSettings().filter((setting) => !(setting.name in SETTLED) && !useless.includes(setting.name));
    t.deepEqual([...passed].sort(), wanted.map((setting) => setting.name).sort());
    t.regex(lines, new RegExp(`^ *SERVICES: ${name}$`, 'm'));
  });

  test(`overlay: ${name} has no privileges, no port, no way out but to the mail server, and limits; nginx has its sockets`, (t) => {
    for (const line of [
      /read_only: true/,
      /cap_drop: \[ALL\]/,
      /security_opt: \["no-new-privileges:true"\]/,
      name === 'auth' ? /networks: \[back, out\] # to the mail server/ : /networks: \[back\]/,
      /pids_limit: \d+/,
      /mem_limit: \S+/,
      /cpu_quota: \d+/,
      /stop_grace_period: 15s/,
      /options: \{ max-size: "10m", max-file: "5" \}/,
      new RegExp(`- ${name}-sockets:/run/hushbox`),
    ]) {
      t.regex(lines, new RegExp(`^ *${line.source}$`, 'm'));
    }
    t.notRegex(lines, /ports:|cap_add|user:/);
    t.true(serviceOf(OVERLAY, 'nginx').includes(`- ${name}-sockets:/run/hushbox-${name}:ro\n`));
    const sockets = OVERLAY_UPSTREAM.match(new RegExp(`unix:/run/hushbox-${name}/`, 'g'));
    t.is(sockets?.length, Number(/WORKERS: (\d+)/.exec(lines)?.[1]));
  });
}

test('overlay: business has no key; who asks auth reaches its socket, and cannot replace it', (t) => {
  const volumesOf = (name: string): string[] =>
    [...serviceOf(OVERLAY, name).matchAll(/^ {6}- ([\w-]+:\/.*)$/gm)].map(([, volume = '']) => volume);
  t.deepEqual(volumesOf('web'), ['auth-data:/auth:ro']);
  t.deepEqual(volumesOf('auth'), ['auth-sockets:/run/hushbox', 'keys:/keys:ro', 'auth-data:/data']);
  t.deepEqual(volumesOf('business'), [
    ...['business-sockets:/run/hushbox', 'business-keys:/keys:ro', 'business-data:/data', 'auth-data:/auth:ro'],
  ]);
  for (const name of ['web', 'business']) {
    t.regex(serviceOf(OVERLAY, name), /^ {6}AUTH_URL: unix:\/auth\/internal\.sock(?: #.*)?$/m, name);
  }
  t.regex(serviceOf(OVERLAY, 'setup'), /install .* \/keys\/storage-url \/business-keys\/storage-url$/m);
});

test('overlay: every service is served by one container, and none by two', (t) => {
  const served = ['web', 'auth', 'business'].flatMap((name) =>
    (/^ {6}SERVICES: (.*)$/m.exec(serviceOf(OVERLAY, name))?.[1] ?? '').split(','),
  );
  const all = SERVICES.filter((service) => service !== 'kafka'); // it needs a broker
  t.deepEqual(served.sort(), all.toSorted());
});

test('overlay with a broker: web verifies over it; its port is for this host alone; topics keep tokens for minutes', (t) => {
  t.regex(serviceOf(KAFKA, 'web'), /^ {6}KAFKA_URL: kafka:\/\/kafka:9092$/m);
  t.is(/^ {6}SERVICES: (.*)$/m.exec(serviceOf(KAFKA, 'web'))?.[1], SERVICES.join());
  t.is(KAFKA.match(/^ *ports: /gm)?.length, 1);
  t.regex(serviceOf(KAFKA, 'kafka'), /^ {4}ports: \["127\.0\.0\.1:[^"]*:9094"\]$/m);
  t.regex(serviceOf(KAFKA, 'kafka-topics'), /--config retention\.ms=600000 --config segment\.ms=300000$/m);
});

test('overlay: the mail catcher listens on loopback alone, and people can register', (t) => {
  const web = serviceOf(MAIL, 'web');
  t.regex(web, /^ {6}SMTP_URL: smtp:\/\/mail:1025$/m);
  t.regex(web, /^ {6}REGISTRATION: \$\{REGISTRATION:-open\}$/m);
  t.is(MAIL.match(/^ *ports: /gm)?.length, 1);
  t.regex(serviceOf(MAIL, 'mail'), /^ {4}ports: \["127\.0\.0\.1:[^"]*:8025"\]$/m);
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
  t.is(OVERLAY_UPSTREAM.match(/^ *server unix:\/run\/hushbox\//gm)?.length, sockets);
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
  t.true(
    others.every((line) =>
      /^!(?:package(?:-lock)?\.json|\.npmrc|(?:scripts|bin|client|src)(?:\/[\w.-]+)?)$/.test(line),
    ),
  );
});
