import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { MongoClient } from 'mongodb';
import type { Finding } from '../../../src/cli/doctor/findings.ts';
import { judgeStorage } from '../../../src/cli/doctor/storage.ts';
import { createHead } from '../../../src/sealing/head.ts';
import { createKeyRing, masterKeyIdOf } from '../../../src/sealing/key-ring.ts';
import { createSecretKey } from '../../../src/secrets/keys.ts';
import { COLLECTIONS } from '../../../src/storage/mongo/collections.ts';
import { inspectSqlite } from '../../../src/storage/sqlite/operator/inspect.ts';
import { MIGRATIONS } from '../../../src/storage/sqlite/schema.ts';
import { secretsAt } from '../../fixtures/fixture.ts';
import { startMongoProxy } from '../../storage/mongo/mongo-proxy.ts';
import { send } from '../../support/http/client.ts';
import { findFreePort } from '../../support/process/free-port.ts';
import { hushbox } from '../../support/process/hushbox.ts';
import { remember } from '../../support/process/leaks.ts';
import { start, until } from '../../support/process/program.ts';
import { ENGINES, MONGODB, type Place, SQLITE, temporaryFolder } from '../../support/storage/storage.ts';

const KEY = randomBytes(32);
const OTHER = randomBytes(32);
for (const key of [KEY, OTHER]) remember(key.toString('hex'));

// One after the other: each starts processes.
const testMongo = MONGODB.test.serial;

type Found = Finding & { check: string };
type Diagnosis = { code: number | null; findings: Found[]; said(check: string): string };

/** Runs the doctor. Its output is searched for the keys and the given values. */
async function diagnose(env: Record<string, string>): Promise<Diagnosis> {
  const { code, stdout, stderr } = await hushbox(['doctor', '--json'], env);
  if (stderr) throw new Error(stderr);
  const { findings } = JSON.parse(stdout) as { findings: Found[] };
  return {
    code,
    findings,
    said: (check) =>
      findings
        .filter((finding) => finding.check === check)
        .map(({ level, text }) => `${level}: ${text}`)
        .join('\n'),
  };
}

/** An environment with a data folder outside the storage. */
async function environmentOf(t: ExecutionContext, place: Place, more = {}): Promise<Record<string, string>> {
  const DATA_DIR = join(await temporaryFolder(t), 'data');
  mkdirSync(DATA_DIR, 0o700);
  const HTTP_PORT = String(await findFreePort());
  return { STORAGE_URL: place.url, DATA_DIR, HTTP_PORT, MASTER_KEY: KEY.toString('hex'), ...more };
}

/** Stores a secret that is sealed with the key, created at an instant, and an open request: the head of one. */
async function store(place: Place, key: Buffer, now = Date.now()): Promise<void> {
  const { secrets, close } = await place.open();
  const rules = secretsAt(secrets, [key.toString('hex')], () => now);
  const { expiresAt } = await rules.create({ secret: 'sealed', ttlMs: 3_600_000, receipt: false });
  const [{ id }, envelope] = [createSecretKey(expiresAt), createHead(2, 0, createKeyRing([key]).current)];
  await secrets.create({ id, envelope, createdAt: now, expiresAt, requestHash: randomBytes(32) });
  if (place.url.startsWith('mongodb:')) await untilIndexed(place);
  await close();
}

/** Indexes are created in the background, one collection after the other. */
async function untilIndexed({ url }: Place): Promise<void> {
  const client = new MongoClient(url);
  const { name = '' } = COLLECTIONS.findLast(({ indexes }) => indexes.length > 0) ?? {};
  await until('the indexes of the last collection', async () => {
    const [last] = await client.db().listCollections({ name }).toArray();
    return last !== undefined && (await client.db().collection(name).indexes()).length > 1;
  });
  await client.close();
}

