import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Config, listSettings, parseEnvironment, readConfig } from '../../src/config/config.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const KEY = Buffer.alloc(32, 0xa7);

/** The bad variables that a start with this environment names. */
function refusal(t: ExecutionContext, env: Record<string, string>): string {
  const error = t.throws(() => readConfig(env));
  return error?.message ?? '';
}

function namedIn(message: string): string[] {
  return [...new Set(message.match(/^ {2}[A-Z_]+/gm)?.map((name) => name.trim()))].sort();
}

test('an empty environment gives the documented defaults', (t) => {
  t.deepEqual(readConfig({}), {
    NODE_ENV: 'development',
    HTTP_PORT: 8000,
    HOST: '127.0.0.1',
    INTERNAL_HOST: '127.0.0.1',
    STORAGE_URL: 'sqlite:./data/hushbox.db',
    DATA_DIR: resolve('data'),
    FENCE_FILE: resolve('data/fence.json'),
    MASTER_KEY_PREVIOUS: [],
    TRUSTED_PROXIES: [],
    CORS_ORIGINS: [],
    LIMITS: 'on',
    CREATES_PER_MINUTE: 1000,
    CLIENT_MAX_SECRETS: 10_000,
    CLIENT_MAX_BYTES: 104_857_600,
    STORAGE_MAX_BYTES: 10_737_418_240,
    EGRESS_ALLOW: [],
    EGRESS_DNS: [],
    PROXY_USER: 'username',
    REGISTRATION: 'open',
    PROXY_OPEN: 'false',
    SERVICES: ['secrets', 'proxy', 'auth', 'business'],
    SECRET_MAX_BYTES: 1_048_576,
    BODIES_MAX_BYTES: 268_435_456,
    SECRET_TTL_MAX_SECONDS: 604_800,
    SESSION_IDLE_SECONDS: 1800,
    BROWSER_IDLE_SECONDS: 1800,
    SESSION_MAX_SECONDS: 43_200,
    SINGLE_SESSION: 'false',
    LOG_LEVEL: 'info',
    sqlitePath: resolve('data/hushbox.db'),
    files: {},
  } satisfies Partial<Config> as unknown as Config);
});

test('an empty variable counts as absent', (t) => {
  const names = listSettings().map(({ name }) => name);
  const empty = Object.fromEntries(names.flatMap((name) => [name, `${name}_FILE`]).map((name) => [name, '']));
  t.deepEqual(readConfig(empty), readConfig({}));
});

test('variables that are not ours are ignored', (t) => {
  t.deepEqual(readConfig({ PATH: '/bin', SOME_FILE: '/nowhere', HUSHBOX_WORKER_NUMBER: '1' }), readConfig({}));
});

test('the configuration cannot be changed once read', (t) => {
  t.true(Object.isFrozen(readConfig({})));
});

const NUMBERS: [name: keyof Config, least: number, most: number][] = [
  ['HTTP_PORT', 0, 65_535],
  ['INTERNAL_PORT', 1, 65_535],
  ['WORKERS', 1, 256],
  ['SECRET_MAX_BYTES', 1, 11_534_336],
  ['SECRET_TTL_MAX_SECONDS', 60, 31_536_000],
  ['SESSION_IDLE_SECONDS', 1, 31_536_000],
  ['BROWSER_IDLE_SECONDS', 1, 31_536_000],
  ['SESSION_MAX_SECONDS', 1, 31_536_000],
  ['CREATES_PER_MINUTE', 1, 1_000_000],
  ['CLIENT_MAX_SECRETS', 1, 999_999_999],
  ['CLIENT_MAX_BYTES', 1, 999_999_999_999_999],
  ['STORAGE_MAX_BYTES', 1, 999_999_999_999_999],
];
for (const [name, least, most] of NUMBERS) {
  test(`${name} takes whole numbers from ${least} to ${most} and no others`, (t) => {
    t.is(readConfig({ [name]: String(least) })[name], least);
    t.is(readConfig({ [name]: String(most) })[name], most);
    for (const bad of [String(least - 1), String(most + 1), `${least + 1}.5`, 'many', '12x', 'NaN', 'Infinity', ' ']) {
      t.deepEqual(namedIn(refusal(t, { [name]: bad })), [name], JSON.stringify(bad));
    }
  });
}

