import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { MongoClient } from 'mongodb';
import type { Finding } from '../../../src/findings.ts';
import { masterKeyIdOf } from '../../../src/sealing/key-ring.ts';
import { inspectSqlite } from '../../../src/storage/sqlite/operator/inspect.ts';
import { MIGRATIONS } from '../../../src/storage/sqlite/schema.ts';
import { secretsAt } from '../../fixtures/fixture.ts';
import { startMongoProxy } from '../../storage/mongo/mongo-proxy.ts';
import { findFreePort } from '../../support/process/free-port.ts';
import { hushbox } from '../../support/process/hushbox.ts';
import { remember } from '../../support/process/leaks.ts';
import { start } from '../../support/process/program.ts';
import { ENGINES, MONGODB, type Place, SQLITE, temporaryFolder } from '../../support/storage/storage.ts';

const KEY = randomBytes(32);
const OTHER = randomBytes(32);
for (const key of [KEY, OTHER]) remember(key.toString('hex'));

// One after the other: each starts processes. `test.skip` knows no `serial`.
const testMongo = MONGODB.test.serial ?? MONGODB.test;

type Found = Finding & { check: string };
type Diagnosis = { code: number | null; findings: Found[]; told(check: string): string };

/** What the doctor says; every run is searched for the keys and the values given. */
async function diagnose(env: Record<string, string>): Promise<Diagnosis> {
  const { code, stdout, stderr } = await hushbox(['doctor', '--json'], env);
  if (stderr) throw new Error(stderr);
  const { findings } = JSON.parse(stdout) as { findings: Found[] };
  return {
    code,
    findings,
    told: (check) =>
      findings
        .filter((finding) => finding.check === check)
        .map(({ level, text }) => `${level}: ${text}`)
        .join('\n'),
  };
}

/** An environment of its own, with a folder for what is not the storage's. */
async function environmentOf(t: ExecutionContext, place: Place, more = {}): Promise<Record<string, string>> {
  const DATA_DIR = join(await temporaryFolder(t), 'data');
  mkdirSync(DATA_DIR, 0o700);
  const HTTP_PORT = String(await findFreePort());
  return { STORAGE_URL: place.url, DATA_DIR, HTTP_PORT, MASTER_KEY: KEY.toString('hex'), ...more };
}

/** A secret that is sealed with the key, made at an instant. */
async function store(place: Place, key: Buffer, now = Date.now()): Promise<void> {
  const { secrets, close } = await place.open();
  const rules = secretsAt(secrets, [key.toString('hex')], () => now);
  await rules.create({ secret: 'sealed', ttlMs: 3_600_000, receipt: false });
  await close();
}

for (const engine of ENGINES) {
  const testEngine = engine.test.serial ?? engine.test;
  testEngine(`${engine.name}: a set-up that is right has no problem, and stays as it was`, async (t) => {
    const place = await engine.place(t);
    await store(place, KEY);
    const env = await environmentOf(t, place);
    const { code, told } = await diagnose(env);
    t.is(code, 0);
    t.is(told('configuration').split('\n')[0], 'ok: Every variable is sound.');
    t.regex(told('storage'), engine.name === 'sqlite' ? /ok: SQLite opens/ : /: MongoDB answers/);
    t.regex(told('storage'), /A write is (on disk|confirmed by a majority) after [\d.]+ ms/);
    t.regex(told('keys'), new RegExp(`ok: The master key ${masterKeyIdOf(KEY).toString('hex')} seals`));
    t.regex(told('keys'), /ok: 1 secret waiting/);
    t.regex(told('service'), /note: No service runs/);
    t.deepEqual(readdirSync(env.DATA_DIR as string), []);
  });

  testEngine(`${engine.name}: a key that is missing is a problem, one that nothing needs is told`, async (t) => {
    const place = await engine.place(t);
    await store(place, OTHER);
    const { code, told } = await diagnose(await environmentOf(t, place));
    t.is(code, 1);
    const missing = masterKeyIdOf(OTHER).toString('hex');
    t.regex(told('keys'), new RegExp(`problem: The master key ${missing} is not here: 1 secret sealed`));
    const held = await diagnose(await environmentOf(t, place, { MASTER_KEY_PREVIOUS: OTHER.toString('hex') }));
    t.is(held.code, 0);
    t.regex(held.told('keys'), /1 secret waiting/);
    const unneeded = { MASTER_KEY: OTHER.toString('hex'), MASTER_KEY_PREVIOUS: KEY.toString('hex') };
    t.regex((await diagnose(await environmentOf(t, place, unneeded))).told('keys'), /note: The older .* not needed/);
  });

  testEngine(`${engine.name}: a secret from the future is a problem: a clock is wrong`, async (t) => {
    const place = await engine.place(t);
    await store(place, KEY, Date.now() + 3_600_000);
    const { code, told } = await diagnose(await environmentOf(t, place));
    t.is(code, 1);
    t.regex(told('keys'), /problem: The newest secret was made [\d,]+ seconds in the future/);
  });
}