for (const engine of ENGINES) {
  const testEngine = engine.test.serial ?? engine.test;
  testEngine(`${engine.name}: a correct setup has no problem, and does not change`, async (t) => {
    const place = await engine.place(t);
    await store(place, KEY);
    const env = await environmentOf(t, place);
    const { code, said } = await diagnose(env);
    t.is(code, 0);
    t.is(said('configuration').split('\n')[0], 'ok: The configuration is valid.');
    t.regex(said('storage'), engine.name === 'sqlite' ? /ok: SQLite opens/ : /: MongoDB answers/);
    t.regex(said('storage'), /A write is (on disk|confirmed by a majority) after [\d.]+ ms/);
    t.regex(said('keys'), new RegExp(`ok: The master key ${masterKeyIdOf(KEY).toString('hex')} seals`));
    t.regex(said('keys'), /ok: 1 secret waiting, 1 request open/);
    t.regex(said('service'), /note: No service runs/);
    t.deepEqual(readdirSync(env.DATA_DIR as string), []);
  });

  testEngine(`${engine.name}: a missing key is a problem, a key that nothing needs is a note`, async (t) => {
    const place = await engine.place(t);
    await store(place, OTHER);
    const { code, said } = await diagnose(await environmentOf(t, place));
    t.is(code, 1);
    const missing = masterKeyIdOf(OTHER).toString('hex');
    t.regex(said('keys'), new RegExp(`problem: The master key ${missing} is not here: 1 secret and 1 request sealed`));
    const held = await diagnose(await environmentOf(t, place, { MASTER_KEY_PREVIOUS: OTHER.toString('hex') }));
    t.is(held.code, 0);
    t.regex(held.said('keys'), /1 secret waiting/);
    const keyless = { SERVICES: 'business', AUTH_URL: 'unix:/nowhere', MASTER_KEY: '' };
    const { said: saidWithout } = await diagnose(await environmentOf(t, place, keyless));
    t.is(saidWithout('keys'), 'ok: Nothing that is served here needs a master key.');
    const unneeded = { MASTER_KEY: OTHER.toString('hex'), MASTER_KEY_PREVIOUS: KEY.toString('hex') };
    t.regex(
      (await diagnose(await environmentOf(t, place, unneeded))).said('keys'),
      /note: The older .* no longer needed/,
    );
  });

  testEngine(`${engine.name}: a secret from the future is a problem, because a clock is wrong`, async (t) => {
    const place = await engine.place(t);
    await store(place, KEY, Date.now() + 3_600_000);
    const { code, said } = await diagnose(await environmentOf(t, place));
    t.is(code, 1);
    t.regex(said('keys'), /problem: The newest secret was created [\d,]+ seconds in the future/);
  });
}

test.serial('before the first start nothing is created', async (t) => {
  const folder = await temporaryFolder(t);
  const env = { STORAGE_URL: `sqlite:${folder}/new/data/x.db`, HTTP_PORT: String(await findFreePort()) };
  const { code, said } = await diagnose(env);
  t.is(code, 0);
  t.regex(said('storage'), /^note: There is no database yet/);
  t.regex(said('keys'), /^note: There is no master key yet/);
  t.regex(said('files'), /not there yet/);
  t.deepEqual(readdirSync(folder), []);
});

test.serial('a journal without its database is a problem, and stays', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'x.db');
  writeFileSync(`${path}-wal`, 'committed', { mode: 0o600 });
  const { code, said } = await diagnose({ STORAGE_URL: `sqlite:${path}`, HTTP_PORT: String(await findFreePort()) });
  t.is(code, 1);
  t.regex(said('storage'), /^problem: \S+x\.db-wal \(9 bytes\) holds changes of a database that is not there\.$/);
  t.deepEqual(readdirSync(folder), ['x.db-wal']);
});

test('an SQLite that can corrupt a database is a problem, and does not open it', async (t) => {
  const path = join(await temporaryFolder(t), 'x.db');
  writeFileSync(path, '');
  const inspection = await inspectSqlite(path, 10_000, '3.51.2');
  t.deepEqual(
    judgeStorage(inspection).map(({ level }) => level),
    ['problem'],
  );
  t.regex(judgeStorage(inspection)[0]?.text ?? '', /SQLite 3\.51\.2.*install Node\.js 24\.18\.1/);
});

test.serial('every bad variable is a problem, no value is shown, and all other checks run', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const bad = { HTTP_PORT: 'leaked-1', MASTER_KEY: 'leaked-2', PUBLIC_URL: 'leaked-3' };
  const { code, said, findings } = await diagnose({ ...(await environmentOf(t, place)), ...bad });
  t.is(code, 1);
  for (const name of Object.keys(bad)) t.regex(said('configuration'), new RegExp(`problem: ${name} `));
  t.notRegex(JSON.stringify(findings), /leaked/);
  t.regex(said('storage'), /ok: SQLite opens/);
  t.regex(said('keys'), /^note: Not checked/);
  t.regex(said('service'), /^note: Not checked/);
});