test('TRUSTED_PROXIES takes addresses and CIDRs and nothing else', (t) => {
  for (const [text, ranges] of [
    ['127.0.0.1', ['127.0.0.1']],
    ['10.0.0.0/8, 2001:db8::/32 ,::1', ['10.0.0.0/8', '2001:db8::/32', '::1']],
    ['::ffff:10.0.0.0/104,0.0.0.0/0', ['::ffff:10.0.0.0/104', '0.0.0.0/0']],
  ] as const) {
    t.deepEqual(readConfig({ TRUSTED_PROXIES: text }).TRUSTED_PROXIES, [...ranges]);
  }
  for (const bad of [
    'proxy',
    '10',
    '10.0.0/8',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '1.2.3.4,',
    ' ',
  ]) {
    t.deepEqual(namedIn(refusal(t, { TRUSTED_PROXIES: bad })), ['TRUSTED_PROXIES'], bad);
  }
  for (const bad of ['fe80::1%eth0', '0x7f.1', '1.2.3.4:80', '[::1]', '10.0.0.0-10.0.0.9', '10.0.0.0/-1']) {
    t.deepEqual(namedIn(refusal(t, { TRUSTED_PROXIES: bad })), ['TRUSTED_PROXIES'], bad);
  }
});

test('EGRESS_ALLOW takes hosts, host:port and CIDRs and nothing else', (t) => {
  for (const [text, entries] of [
    ['hooks.example', [{ host: 'hooks.example' }]],
    ['Hooks.Example.:8443, web_1', [{ host: 'hooks.example', port: 8443 }, { host: 'web_1' }]],
    ['bücher.example', [{ host: 'xn--bcher-kva.example' }]],
    ['127.0.0.1:9000', [{ range: ['127.0.0.1', 32], port: 9000 }]],
    ['10.0.0.0/8,fd00::/8', [{ range: ['10.0.0.0', 8] }, { range: ['fd00::', 8] }]],
    [
      '::1,[::1]:9000,[fd00::1]',
      [{ range: ['::1', 128] }, { range: ['::1', 128], port: 9000 }, { range: ['fd00::1', 128] }],
    ],
    ['::ffff:10.1.2.3,::ffff:10.0.0.0/104', [{ range: ['10.1.2.3', 32] }, { range: ['10.0.0.0', 8] }]],
    ['::10.1.2.3', [{ range: ['::a01:203', 128] }]],
    ['0.0.0.0/0,::/0', [{ range: ['0.0.0.0', 0] }, { range: ['::', 0] }]],
  ] as const) {
    t.deepEqual(readConfig({ EGRESS_ALLOW: text }).EGRESS_ALLOW, entries as unknown as Config['EGRESS_ALLOW'], text);
  }
  for (const bad of [
    ...['a,', ',', ' ', 'a b', 'http://a', 'a/b', 'user@a', '*.example', 'a?', 'a#', '%61', 'a..b', '.', '-:1', 'a:'],
    ...['a:0', 'a:65536', 'a:1:2', '10', '0x7f.1', '127.1', '2130706433:80', '10.0.0.0/33', '10.0.0.0/', '10.0.0/8'],
    ...[
      '::/129',
      '10.0.0.0/8:80',
      'fe80::1%eth0',
      '[::1',
      '::1]',
      '[127.0.0.1]',
      '[a]:80',
      '::ffff:10.0.0.0/95',
      '１０.0.0.1',
    ],
  ]) {
    t.deepEqual(namedIn(refusal(t, { EGRESS_ALLOW: bad })), ['EGRESS_ALLOW'], bad);
  }
});

test('CORS_ORIGINS takes origins, as browsers write them, and nothing else', (t) => {
  const { CORS_ORIGINS } = readConfig({ CORS_ORIGINS: 'https://App.example:443, http://127.0.0.1:3000/,http://[::1]' });
  t.deepEqual(CORS_ORIGINS, ['https://app.example', 'http://127.0.0.1:3000', 'http://[::1]']);
  for (const bad of [
    '*',
    'null',
    'app.example',
    'https://*.example',
    'https://a.example/path',
    'https://a,',
    'https://u@a',
    'ftp://a',
    'https://a b',
    'https://a?',
  ]) {
    t.deepEqual(namedIn(refusal(t, { CORS_ORIGINS: bad })), ['CORS_ORIGINS'], bad);
  }
});

test('EGRESS_DNS takes addresses, with or without a port, and nothing else', (t) => {
  const text = '192.0.2.1, 192.0.2.1:5353,2001:db8::1,[2001:db8::1]:5353';
  t.deepEqual(
    readConfig({ EGRESS_DNS: text }).EGRESS_DNS,
    text.split(',').map((server) => server.trim()),
  );
  for (const bad of ['dns.example', '192.0.2.1:0', '192.0.2.0/24', '192.0.2.1,', '127.1', 'fe80::1%eth0']) {
    t.deepEqual(namedIn(refusal(t, { EGRESS_DNS: bad })), ['EGRESS_DNS'], bad);
  }
});

test('LIMITS is on or off', (t) => {
  for (const value of ['on', 'off'] as const) t.is(readConfig({ LIMITS: value }).LIMITS, value);
  for (const bad of ['no', 'OFF', '0', 'false']) t.deepEqual(namedIn(refusal(t, { LIMITS: bad })), ['LIMITS'], bad);
});