test.serial('where nothing is yet, nothing is made', async (t) => {
  const folder = await temporaryFolder(t);
  const env = { STORAGE_URL: `sqlite:${folder}/new/data/x.db`, HTTP_PORT: String(await findFreePort()) };
  const { code, told } = await diagnose(env);
  t.is(code, 0);
  t.regex(told('storage'), /^note: There is no database yet/);
  t.regex(told('keys'), /^note: There is no master key yet/);
  t.regex(told('files'), /not there yet/);
  t.deepEqual(readdirSync(folder), []);
});

test.serial('every bad variable is a problem, no value is shown, and what can be looked at is', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const bad = { HTTP_PORT: 'leaked-1', MASTER_KEY: 'leaked-2', PUBLIC_URL: 'leaked-3' };
  const { code, told, findings } = await diagnose({ ...(await environmentOf(t, place)), ...bad });
  t.is(code, 1);
  for (const name of Object.keys(bad)) t.regex(told('configuration'), new RegExp(`problem: ${name} `));
  t.notRegex(JSON.stringify(findings), /leaked/);
  t.regex(told('storage'), /ok: SQLite opens/);
  t.regex(told('keys'), /^note: Not looked at/);
  t.regex(told('service'), /^note: Not looked at/);
});

test.serial('without a storage that is known, nothing is taken for it', async (t) => {
  const folder = await temporaryFolder(t);
  const { code, told } = await diagnose({ STORAGE_URL: 'nowhere', DATA_DIR: folder, HTTP_PORT: '1' });
  t.is(code, 1);
  for (const check of ['storage', 'keys', 'fence']) t.regex(told(check), /^note: Not looked at/);
});

test.serial('a database that is damaged, newer, older or none is told so', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const path = place.url.slice('sqlite:'.length);
  const env = await environmentOf(t, place);
  const alter = (sql: string): void => {
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  };
  const told = async (): Promise<string> => (await diagnose(env)).told('storage');
  alter('PRAGMA user_version = 1');
  t.regex(await told(), /note: SQLite opens.* version 1 .*next start brings them to/);
  alter('PRAGMA user_version = 4711');
  t.regex(await told(), /problem: The database was made by a newer version/);
  alter(`PRAGMA user_version = ${MIGRATIONS.length}`);
  const sound = readFileSync(path);
  writeFileSync(path, Buffer.from(sound).fill('damage', 4_096, 12_288));
  t.regex(await told(), /problem: The database cannot be looked at: .* malformed/);
  sound.writeUInt32BE(5, 36); // so many unused pages there are not
  writeFileSync(path, sound);
  t.regex(await told(), /problem: The database is damaged/);
  writeFileSync(path, 'not a database '.repeat(1_000));
  t.regex(await told(), /problem: The database cannot be looked at: file is not a database/);
  t.is((await diagnose(env)).code, 1);
});