test.serial('without a known storage no other one is checked in its place', async (t) => {
  const folder = await temporaryFolder(t);
  const { code, said } = await diagnose({ STORAGE_URL: 'nowhere', DATA_DIR: folder, HTTP_PORT: '1' });
  t.is(code, 1);
  for (const check of ['storage', 'keys', 'fence']) t.regex(said(check), /^note: Not checked/);
});

test.serial('a database that is damaged, newer, older or of another kind is reported', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const path = place.url.slice('sqlite:'.length);
  const env = await environmentOf(t, place);
  const alter = (sql: string): void => {
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  };
  const said = async (): Promise<string> => (await diagnose(env)).said('storage');
  alter('PRAGMA user_version = 1');
  t.regex(await said(), /note: SQLite opens.* version 1 .*next start brings them to/);
  alter('PRAGMA user_version = 4711');
  t.regex(await said(), /problem: The database was made by a newer version/);
  alter(`PRAGMA user_version = ${MIGRATIONS.length}`);
  const sound = readFileSync(path);
  writeFileSync(path, Buffer.from(sound).fill('damage', 4_096)); // all pages but the first
  t.regex(await said(), /problem: The database cannot be looked at: .* malformed/);
  sound.writeUInt32BE(5, 36); // a wrong number of unused pages
  writeFileSync(path, sound);
  t.regex(await said(), /problem: The database is damaged/);
  writeFileSync(path, 'not a database '.repeat(1_000));
  t.regex(await said(), /problem: The database cannot be looked at: file is not a database/);
  t.is((await diagnose(env)).code, 1);
});

test.serial('files and folders that others can use are reported, with the command that closes them', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const folder = await temporaryFolder(t);
  const MASTER_KEY_FILE = join(folder, 'key');
  writeFileSync(MASTER_KEY_FILE, KEY.toString('hex'), { mode: 0o600 });
  const { MASTER_KEY: _, ...env } = await environmentOf(t, place, { MASTER_KEY_FILE });
  const path = place.url.slice('sqlite:'.length);
  const warned = async (): Promise<(string | undefined)[]> =>
    (await diagnose(env)).findings
      .filter(({ check, level }) => check === 'files' && level !== 'ok')
      .map(({ advice }) => advice);
  t.deepEqual(await warned(), []);
  chmodSync(path, 0o640);
  chmodSync(MASTER_KEY_FILE, 0o604);
  chmodSync(env.DATA_DIR as string, 0o772);
  t.deepEqual(
    (await warned()).sort(),
    [`chmod 600 ${MASTER_KEY_FILE}`, `chmod 600 ${path}`, `chmod go-w ${env.DATA_DIR}`].sort(),
  );
});

test.serial(
  "a folder that root's group may write to is in order: in a container that group may be the service's",
  async (t) => {
    const { DATA_DIR = '', ...env } = await environmentOf(t, await SQLITE.place(t));
    const findings = async (): Promise<string> => (await diagnose({ ...env, DATA_DIR })).said('files');
    chmodSync(DATA_DIR, 0o770);
    const group = statSync(DATA_DIR).gid;
    t.is((await findings()).includes(`${DATA_DIR} can be written to by others`), group !== 0);
    if (process.getuid?.() !== 0) return;
    chownSync(DATA_DIR, 0, 12_345);
    t.true((await findings()).includes(`${DATA_DIR} can be written to by others`));
  },
);

test.serial('the key file of development is checked, and a garbled one is a problem', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const { MASTER_KEY: _, ...env } = await environmentOf(t, place);
  const path = join(env.DATA_DIR as string, 'master.key');
  writeFileSync(path, `${KEY.toString('hex')}\n`, { mode: 0o644 });
  const open = await diagnose(env);
  t.regex(open.said('files'), /warning: .*master\.key is open to others \(0644\)/);
  t.regex(open.said('keys'), /1 secret waiting/);
  writeFileSync(path, 'garbled-key-file');
  const garbled = await diagnose(env);
  t.is(garbled.code, 1);
  t.regex(garbled.said('keys'), /problem: .* does not hold a master key/);
  t.notRegex(JSON.stringify(garbled.findings), /garbled-key-file/);
});