test('LOG_LEVEL takes the levels of pino and no others', (t) => {
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const) {
    t.is(readConfig({ LOG_LEVEL: level }).LOG_LEVEL, level);
  }
  for (const bad of ['verbose', 'INFO', '3']) t.deepEqual(namedIn(refusal(t, { LOG_LEVEL: bad })), ['LOG_LEVEL']);
});

for (const [path, advice] of [
  ['//./x.db', /not a URL/],
  ['//localhost/x.db', /sqlite:\.\/data\/hushbox\.db/],
  ['///data/x.db', /not a URL/],
  ['////data/x.db', /not a URL/],
  ['file:x.db', /not a URL/],
  ['FILE:///x.db', /not a URL/],
  ['~/x.db', /full path/],
  ['~hushbox/x.db', /full path/],
  ['$HOME/x.db', /variables/],
  ['/data/$NAME.db', /variables/],
  ['x.db?mode=rwc', /options/],
  ['/data/my%20data/x.db', /%20/],
  [' ./x.db', /blank/],
  ['./x.db ', /blank/],
  ['./data/', /not of a folder/],
  ['.', /not of a folder/],
  ['/data/..', /not of a folder/],
  ['/', /not of a folder/],
] as const) {
  test(`STORAGE_URL with "${path}" after sqlite: is refused with what to write instead`, (t) => {
    t.regex(refusal(t, { STORAGE_URL: `sqlite:${path}` }), advice);
  });
}

for (const path of [
  'x.db',
  './x.db',
  '../x.db',
  '/data/x.db',
  '/data/a b/#1~2.db',
  '/data/.db',
  'x:y.db',
  '/data//x.db',
]) {
  test(`STORAGE_URL with "${path}" after sqlite: is that file`, (t) => {
    t.is(readConfig({ STORAGE_URL: `sqlite:${path}` }).sqlitePath, resolve(path));
  });
}

test('STORAGE_URL names a SQLite file or a MongoDB server', (t) => {
  t.is(readConfig({ STORAGE_URL: 'sqlite:/var/lib/hushbox/secrets.db' }).sqlitePath, '/var/lib/hushbox/secrets.db');
  t.is(readConfig({ STORAGE_URL: 'sqlite:here.db' }).sqlitePath, resolve('here.db'));
  for (const url of [
    'mongodb://127.0.0.1',
    'mongodb://a,b:27018/hushbox?replicaSet=rs',
    'mongodb+srv://example.com/x',
    'mongodb://user:p%40ss@[::1]:27017,10.0.0.1/?tls=true',
    'mongodb://%2Ftmp%2Fmongodb-27017.sock/x',
  ]) {
    const config = readConfig({ STORAGE_URL: url });
    t.is(config.STORAGE_URL, url);
    t.is(config.sqlitePath, undefined);
  }
  for (const bad of [
    'sqlite:',
    'sqlite::memory:',
    'mongodb://',
    'mongodb:///x',
    'mongodb://user:password@',
    'mongodb://a,,b/x',
    'mongodb://a:99999/x',
    'mongodb://a b/x',
    'mongodb://a/a%20b',
    'mongodb://a/a.b',
    `mongodb://a/${'x'.repeat(64)}`,
    'mongodb://user:p%zz@a/x',
    'postgres://127.0.0.1',
    '/data/x.db',
  ]) {
    t.deepEqual(namedIn(refusal(t, { STORAGE_URL: bad })), ['STORAGE_URL'], bad);
  }
});

test("DATA_DIR is what it says, else SQLite's folder, else ./data", (t) => {
  t.is(readConfig({ DATA_DIR: '/data/hushbox' }).DATA_DIR, '/data/hushbox');
  t.is(readConfig({ DATA_DIR: 'here', STORAGE_URL: 'sqlite:/elsewhere/x.db' }).DATA_DIR, resolve('here'));
  t.is(readConfig({ STORAGE_URL: 'sqlite:/elsewhere/x.db' }).DATA_DIR, '/elsewhere');
  t.is(readConfig({ STORAGE_URL: 'mongodb://127.0.0.1' }).DATA_DIR, resolve('data'));
});

test('a master key is 32 bytes, as hex or as base64url', (t) => {
  for (const text of [KEY.toString('hex'), KEY.toString('hex').toUpperCase(), KEY.toString('base64url')]) {
    t.deepEqual(readConfig({ MASTER_KEY: text }).MASTER_KEY, KEY);
    t.deepEqual(readConfig({ MASTER_KEY: ` ${text}\n` }).MASTER_KEY, KEY);
  }
  t.deepEqual(readConfig({ MASTER_KEY: `${KEY.toString('base64url')}=` }).MASTER_KEY, KEY);
  const hex = KEY.toString('hex');
  for (const bad of [hex.slice(2), `${hex}00`, `${hex.slice(1)}g`, KEY.toString('base64url').slice(1), 'password']) {
    t.deepEqual(namedIn(refusal(t, { MASTER_KEY: bad })), ['MASTER_KEY'], bad);
  }
});

