import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { readConfig } from '../../src/config/config.ts';
import { loadTokenKey, madeTokenKeyPath, whyNoProxy } from '../../src/keys/token-key.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const PRODUCTION = { NODE_ENV: 'production', MASTER_KEY: 'a7'.repeat(32) };
const JWT_HEX_SECRET = '5a'.repeat(64);

test('development makes a key once, for its owner alone; one that is given goes before it', async (t) => {
  const DATA_DIR = join(await temporaryFolder(t), 'data');
  const made = loadTokenKey(readConfig({ DATA_DIR }));
  t.is(made?.length, 64);
  t.deepEqual(loadTokenKey(readConfig({ DATA_DIR })), made);
  t.is(statSync(madeTokenKeyPath(DATA_DIR)).mode & 0o777, 0o600);
  t.deepEqual(readdirSync(DATA_DIR), ['jwt.key']);
  t.deepEqual(loadTokenKey(readConfig({ DATA_DIR, JWT_HEX_SECRET })), Buffer.alloc(64, 0x5a));
});

test('of processes that start together, all have the same key', async (t) => {
  const folder = await temporaryFolder(t);
  const module = fileURLToPath(new URL('../../src/keys/token-key.ts', import.meta.url));
  const script = `const { loadTokenKey } = await import(${JSON.stringify(module)});
    process.stdout.write(loadTokenKey({ NODE_ENV: 'development', DATA_DIR: process.argv[1] }).toString('hex'));`;
  const run = (): Promise<{ stdout: string }> =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, join(folder, 'data')]);
  const outputs = await Promise.all(Array.from({ length: 6 }, run));
  const keys = outputs.map(({ stdout }) => stdout);
  t.is(new Set(keys).size, 1);
  t.is(readFileSync(join(folder, 'data', 'jwt.key'), 'utf8').trim(), keys[0] ?? '');
  t.deepEqual(readdirSync(join(folder, 'data')), ['jwt.key']);
});

test('a file that holds something else is left as it is, and is no key', async (t) => {
  const DATA_DIR = await temporaryFolder(t);
  for (const text of ['', 'no key\n', '5a'.repeat(63)]) {
    writeFileSync(madeTokenKeyPath(DATA_DIR), text);
    t.throws(() => loadTokenKey(readConfig({ DATA_DIR })), { message: /does not hold a key/ });
    t.is(readFileSync(madeTokenKeyPath(DATA_DIR), 'utf8'), text);
  }
});

test('production makes no key', async (t) => {
  const DATA_DIR = await temporaryFolder(t);
  t.is(loadTokenKey(readConfig({ ...PRODUCTION, DATA_DIR })), undefined);
  t.deepEqual(readdirSync(DATA_DIR), []);
});

test('production serves a proxy with a key and a token, or if it is explicitly open', (t) => {
  const why = (given: Record<string, string>): string | undefined =>
    whyNoProxy(readConfig({ ...PRODUCTION, ...given }));
  t.regex(why({}) ?? '', /JWT_HEX_SECRET/);
  t.regex(why({ PROXY_TOKEN: 'x', PROXY_OPEN: 'false' }) ?? '', /JWT_HEX_SECRET/);
  t.regex(why({ PROXY_OPEN: 'true' }) ?? '', /JWT_HEX_SECRET/);
  t.regex(why({ JWT_HEX_SECRET }) ?? '', /PROXY_TOKEN/);
  t.is(why({ JWT_HEX_SECRET, PROXY_TOKEN: 'x' }), undefined);
  t.is(why({ JWT_HEX_SECRET, PROXY_OPEN: 'true' }), undefined);
  t.is(whyNoProxy(readConfig({})), undefined);
});