test.serial(
  'a running service is found ready and is not disturbed; another program in its place is not taken for it',
  async (t) => {
    const port = await findFreePort();
    const program = await start(t, { env: { HTTP_PORT: String(port) } });
    const env = {
      STORAGE_URL: `sqlite:${join(program.folder, 'hushbox.db')}`,
      DATA_DIR: program.folder,
      HTTP_PORT: String(port),
    };
    const { code, said } = await diagnose(env);
    t.is(code, 0);
    t.regex(said('service'), /^ok: .* is ready/);
    t.regex(said('fence'), /^ok: The last mark is of/);
    t.is((await fetch(`${program.base}/health/ready`)).status, 200);

    const other = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    t.teardown(() => other.close());
    await once(other, 'listening');
    const { port: otherPort } = other.address() as AddressInfo;
    t.regex((await diagnose({ ...env, HTTP_PORT: String(otherPort) })).said('service'), /^warning: .* is not Hushbox/);
  },
);

test.serial('clients that are all at one private address are a warning, once there were many requests', async (t) => {
  const program = await start(t, { env: { LIMITS: 'on' } });
  const env = { DATA_DIR: program.folder, STORAGE_URL: `sqlite:${join(program.folder, 'hushbox.db')}` };
  const ask = (path: string, body?: object): Promise<unknown> => send(program.base, path, body);
  const said = async (): Promise<string> =>
    (await diagnose({ ...env, HTTP_PORT: new URL(program.base).port })).said('service');
  await ask('/generate', { secret: 'of this machine' });
  t.notRegex(await said(), /one private address/);
  // 1,000 are many. A worker that is late with its report leaves some out.
  for (let sent = 0; sent < 1_200; sent += 50) {
    await Promise.all(Array.from({ length: 50 }, () => ask('/health/live')));
  }
  t.regex(await said(), /warning: All clients seem to have one private address/);
});

test.serial('a service on sockets is found', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 'sockets');
  await start(t, { folder, env: { SOCKET_DIR } });
  const { said } = await diagnose({ STORAGE_URL: `sqlite:${join(folder, 'hushbox.db')}`, SOCKET_DIR });
  t.regex(said('service'), /^ok: The service on .*worker-1\.sock is ready/);
});

test.serial('a service that accepts connections and never answers is a problem, within a deadline', async (t) => {
  const SOCKET_DIR = await temporaryFolder(t);
  const silent = createServer(() => {}).listen(join(SOCKET_DIR, 'worker-1.sock'));
  t.teardown(() => {
    silent.closeAllConnections();
    silent.close();
  });
  await once(silent, 'listening');
  const { code, said } = await diagnose({ STORAGE_URL: `sqlite:${SOCKET_DIR}/none.db`, SOCKET_DIR });
  t.is(code, 1);
  t.regex(said('service'), /^problem: .* does not answer/);
});

test.serial('an older state is reported before the service starts with it; so is a garbled fence file', async (t) => {
  const place = await SQLITE.place(t);
  const folder = await temporaryFolder(t);
  const env = { STORAGE_URL: place.url, DATA_DIR: folder };
  const program = await start(t, { folder, env });
  program.signal('SIGTERM');
  await program.exit;
  const mark = readFileSync(join(folder, 'fence.json'), 'utf8');
  t.regex((await diagnose({ ...env, HTTP_PORT: '1' })).said('fence'), /^ok: /);
  writeFileSync(
    join(folder, 'fence.json'),
    mark.replace(/"mark":(\d+)/, (_, at) => `"mark":${Number(at) + 1_000}`),
  );
  const back = await diagnose({ ...env, HTTP_PORT: '1' });
  t.is(back.code, 1);
  t.regex(back.said('fence'), /^problem: The database is in an older state/);
  writeFileSync(join(folder, 'fence.json'), 'garbled');
  t.regex((await diagnose({ ...env, HTTP_PORT: '1' })).said('fence'), /^problem: The marks in .* cannot be read/);
  t.is(readFileSync(join(folder, 'fence.json'), 'utf8'), 'garbled');
});

test.serial(
  'refused secrets are reported, and so is a mark from the future, because the clock was set back',
  async (t) => {
    const place = await SQLITE.place(t);
    await store(place, KEY);
    const env = await environmentOf(t, place);
    const database = new DatabaseSync(place.url.slice('sqlite:'.length));
    database.prepare('UPDATE fence SET mark = ?, refused_until = ?').run(Date.now() + 3_600_000, Date.now() - 1_000);
    database.close();
    const { code, said } = await diagnose(env);
    t.is(code, 1);
    t.regex(said('fence'), /problem: The last mark is of .* in the future/);
    t.regex(said('fence'), /warning: The fence file has no mark of this database/);
    t.regex(said('fence'), /warning: Secrets created until .* are refused/);
  },
);