test('older master keys are a list, each of them checked', (t) => {
  const other = Buffer.alloc(32, 1);
  const list = `${KEY.toString('hex')}, ${other.toString('base64url')}`;
  t.deepEqual(readConfig({ MASTER_KEY_PREVIOUS: list }).MASTER_KEY_PREVIOUS, [KEY, other]);
  for (const bad of [`${list},`, `${list},abc`, ',']) {
    t.deepEqual(namedIn(refusal(t, { MASTER_KEY_PREVIOUS: bad })), ['MASTER_KEY_PREVIOUS'], bad);
  }
});

test('PUBLIC_URL is an http or https address, without a slash at its end', (t) => {
  t.is(readConfig({ PUBLIC_URL: 'https://hush.example' }).PUBLIC_URL, 'https://hush.example');
  t.is(readConfig({ PUBLIC_URL: 'http://hush.example/below//' }).PUBLIC_URL, 'http://hush.example/below');
  const bad = [
    'hush.example',
    'ftp://hush.example',
    'https://a:b@hush.example',
    'https://hush.example/?a',
    'https://x/#a',
  ];
  for (const url of bad) t.deepEqual(namedIn(refusal(t, { PUBLIC_URL: url })), ['PUBLIC_URL'], url);
});

for (const name of ['CREATE_TOKEN', 'INTERNAL_TOKEN', 'PROXY_TOKEN'] as const) {
  test(`${name} is 1 to 1024 printable characters`, (t) => {
    for (const good of ['x', '!~'.repeat(512)]) t.is(readConfig({ [name]: good })[name], good);
    for (const bad of ['x'.repeat(1025), '0123456789 abcdef', '0123456789äbcdef']) {
      t.deepEqual(namedIn(refusal(t, { [name]: bad })), [name], bad);
    }
  });
}

test('the internal listener leaves loopback only with a token', async (t) => {
  const INTERNAL_PORT = '9000';
  for (const INTERNAL_HOST of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) {
    t.is(readConfig({ INTERNAL_PORT, INTERNAL_HOST }).INTERNAL_HOST, INTERNAL_HOST);
  }
  for (const INTERNAL_HOST of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', 'localhost.example', '128.0.0.1']) {
    t.deepEqual(namedIn(refusal(t, { INTERNAL_PORT, INTERNAL_HOST })), ['INTERNAL_TOKEN'], INTERNAL_HOST);
    t.is(readConfig({ INTERNAL_PORT, INTERNAL_HOST, INTERNAL_TOKEN: 'x' }).INTERNAL_HOST, INTERNAL_HOST);
  }
  const INTERNAL_TOKEN_FILE = join(await temporaryFolder(t), 'token');
  writeFileSync(INTERNAL_TOKEN_FILE, 'x\n');
  t.is(readConfig({ INTERNAL_PORT, INTERNAL_HOST: '0.0.0.0', INTERNAL_TOKEN_FILE }).INTERNAL_TOKEN, 'x');
});

test('the internal listener has a port of its own, without which an address for it means nothing', (t) => {
  t.deepEqual(namedIn(refusal(t, { INTERNAL_PORT: '8000' })), ['INTERNAL_PORT']);
  t.is(readConfig({ INTERNAL_PORT: '8000', SOCKET_DIR: '/run/hushbox' }).INTERNAL_PORT, 8000);
  t.deepEqual(namedIn(refusal(t, { INTERNAL_HOST: '::1' })), ['INTERNAL_PORT']);
});

test('DATA_DIR must leave room for the name of the internal socket, where there is one', (t) => {
  const longest = `/${'x'.repeat(87)}`;
  t.is(readConfig({ DATA_DIR: longest }).DATA_DIR, longest);
  t.deepEqual(namedIn(refusal(t, { DATA_DIR: `${longest}x` })), ['DATA_DIR']);
  t.deepEqual(namedIn(refusal(t, { STORAGE_URL: `sqlite:${longest}x/hushbox.db` })), ['DATA_DIR']);
  t.is(readConfig({ DATA_DIR: `${longest}x`, INTERNAL_PORT: '9000' }).DATA_DIR, `${longest}x`);
});

test('SOCKET_DIR must leave room for the name of a socket', (t) => {
  t.is(readConfig({ SOCKET_DIR: 'run' }).SOCKET_DIR, resolve('run'));
  t.is(readConfig({ SOCKET_DIR: `/${'x'.repeat(90)}` }).SOCKET_DIR, `/${'x'.repeat(90)}`);
  t.deepEqual(namedIn(refusal(t, { SOCKET_DIR: `/${'x'.repeat(91)}` })), ['SOCKET_DIR']);
});