test.serial('files and folders that are open to others are told, with the command that closes them', async (t) => {
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
  chmodSync(env.DATA_DIR as string, 0o770);
  t.deepEqual(
    (await warned()).sort(),
    [`chmod 600 ${MASTER_KEY_FILE}`, `chmod 600 ${path}`, `chmod go-w ${env.DATA_DIR}`].sort(),
  );
});

test.serial("development's key file is looked at, and a garbled one is a problem", async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const { MASTER_KEY: _, ...env } = await environmentOf(t, place);
  const path = join(env.DATA_DIR as string, 'master.key');
  writeFileSync(path, `${KEY.toString('hex')}\n`, { mode: 0o644 });
  const open = await diagnose(env);
  t.regex(open.told('files'), /warning: .*master\.key is open to others \(0644\)/);
  t.regex(open.told('keys'), /1 secret waiting/);
  writeFileSync(path, 'garbled-key-file');
  const garbled = await diagnose(env);
  t.is(garbled.code, 1);
  t.regex(garbled.told('keys'), /problem: .* does not hold a master key/);
  t.notRegex(JSON.stringify(garbled.findings), /garbled-key-file/);
});

test.serial(
  'a service that runs is found ready, is not disturbed, and what else listens there is not taken for it',
  async (t) => {
    const port = await findFreePort();
    const program = await start(t, { env: { HTTP_PORT: String(port) } });
    const env = {
      STORAGE_URL: `sqlite:${join(program.folder, 'hushbox.db')}`,
      DATA_DIR: program.folder,
      HTTP_PORT: String(port),
    };
    const { code, told } = await diagnose(env);
    t.is(code, 0);
    t.regex(told('service'), /^ok: .* is ready/);
    t.regex(told('fence'), /^ok: The last mark is of/);
    t.is((await fetch(`${program.base}/health/ready`)).status, 200);

    const other = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    t.teardown(() => other.close());
    await once(other, 'listening');
    const { port: otherPort } = other.address() as AddressInfo;
    t.regex((await diagnose({ ...env, HTTP_PORT: String(otherPort) })).told('service'), /^warning: .* is not Hushbox/);
  },
);

test.serial('a service on sockets is found', async (t) => {
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 'sockets');
  await start(t, { folder, env: { SOCKET_DIR } });
  const { told } = await diagnose({ STORAGE_URL: `sqlite:${join(folder, 'hushbox.db')}`, SOCKET_DIR });
  t.regex(told('service'), /^ok: The service on .*worker-1\.sock is ready/);
});

test.serial('one that takes connections and never answers is a problem, in bounded time', async (t) => {
  const SOCKET_DIR = await temporaryFolder(t);
  const silent = createServer(() => {}).listen(join(SOCKET_DIR, 'worker-1.sock'));
  t.teardown(() => {
    silent.closeAllConnections();
    silent.close();
  });
  await once(silent, 'listening');
  const { code, told } = await diagnose({ STORAGE_URL: `sqlite:${SOCKET_DIR}/none.db`, SOCKET_DIR });
  t.is(code, 1);
  t.regex(told('service'), /^problem: .* does not answer/);
});

test.serial('an older state is told before the service starts with it, and a mark that is missing', async (t) => {
  const place = await SQLITE.place(t);
  const folder = await temporaryFolder(t);
  const env = { STORAGE_URL: place.url, DATA_DIR: folder };
  const program = await start(t, { folder, env });
  program.signal('SIGTERM');
  await program.exit;
  const mark = readFileSync(join(folder, 'fence.json'), 'utf8');
  t.regex((await diagnose({ ...env, HTTP_PORT: '1' })).told('fence'), /^ok: /);
  writeFileSync(
    join(folder, 'fence.json'),
    mark.replace(/"mark":(\d+)/, (_, at) => `"mark":${Number(at) + 1_000}`),
  );
  const back = await diagnose({ ...env, HTTP_PORT: '1' });
  t.is(back.code, 1);
  t.regex(back.told('fence'), /^problem: The database is in an older state/);
  writeFileSync(join(folder, 'fence.json'), 'garbled');
  t.regex((await diagnose({ ...env, HTTP_PORT: '1' })).told('fence'), /^problem: The marks in .* cannot be read/);
  t.is(readFileSync(join(folder, 'fence.json'), 'utf8'), 'garbled');
});

