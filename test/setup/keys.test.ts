import { chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readConfig } from '../../src/config/config.ts';
import { whyNoProxy } from '../../src/keys/token-key.ts';
import { type Folders, type Given, type MongoAccess, makeKeys } from '../../src/setup/keys.ts';
import { asRoot } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const HOST = 'mongo:27017';
const GIVEN = ['aa', 'bb'].map((byte) => byte.repeat(32)) as [string, string];

type Place = { folders: Folders; make(given?: Given): MongoAccess; read(name: string): string };

async function place(t: ExecutionContext): Promise<Place> {
  const folder = await temporaryFolder(t);
  const folders = { service: join(folder, 'service'), mongo: join(folder, 'mongo') };
  for (const path of Object.values(folders)) mkdirSync(path);
  return {
    folders,
    make: (given = {}) => makeKeys(folders, HOST, given),
    read: (name) => readFileSync(join(folder, name), 'utf8').trim(),
  };
}

function everything({ folders }: Place): Record<string, string> {
  const paths = Object.values(folders).flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  return Object.fromEntries(paths.map((path) => [path, readFileSync(path, 'utf8')]));
}

test('missing keys are made; the files that the service reads are a valid configuration, and it reads no others', async (t) => {
  const here = await place(t);
  const { rootUrl, serviceUrl, password } = here.make();
  t.deepEqual(readdirSync(here.folders.service).sort(), [
    'jwt-key',
    'jwt-key.made',
    'master-key',
    'proxy-token',
    'proxy-token.made',
    'storage-url',
  ]);
  t.deepEqual(readdirSync(here.folders.mongo).sort(), ['keyfile', 'password', 'root-password']);
  const config = readConfig({
    NODE_ENV: 'production',
    MASTER_KEY_FILE: join(here.folders.service, 'master-key'),
    STORAGE_URL_FILE: join(here.folders.service, 'storage-url'),
    JWT_HEX_SECRET_FILE: join(here.folders.service, 'jwt-key'),
    PROXY_TOKEN_FILE: join(here.folders.service, 'proxy-token'),
  });
  t.is(whyNoProxy(config), undefined);
  t.is(config.JWT_HEX_SECRET?.length, 64);
  t.regex(config.PROXY_TOKEN ?? '', /^[\w-]{32}$/);
  t.is(config.MASTER_KEY?.length, 32);
  t.is(config.STORAGE_URL, serviceUrl);
  t.is(serviceUrl, `mongodb://hushbox:${password}@mongo:27017/hushbox?directConnection=true`);
  t.is(rootUrl, `mongodb://root:${here.read('mongo/root-password')}@mongo:27017/admin?directConnection=true`);
  t.regex(here.read('mongo/keyfile'), /^[A-Za-z0-9+/]{1008}$/);
  t.false(serviceUrl.includes(here.read('mongo/root-password')));
});

test('existing keys are not made again, nor touched', async (t) => {
  const here = await place(t);
  const first = here.make();
  const before = everything(here);
  const times = Object.keys(before).map((path) => statSync(path).mtimeMs);
  t.deepEqual(here.make(), first);
  t.deepEqual(everything(here), before);
  t.deepEqual(
    Object.keys(before).map((path) => statSync(path).mtimeMs),
    times,
  );
});

test('two setups make different keys', async (t) => {
  const [one, other] = [await place(t), await place(t)];
  one.make();
  other.make();
  const names = ['service/master-key', 'service/jwt-key', 'service/proxy-token'];
  for (const name of [...names, 'mongo/password', 'mongo/root-password', 'mongo/keyfile']) {
    t.not(one.read(name), other.read(name), name);
  }
});

test('a given master key comes first, and no older one is lost', async (t) => {
  const here = await place(t);
  here.make();
  const made = here.read('service/master-key');
  here.make({ masterKeys: GIVEN[0] });
  t.is(here.read('service/master-key'), `${GIVEN[0]}\n${made}`);
  here.make({ masterKeys: Buffer.from(GIVEN[0], 'hex').toString('base64url') }); // the same key
  t.is(here.read('service/master-key'), `${GIVEN[0]}\n${made}`);
  here.make({ masterKeys: GIVEN.toReversed().join('\n') });
  t.is(here.read('service/master-key'), `${GIVEN[1]}\n${GIVEN[0]}\n${made}`);
  here.make({ masterKeys: GIVEN[0] });
  t.is(here.read('service/master-key'), `${GIVEN[0]}\n${GIVEN[1]}\n${made}`);
  here.make();
  t.is(here.read('service/master-key'), `${GIVEN[0]}\n${GIVEN[1]}\n${made}`);
});