const VALUES_OF_SECRETS = {
  MASTER_KEY: KEY.toString('hex'),
  MASTER_KEY_PREVIOUS: KEY.toString('base64url'),
  STORAGE_URL: 'mongodb://user:password@127.0.0.1',
  CREATE_TOKEN: 'a token of the tests'.replaceAll(' ', '-'),
  INTERNAL_TOKEN: 'a token of the tests'.replaceAll(' ', '-'),
  JWT_HEX_SECRET: 'a7'.repeat(64),
  PROXY_TOKEN: 'a token of the tests'.replaceAll(' ', '-'),
  SMTP_URL: 'smtps://user:password@mail.example.com',
  KAFKA_URL: 'kafkas://user:password-of-kafka@127.0.0.1:9092',
} as const;

const DEMO_JWT_KEY =
  'a9ddbcaba8c0ac1a0a812dc0c2f08514b23f2db0a68343cb8199ebb38a6d91e4ebfb378e22ad39c2d01d0b4ec9c34aa91056862ddace3fbbd6852ee60c36acbf';

test('JWT_HEX_SECRET is 64 to 1024 bytes in hex, blanks ignored', (t) => {
  const key = Buffer.from(DEMO_JWT_KEY, 'hex');
  for (const text of [
    DEMO_JWT_KEY,
    DEMO_JWT_KEY.toUpperCase(),
    ` ${DEMO_JWT_KEY.replaceAll(/(..)/g, '$1 ')}\n`,
    DEMO_JWT_KEY.replaceAll(/(.)/g, '$1\t\r\n'),
  ]) {
    t.deepEqual(readConfig({ JWT_HEX_SECRET: text }).JWT_HEX_SECRET, key);
  }
  t.is(readConfig({ JWT_HEX_SECRET: '00'.repeat(1024) }).JWT_HEX_SECRET?.length, 1024);
  const short = 'ab'.repeat(63);
  for (const bad of [
    short,
    `${short}a`,
    `0x${DEMO_JWT_KEY}`,
    `${DEMO_JWT_KEY}a`,
    `${short}zz`,
    'ab'.repeat(1025),
    ' ',
  ]) {
    t.deepEqual(namedIn(refusal(t, { JWT_HEX_SECRET: bad })), ['JWT_HEX_SECRET'], bad);
  }
});

test('production refuses the key of the demonstration, however it is written', async (t) => {
  const production = { NODE_ENV: 'production', MASTER_KEY: KEY.toString('hex') };
  const path = join(await temporaryFolder(t), 'value');
  writeFileSync(path, `${DEMO_JWT_KEY}\n`);
  for (const given of [
    { JWT_HEX_SECRET: DEMO_JWT_KEY },
    { JWT_HEX_SECRET: DEMO_JWT_KEY.toUpperCase().replaceAll('F', 'F ') },
    { JWT_HEX_SECRET_FILE: path },
    { JWT_HEX_SECRET: `${DEMO_JWT_KEY}00` }, // HMAC pads keys with zeros, up to 128 bytes
    { JWT_HEX_SECRET: `${DEMO_JWT_KEY}${'0 0 '.repeat(64)}` },
    { JWT_HEX_SECRET: '00'.repeat(64) }, // as no key at all
    { JWT_HEX_SECRET: '00'.repeat(128) },
  ]) {
    const message = refusal(t, { ...production, ...given });
    t.deepEqual(namedIn(message), ['JWT_HEX_SECRET']);
    t.notRegex(message, /a9ddbc/i);
    t.truthy(readConfig(given).JWT_HEX_SECRET);
  }
  for (const other of [`${DEMO_JWT_KEY}01`, `00${DEMO_JWT_KEY}`, `${DEMO_JWT_KEY}${'00'.repeat(65)}`]) {
    t.truthy(readConfig({ ...production, JWT_HEX_SECRET: other }).JWT_HEX_SECRET);
  }
});

test('PROXY_USER is 1 to 256 printable characters; PROXY_OPEN is true or false, and not beside a token', (t) => {
  for (const good of ['x', 'Роман Романов', '🦊'.repeat(256), 'a"b\\c']) {
    t.is(readConfig({ PROXY_USER: good }).PROXY_USER, good);
  }
  for (const bad of ['x'.repeat(257), 'a\nb', 'a\0b', '\u202e', '\ud800']) {
    t.deepEqual(namedIn(refusal(t, { PROXY_USER: bad })), ['PROXY_USER'], JSON.stringify(bad));
  }
  for (const good of ['true', 'false'] as const) t.is(readConfig({ PROXY_OPEN: good }).PROXY_OPEN, good);
  for (const bad of ['yes', 'TRUE', '1', 'on']) t.deepEqual(namedIn(refusal(t, { PROXY_OPEN: bad })), ['PROXY_OPEN']);
  t.deepEqual(namedIn(refusal(t, { PROXY_OPEN: 'true', PROXY_TOKEN: 'x' })), ['PROXY_OPEN']);
  t.is(readConfig({ PROXY_OPEN: 'false', PROXY_TOKEN: 'x' }).PROXY_TOKEN, 'x');
});

