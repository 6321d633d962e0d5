import { readFileSync } from 'node:fs';
import test from 'ava';
import { parseEnvironment } from '../../src/config/config.ts';

/** A value that a warning must not show. */
const VALUE = 'a-value-that-nobody-may-see';

const MISSPELT: readonly [found: string, meant: string][] = [
  ['HTPT_PORT', 'HTTP_PORT'],
  ['HTTP_PROT', 'HTTP_PORT'],
  ['HTTPPORT', 'HTTP_PORT'],
  ['CREATES_PER_MIN', 'CREATES_PER_MINUTE'],
  ['CREATE_PER_MINUTE', 'CREATES_PER_MINUTE'],
  ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
  ['MASTER_KYE', 'MASTER_KEY'],
  ['MASTERKEY', 'MASTER_KEY'],
  ['MASTER_KEYFILE', 'MASTER_KEY_FILE'],
  ['STORAGE_URI', 'STORAGE_URL'],
  ['DATADIR', 'DATA_DIR'],
  ['WORKER', 'WORKERS'],
  ['LIMIT', 'LIMITS'],
  ['NODE_EVN', 'NODE_ENV'],
];
for (const [found, meant] of MISSPELT) {
  test(`a misspelt variable is named, with the one that is meant: ${found}`, (t) => {
    const { warnings, problems } = parseEnvironment({ [found]: VALUE, HTTP_PORT: '1', NODE_ENV: 'test' });
    t.deepEqual(problems, []);
    t.is(warnings.length, 1, `${warnings}`);
    t.regex(warnings[0] ?? '', new RegExp(`^${found} .*\\b${meant}\\b`));
    t.false(warnings.join().includes(VALUE));
  });
}

const FOREIGN = `PORT HOSTNAME HTTPS_PORT HTTP_PROXY HTTPS_PROXY NO_PROXY HTTP_HOST NODE_OPTIONS NODE_PATH
  NODE_EXTRA_CA_CERTS NODE_V8_COVERAGE XDG_DATA_DIRS XDG_DATA_HOME LOGNAME LOG_FILE EXTERNAL_PORT INTERNAL_IP HOME PATH
  WORKDIR STORAGE_DIR PROXY_HOST PROXY_PORT COMPOSE_FILE COMPOSE_PROJECT_NAME KUBERNETES_PORT KUBERNETES_SERVICE_HOST
  DATABASE_URL PUBLIC_IP MONGODB_TEST_URL HUSHBOX_WORKER_NUMBER HUSHBOX_INTERNAL_FIRST_NAME MAKEFLAGS http_prot
  MONGO_PASSWORD TLS_DIR CI`.split(/\s+/);

test('variables of other programs, lower case, and empty ones give no warning', (t) => {
  const env = Object.fromEntries(FOREIGN.map((name) => [name, VALUE]));
  t.deepEqual(parseEnvironment({ ...env, HTPT_PORT: '' }).warnings, []);
});

test('none of our own settings, nor what docker-compose.yml and .env.example name, gives a warning', (t) => {
  const files = ['docker-compose.yml', '.env.example', 'demo.env'].map((file) => readFileSync(file, 'utf8')).join('\n');
  const names = new Set(files.match(/\b[A-Z][A-Z0-9_]{2,}\b/g));
  t.true(names.has('STORAGE_URL') && names.has('MASTER_KEY_FILE') && names.size > 20);
  for (const name of names) t.deepEqual(parseEnvironment({ [name]: VALUE, HOST: '127.0.0.1' }).warnings, [], name);
});

test('development that listens on more than loopback gives a warning, production and loopback give none', (t) => {
  const warnings = (env: Record<string, string>): number => parseEnvironment(env).warnings.length;
  for (const HOST of ['0.0.0.0', '::', '192.0.2.1', 'example.com']) {
    t.is(warnings({ HOST }), 1, HOST);
    t.is(warnings({ HOST, NODE_ENV: 'test' }), 1, HOST);
    t.is(warnings({ HOST, NODE_ENV: 'production' }), 0, HOST);
    t.is(warnings({ HOST, SOCKET_DIR: '/run/hushbox' }), 0, HOST);
  }
  for (const HOST of ['127.0.0.1', '127.1.2.3', 'localhost', '::1', '']) t.is(warnings({ HOST }), 0, HOST);
});