test('a given password is used in the address; without it the made one is used again', async (t) => {
  const here = await place(t);
  const made = here.make();
  const given = here.make({ password: 'p@ss/word:?#' });
  t.is(given.password, 'p@ss/word:?#');
  t.is(given.serviceUrl, 'mongodb://hushbox:p%40ss%2Fword%3A%3F%23@mongo:27017/hushbox?directConnection=true');
  t.is(here.read('service/storage-url'), given.serviceUrl);
  t.deepEqual(here.make(), made);
});

test('the password of root is the one that the database was created with; another one is refused and changes nothing', async (t) => {
  const here = await place(t);
  t.regex(here.make({ rootPassword: 'a given one' }).rootUrl, /^mongodb:\/\/root:a%20given%20one@/);
  const before = everything(here);
  const error = t.throws(() => here.make({ rootPassword: 'hunter2-hunter2' }));
  t.regex(error?.message ?? '', /^MONGO_ROOT_PASSWORD is not the one/);
  t.notRegex(error?.message ?? '', /hunter2/);
  t.deepEqual(everything(here), before);
  t.notThrows(() => here.make());
});

test('a given key and token of the proxy are used; without them the made ones are used again', async (t) => {
  const here = await place(t);
  here.make();
  const made = everything(here);
  const jwtKey = 'AB '.repeat(64).trim();
  here.make({ jwtKey, proxyToken: 'given-token' });
  t.deepEqual([here.read('service/jwt-key'), here.read('service/proxy-token')], [jwtKey, 'given-token']);
  here.make();
  t.deepEqual(everything(here), made);
});

test('an open proxy has no token, and gets the made one when it is closed', async (t) => {
  const here = await place(t);
  here.make({ isProxyOpen: true });
  const read = (PROXY_OPEN: string) =>
    readConfig({
      NODE_ENV: 'production',
      PROXY_OPEN,
      ...Object.fromEntries(
        Object.entries({ MASTER_KEY: 'master-key', JWT_HEX_SECRET: 'jwt-key', PROXY_TOKEN: 'proxy-token' }).map(
          ([name, file]) => [`${name}_FILE`, join(here.folders.service, file)],
        ),
      ),
    });
  t.is(read('true').PROXY_TOKEN, undefined);
  t.is(whyNoProxy(read('true')), undefined);
  t.throws(() => read('false'), { message: /PROXY_TOKEN/ }, 'an empty token is no token');
  here.make();
  t.regex(read('false').PROXY_TOKEN ?? '', /^[\w-]{32}$/);
  t.throws(() => here.make({ isProxyOpen: true, proxyToken: 'x' }), { message: /^PROXY_OPEN and PROXY_TOKEN/ });
});

test('a bad key of the proxy is refused by name, without its value, and changes nothing', async (t) => {
  const here = await place(t);
  here.make();
  const before = everything(here);
  const error = t.throws(() => here.make({ jwtKey: 'hunter2-hunter2' }));
  t.regex(error?.message ?? '', /^JWT_HEX_SECRET must be/);
  t.notRegex(error?.message ?? '', /hunter2/);
  t.deepEqual(everything(here), before);
});

test('a bad master key is refused by name, without its value, and changes nothing', async (t) => {
  const here = await place(t);
  here.make();
  const before = everything(here);
  for (const masterKeys of ['hunter2-hunter2', `${GIVEN[0]}\nhunter2`]) {
    const error = t.throws(() => here.make({ masterKeys }));
    t.regex(error?.message ?? '', /^MASTER_KEY must be 32 bytes/);
    t.notRegex(error?.message ?? '', /hunter2/);
  }
  t.deepEqual(everything(here), before);
});

test('a file of master keys that holds something else is left as it is', async (t) => {
  const here = await place(t);
  here.make();
  writeFileSync(join(here.folders.service, 'master-key'), 'half a key');
  for (const given of [{}, { masterKeys: GIVEN[0] }]) t.throws(() => here.make(given), { message: /something else/ });
  t.is(here.read('service/master-key'), 'half a key');
});

asRoot("every file is its owner's alone, and that is the owner of its folder", async (t) => {
  const here = await place(t);
  chownSync(here.folders.service, 1234, 4321);
  here.make();
  for (const path of Object.keys(everything(here))) {
    const { mode, uid, gid } = statSync(path);
    t.is(mode & 0o777, 0o600, path);
    t.deepEqual([uid, gid], path.startsWith(here.folders.service) ? [1234, 4321] : [0, 0], path);
  }
});