for (const [name, value] of Object.entries(VALUES_OF_SECRETS) as [keyof typeof VALUES_OF_SECRETS, string][]) {
  test(`${name} can be the content of a file`, async (t) => {
    const path = join(await temporaryFolder(t), 'value');
    writeFileSync(path, `${value}\n`);
    t.deepEqual(readConfig({ [`${name}_FILE`]: path })[name], readConfig({ [name]: value })[name]);
  });

  test(`${name} and its file must not both be given, and the file must be there`, async (t) => {
    const folder = await temporaryFolder(t);
    const path = join(folder, 'value');
    writeFileSync(path, value);
    t.deepEqual(namedIn(refusal(t, { [name]: value, [`${name}_FILE`]: path })), [name]);
    t.deepEqual(namedIn(refusal(t, { [`${name}_FILE`]: join(folder, 'missing') })), [`${name}_FILE`]);
  });

  test(`${name} must not be given as an empty file, unless it is a list`, async (t) => {
    const path = join(await temporaryFolder(t), 'value');
    writeFileSync(path, '\n');
    if (name === 'MASTER_KEY_PREVIOUS') t.deepEqual(readConfig({ [`${name}_FILE`]: path })[name], []);
    else t.deepEqual(namedIn(refusal(t, { [`${name}_FILE`]: path })), [`${name}_FILE`]);
  });
}

test('exactly the variables that bear a secret are documented as possible files', (t) => {
  const files = listSettings().filter(({ canBeFile }) => canBeFile);
  t.deepEqual(files.map(({ name }) => name).sort(), Object.keys(VALUES_OF_SECRETS).sort());
});

test('further lines of a master key are older ones; every line has to be a key', async (t) => {
  const path = join(await temporaryFolder(t), 'value');
  const [older, oldest] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  writeFileSync(path, `${KEY.toString('hex')}\n${older.toString('base64url')}\n`);
  const env = { MASTER_KEY_FILE: path, MASTER_KEY_PREVIOUS: oldest.toString('hex') };
  const { MASTER_KEY, MASTER_KEY_PREVIOUS, files } = readConfig(env);
  t.deepEqual([MASTER_KEY, ...MASTER_KEY_PREVIOUS], [KEY, older, oldest]);
  t.deepEqual(files, { MASTER_KEY: path });
  for (const bad of [`${KEY.toString('hex')}\nno key`, `${KEY.toString('hex')}\n\n${older.toString('hex')}`]) {
    writeFileSync(path, bad);
    t.deepEqual(namedIn(refusal(t, env)), ['MASTER_KEY_FILE']);
  }
});

test('every variable is described', (t) => {
  for (const { name, description } of listSettings()) t.regex(description, /^\S.{9,}/, name);
});

test('production refuses to start without a master key, development does not', (t) => {
  t.deepEqual(namedIn(refusal(t, { NODE_ENV: 'production' })), ['MASTER_KEY']);
  t.deepEqual(readConfig({ NODE_ENV: 'production', MASTER_KEY: KEY.toString('hex') }).MASTER_KEY, KEY);
  t.is(readConfig({ NODE_ENV: 'test' }).MASTER_KEY, undefined);
  t.deepEqual(namedIn(refusal(t, { NODE_ENV: 'prodution' })), ['NODE_ENV']); // not taken for development
});

test('the room for bodies holds at least one body of the largest size', (t) => {
  const least = 6 * (1_048_576 + 1024) + 4096;
  t.is(readConfig({ BODIES_MAX_BYTES: String(least) }).BODIES_MAX_BYTES, least);
  t.deepEqual(namedIn(refusal(t, { BODIES_MAX_BYTES: String(least - 1) })), ['BODIES_MAX_BYTES']);
  t.deepEqual(namedIn(refusal(t, { BODIES_MAX_BYTES: '69000000', SECRET_MAX_BYTES: '11534336' })), [
    'BODIES_MAX_BYTES',
  ]);
  t.is(readConfig({ BODIES_MAX_BYTES: '10246', SECRET_MAX_BYTES: '1' }).SECRET_MAX_BYTES, 1);
});

test('every bad variable is named at once, and no value is shown', (t) => {
  const bad = {
    NODE_ENV: 'production',
    HTTP_PORT: '70001',
    SOCKET_DIR: `/${'leaked-folder'.repeat(8)}`,
    WORKERS: 'leaked-workers',
    STORAGE_URL: 'leaked://user:password@host',
    MASTER_KEY: 'leaked-master-key',
    MASTER_KEY_PREVIOUS: 'leaked-previous-key',
    PUBLIC_URL: 'leaked-address',
    CREATE_TOKEN: 'leaked-token-\n',
    INTERNAL_PORT: '0',
    INTERNAL_TOKEN: 'leaked token',
    SECRET_MAX_BYTES: '11534337',
    BODIES_MAX_BYTES: '0',
    SECRET_TTL_MAX_SECONDS: '59',
    LOG_LEVEL: 'leaked-level',
  };
  const message = refusal(t, bad);
  const { NODE_ENV, ...wrong } = bad;
  t.deepEqual(namedIn(message), Object.keys(wrong).sort());
  t.notRegex(message, /leaked|password|70001|11534337|\b59\b/);
});