test.serial('what the fence refuses is told, and a mark from the future: a clock went back', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const env = await environmentOf(t, place);
  const database = new DatabaseSync(place.url.slice('sqlite:'.length));
  database.prepare('UPDATE fence SET mark = ?, refused_until = ?').run(Date.now() + 3_600_000, Date.now() - 1_000);
  database.close();
  const { code, told } = await diagnose(env);
  t.is(code, 1);
  t.regex(told('fence'), /problem: The last mark is of .* in the future/);
  t.regex(told('fence'), /warning: The fence file has no mark of this database/);
  t.regex(told('fence'), /warning: Secrets made until .* are refused/);
});

test.serial('a database that does not open in time is a problem, and does not hold the command', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const [finding, ...others] = await inspectSqlite(place.url.slice('sqlite:'.length), 1);
  t.deepEqual(others, []);
  t.is(finding?.level, 'problem');
  t.regex(finding?.text ?? '', /^Opening the database did not end within/);
});

test.serial('for people it is one line a finding, with what to do below it', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, OTHER);
  const { code, stdout } = await hushbox(['doctor'], await environmentOf(t, place));
  t.is(code, 1);
  t.regex(stdout, /^PROBLEM {2}keys {10}The master key .*\n {24}→ Put it into MASTER_KEY_PREVIOUS/m);
});

testMongo('a MongoDB server that is away, late, or lets no write be confirmed is a problem', async (t) => {
  const place = await MONGODB.place(t);
  await store(place, KEY);
  const proxy = await startMongoProxy(t, place.url);
  const env = { ...(await environmentOf(t, place)), STORAGE_URL: proxy.url };
  proxy.editAnswers(({ hello }, answer) =>
    hello ? { ...answer, setName: 'rs0', localTime: new Date(Date.now() - 45_000) } : undefined,
  );
  const late = await diagnose(env);
  t.is(late.code, 1);
  t.regex(late.told('storage'), /problem: MongoDB's clock and ours differ by 4[45]\.\d s/);
  t.regex(late.told('storage'), /ok: MongoDB answers: a replica set/);
  const writeConcernError = { code: 64, codeName: 'WriteConcernTimeout', errmsg: 'waiting timed out' };
  proxy.editAnswers((command, answer) => (command.delete ? { ...answer, writeConcernError } : undefined));
  t.regex((await diagnose(env)).told('storage'), /problem: MongoDB does not confirm a write \(error 64\)/);
  await proxy.cut();
  const away = await diagnose(env);
  t.is(away.code, 1);
  t.regex(away.told('storage'), /problem: MongoDB does not answer/);
});

testMongo('missing indexes are a problem; a database that is not there is none, and is not made', async (t) => {
  const place = await MONGODB.place(t);
  const env = await environmentOf(t, place);
  const fresh = await diagnose(env);
  t.is(fresh.code, 0);
  t.regex(fresh.told('storage'), /note: Nothing is stored yet/);
  const client = new MongoClient(place.url);
  t.teardown(() => client.close());
  t.deepEqual(await client.db().listCollections().toArray(), []);
  await client.db().collection('secrets').insertOne({ some: 'document' });
  const { code, told } = await diagnose(env);
  t.is(code, 1);
  t.regex(told('storage'), /problem: Indexes are missing: remove, wipe/);
});

test.serial('no folder or file of another is made beside what is looked at', async (t) => {
  const place = await SQLITE.place(t);
  await store(place, KEY);
  const path = place.url.slice('sqlite:'.length);
  const before = readFileSync(path);
  await diagnose(await environmentOf(t, place));
  t.deepEqual(readFileSync(path), before);
  t.false(existsSync(`${path}-wal`));
  t.is(readdirSync(join(path, '..')).length, 1);
});