test.serial('a database that does not open in time is a problem, and does not delay the command', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const [finding, ...others] = judgeStorage(await inspectSqlite(place.url.slice('sqlite:'.length), 1));
  t.deepEqual(others, []);
  t.is(finding?.level, 'problem');
  t.regex(finding?.text ?? '', /^Opening the database did not end within/);
});

test.serial('people get one line for each finding, with advice below it', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, OTHER);
  const { code, stdout } = await hushbox(['doctor'], await environmentOf(t, place));
  t.is(code, 1);
  t.regex(stdout, /^PROBLEM {2}keys {10}The master key .*\n {24}→ Put it into MASTER_KEY_PREVIOUS/m);
});

testMongo(
  'a MongoDB server that is away, late, or confirms no write is a problem; the reason is given once',
  async (t) => {
    const place = await MONGODB.place(t);
    await store(place, KEY);
    const proxy = await startMongoProxy(t, place.url);
    const env = { ...(await environmentOf(t, place)), STORAGE_URL: proxy.url };
    proxy.editAnswers(({ hello }, answer) =>
      hello ? { ...answer, setName: 'rs0', localTime: new Date(Date.now() - 45_000) } : undefined,
    );
    const late = await diagnose(env);
    t.is(late.code, 1);
    t.regex(late.said('storage'), /problem: MongoDB's clock and ours differ by 4[45]\.\d s/);
    t.regex(late.said('storage'), /ok: MongoDB answers: a replica set/);
    const writeConcernError = { code: 64, codeName: 'WriteConcernTimeout', errmsg: 'waiting timed out' };
    proxy.editAnswers((command, answer) => (command.delete ? { ...answer, writeConcernError } : undefined));
    t.regex((await diagnose(env)).said('storage'), /problem: MongoDB does not confirm a write \(error 64\)/);
    await proxy.cut();
    const away = await diagnose(env);
    t.is(away.code, 1);
    t.regex(away.said('storage'), /problem: MongoDB does not answer \(connect ECONNREFUSED 127\.0\.0\.1:\d+\)\.$/);
    for (const check of ['keys', 'fence']) t.is(away.said(check), 'note: Skipped: no storage.');
    t.is(JSON.stringify(away.findings).match(/ECONNREFUSED/g)?.length, 1);
  },
);

testMongo('missing indexes are a problem; a missing database is not, and is not created', async (t) => {
  const place = await MONGODB.place(t);
  const env = await environmentOf(t, place);
  const fresh = await diagnose(env);
  t.is(fresh.code, 0);
  t.regex(fresh.said('storage'), /note: Nothing is stored yet/);
  const client = new MongoClient(place.url);
  t.teardown(() => client.close());
  t.deepEqual(await client.db().listCollections().toArray(), []);
  await client.db().collection('secrets').insertOne({ some: 'document' });
  const { code, said } = await diagnose(env);
  t.is(code, 1);
  t.regex(said('storage'), /problem: Indexes are missing: remove, wipe/);
});

testMongo('a missing index is a problem in every collection', async (t) => {
  const place = await MONGODB.place(t);
  await store(place, KEY);
  const env = await environmentOf(t, place);
  const client = new MongoClient(place.url);
  t.teardown(() => client.close());
  for (const [collection, index] of [
    ['secrets', 'due'],
    ['clients', 'remove'],
    ['claims', 'newest'],
    ['sessions', 'account'],
  ] as const) {
    await client.db().collection(collection).dropIndex(index);
  }
  const { code, said } = await diagnose(env);
  t.is(code, 1);
  const missing = 'due of secrets; remove of clients; newest of claims; account of sessions';
  t.regex(said('storage'), new RegExp(`problem: Indexes are missing: ${missing}\\.`));
});

test.serial('no file appears beside the database, which does not change', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const path = place.url.slice('sqlite:'.length);
  const before = readFileSync(path);
  await diagnose(await environmentOf(t, place));
  t.deepEqual(readFileSync(path), before);
  t.false(existsSync(`${path}-wal`));
  t.is(readdirSync(join(path, '..')).length, 1);
});