test('a bad variable hides neither a missing file nor what production needs', async (t) => {
  const missing = join(await temporaryFolder(t), 'leaked-path');
  const message = refusal(t, { NODE_ENV: 'production', LOG_LEVEL: 'loud', CREATE_TOKEN_FILE: missing });
  t.deepEqual(namedIn(message), ['CREATE_TOKEN_FILE', 'LOG_LEVEL', 'MASTER_KEY']);
  t.notRegex(message, /leaked/);
});

test('a problem says what is allowed, and with which command a key is made', (t) => {
  const bad = { NODE_ENV: 'production', LOG_LEVEL: 'loud', JWT_HEX_SECRET: 'ab'.repeat(63) };
  const { message } = t.throws(() => readConfig(bad)) as Error;
  t.deepEqual(message.split('\n').slice(1), [
    '  JWT_HEX_SECRET must be 128 to 2048 hex digits (openssl rand -hex 64)',
    '  LOG_LEVEL must be trace, debug, info, warn, error, fatal or silent',
    '  MASTER_KEY must be set in production (openssl rand -hex 32)',
  ]);
});

test('kafka is served where SERVICES names it, and needs KAFKA_URL, which does nothing alone', (t) => {
  const KAFKA_URL = 'kafka://a:9092';
  t.false(readConfig({}).SERVICES.includes('kafka'));
  t.false(readConfig({ KAFKA_URL }).SERVICES.includes('kafka'));
  t.deepEqual(readConfig({ SERVICES: 'kafka', KAFKA_URL }).SERVICES, ['kafka']);
  t.deepEqual(namedIn(refusal(t, { SERVICES: 'auth,kafka' })), ['KAFKA_URL']);
  t.deepEqual(namedIn(refusal(t, { KAFKA_URL: 'kafka://user:a-password@a:9092' })), ['KAFKA_URL']);
  t.deepEqual(namedIn(refusal(t, { NODE_ENV: 'production', SERVICES: 'kafka', KAFKA_URL })), ['MASTER_KEY']);
});

test('services are named once each, in any order, and unknown ones are refused', (t) => {
  t.deepEqual(readConfig({ SERVICES: ' business , auth,business' }).SERVICES, ['auth', 'business']);
  for (const SERVICES of ['x', 'secrets,', ',', 'Secrets', 'secrets auth', 'secrets,all', 'kafkas']) {
    t.deepEqual(parseEnvironment({ SERVICES }).problems, [
      'SERVICES must be a list of secrets, proxy, auth, business, kafka, separated by commas',
    ]);
  }
});

test('business alone needs no master key in production; whatever else is served does', (t) => {
  const NODE_ENV = 'production';
  const problems = (SERVICES: string): readonly string[] => parseEnvironment({ NODE_ENV, SERVICES }).problems;
  t.deepEqual(problems('business'), []);
  for (const services of ['secrets', 'auth', 'proxy', 'business,auth', '']) {
    t.deepEqual(problems(services), ['MASTER_KEY must be set in production (openssl rand -hex 32)'], services);
  }
});

test('production refuses a mail server without a sender, or without the base of the links; development does not', (t) => {
  const SMTP_URL = 'smtps://user:sesame-open@mail.example.com';
  const production = { NODE_ENV: 'production', MASTER_KEY: 'ab'.repeat(32), SMTP_URL };
  t.deepEqual(parseEnvironment(production).problems, [
    'PUBLIC_URL must be set in production where SMTP_URL is',
    'MAIL_FROM must be set in production where SMTP_URL is',
  ]);
  const whole = { ...production, PUBLIC_URL: 'https://hushbox.example', MAIL_FROM: 'Hushbox <a@hushbox.example>' };
  t.deepEqual(parseEnvironment(whole).problems, []);
  t.deepEqual(parseEnvironment({ SMTP_URL }).problems, []);
  const bad = parseEnvironment({ SMTP_URL: 'smtps://user:sesame/open@mail', MAIL_FROM: 'sesame' });
  t.deepEqual(bad.problems, [
    'SMTP_URL must be smtp://host:port or smtps://host:port, with or without user:password@ (percent-encoded) before the host',
    'MAIL_FROM must be an address, or Name <address>',
  ]);
});

test('registration is open in development and off in production, where it needs mail', (t) => {
  const production = { NODE_ENV: 'production', MASTER_KEY: 'ab'.repeat(32) };
  t.is(readConfig({}).REGISTRATION, 'open');
  t.is(readConfig(production).REGISTRATION, 'off');
  t.is(readConfig({ ...production, REGISTRATION: 'off' }).REGISTRATION, 'off');
  t.deepEqual(readConfig({ REGISTRATION: 'Example.com, кто.рф' }).REGISTRATION, ['example.com', 'xn--j1ail.xn--p1ai']);
  for (const REGISTRATION of ['open', 'example.com']) {
    t.deepEqual(parseEnvironment({ ...production, REGISTRATION }).problems, [
      'SMTP_URL must be set in production where REGISTRATION is not off',
      'PUBLIC_URL must be set in production where REGISTRATION is not off',
      'MAIL_FROM must be set in production where REGISTRATION is not off',
    ]);
    const mail = { SMTP_URL: 'smtps://mail', MAIL_FROM: 'a@b.example', PUBLIC_URL: 'https://hushbox.example' };
    t.deepEqual(parseEnvironment({ ...production, ...mail, REGISTRATION }).problems, []);
  }
  for (const REGISTRATION of [
    'on',
    'open,example.com',
    'example.com,',
    'a@example.com',
    'https://example.com',
    '1.2.3.4',
  ]) {
    const { problems } = parseEnvironment({ REGISTRATION });
    t.deepEqual(problems, ['REGISTRATION must be open, off, or a list of domains, separated by commas']);
  }
});

test('AUTH_URL is the address of a listener, and nothing more', (t) => {
  for (const [AUTH_URL, expected] of [
    ['http://127.0.0.1:9464', { protocol: 'http:', hostname: '127.0.0.1', port: 9464 }],
    ['http://[::1]:9464/', { protocol: 'http:', hostname: '::1', port: 9464 }],
    ['https://auth.example', { protocol: 'https:', hostname: 'auth.example', port: 443 }],
    ['http://auth', { protocol: 'http:', hostname: 'auth', port: 80 }],
    ['unix:/run/hushbox/internal.sock', { socketPath: '/run/hushbox/internal.sock' }],
  ] as const) {
    t.deepEqual(readConfig({ AUTH_URL }).AUTH_URL, expected);
  }
  for (const AUTH_URL of [
    ...['auth', '127.0.0.1:9464', 'ftp://a', 'http://u:p@a', 'http://a/b', 'http://a?b', 'http://a#b', 'unix:run'],
    ...['unix:', `unix:/${'x'.repeat(107)}`, 'http://'],
  ]) {
    const { problems } = parseEnvironment({ AUTH_URL });
    t.deepEqual(problems, ['AUTH_URL must be http://host:port, https://host:port or unix:/path'], AUTH_URL);
  }
});

test('business without anybody who knows tokens is warned about', (t) => {
  const isWarned = (env: Record<string, string>): boolean =>
    parseEnvironment(env).warnings.some((warning) => warning.includes('AUTH_URL'));
  t.true(isWarned({ SERVICES: 'business' }));
  t.false(isWarned({ SERVICES: 'business', AUTH_URL: 'http://auth' }));
  t.false(isWarned({ SERVICES: 'business,auth' }));
  t.false(isWarned({}));
});

test('what pages show of the operator is checked at the start, and no value is repeated', async (t) => {
  const folder = await temporaryFolder(t);
  const write = (name: string, content: string | Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const png = Buffer.from('89504e470d0a1a0a00', 'hex');
  t.is(readConfig({ OPERATOR_LOGO: write('a', png) }).OPERATOR_LOGO?.type, 'image/png');
  t.is(
    readConfig({ OPERATOR_LOGO: write('b', '<?xml version="1.0"?><svg xmlns="x"/>') }).OPERATOR_LOGO?.type,
    'image/svg+xml',
  );
  t.is(readConfig({ OPERATOR_LOGO: write('c', '') }).OPERATOR_LOGO, undefined);
  for (const path of [join(folder, 'sesame'), folder, write('d', '<html>'), write('e', Buffer.alloc(200_000, png))]) {
    const { problems } = parseEnvironment({ OPERATOR_LOGO: path });
    t.deepEqual(problems, ['OPERATOR_LOGO must be the path of an SVG or PNG file of at most 100 KiB']);
  }
  t.is(readConfig({ IMPRINT_URL: 'https://example.com/a b?c#d' }).IMPRINT_URL, 'https://example.com/a%20b?c#d');
  for (const url of ['javascript:alert(1)', 'data:text/html,sesame', '//sesame', 'https://user:sesame@example.com/']) {
    const { problems } = parseEnvironment({ PRIVACY_URL: url });
    t.deepEqual(problems, ['PRIVACY_URL must be an http or https URL without credentials']);
  }
  t.is(readConfig({ OPERATOR_NAME: 'Пример & Co' }).OPERATOR_NAME, 'Пример & Co');
  for (const name of ['x'.repeat(61), 'a\u202eb', 'a\nb']) {
    t.deepEqual(parseEnvironment({ OPERATOR_NAME: name }).problems, [
      'OPERATOR_NAME must be 1 to 60 printable characters',
    ]);
  }
});
