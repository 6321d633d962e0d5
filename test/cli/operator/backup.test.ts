import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { backUp } from '../../../src/cli/operator/backup.ts';
import { describe } from '../../../src/cli/terminal.ts';
import { readConfig } from '../../../src/config/config.ts';
import { openWriter } from '../../../src/storage/sqlite/engine/database.ts';
import { MIGRATIONS } from '../../../src/storage/sqlite/schema.ts';
import { createSecret, readSecret, send } from '../../support/http/client.ts';
import { hushbox } from '../../support/process/hushbox.ts';
import { startClients } from '../../support/process/load.ts';
import { isStopped, type ReadyProgram, start, until } from '../../support/process/program.ts';
import { copyDatabase } from '../../support/process/put-back.ts';
import { asRoot, withMounts } from '../../support/process/tools.ts';
import { MONGODB, temporaryFolder } from '../../support/storage/storage.ts';

const HUSHBOX = fileURLToPath(new URL('../../../bin/hushbox', import.meta.url));
const PAGE = readFileSync('docs/backup.md', 'utf8');
const MEBIBYTE = 1024 * 1024;

// One after the other: each starts processes.
const testMongo = MONGODB.test.serial;
const withSmallDisk = withMounts.serial;

type Place = { folder: string; database: string; backups: string; env: Record<string, string> };

/** A folder as the page has it: `data` with an empty database, and `backups`. */
async function place(t: ExecutionContext, paddingBytes = 0): Promise<Place> {
  const folder = await temporaryFolder(t);
  const [data, backups] = [join(folder, 'data'), join(folder, 'backups')];
  for (const path of [data, backups]) mkdirSync(path, 0o700);
  const database = join(data, 'hushbox.db');
  const writer = openWriter(database, MIGRATIONS);
  writer.exec('CREATE TABLE padding (bytes BLOB)');
  for (let bytes = 0; bytes < paddingBytes; bytes += MEBIBYTE) {
    writer.exec(`INSERT INTO padding VALUES (randomblob(${MEBIBYTE}))`);
  }
  writer.close();
  return { folder, database, backups, env: { STORAGE_URL: `sqlite:${database}`, DATA_DIR: data } };
}

/** The commands of the page that contain these words, run as a shell would in this folder. */
function runFromPage(words: string, folder: string): void {
  const blocks = [...PAGE.matchAll(/^ *```sh\n(?<block>.*?)^ *```/gms)].map(({ groups }) => groups?.block ?? '');
  const [block, ...others] = blocks.filter((text) => text.includes(words));
  if (block === undefined || others.length > 0) throw new Error(`the page has no block, or several, with ${words}`);
  execFileSync('sh', ['-e', '-c', block], { cwd: folder });
}

async function stop(program: ReadyProgram): Promise<void> {
  program.signal('SIGTERM');
  await program.exit;
}

type Created = { secret_key: string; receipt_key: string };

async function create(base: string): Promise<Created> {
  return (await send(base, '/generate', { secret: 'seen once at most', receipt: true })).body as Created;
}

/**
 * Secrets end, a copy is made while clients create and read, more are read, and the copy takes the database's place.
 * Nothing that was in the copy can be read; everything else is there.
 */
async function survives(
  t: ExecutionContext,
  options: { folder: string; env: Record<string, string> },
  backUp: () => Promise<() => Promise<void>>,
): Promise<void> {
  const first = await start(t, options);
  const { base } = first;
  t.is((await send(base, '/proxy/', { a: 1 })).status, 201);
  const received = (await send(base, '/server/')).body;
  const [ended, read, reread, unread] = [
    await create(base),
    await create(base),
    await create(base),
    await create(base),
  ];
  t.is((await readSecret(base, ended.secret_key)).status, 200);
  const receipt = (await send(base, `/receipts/${ended.receipt_key}`)).body;
  t.is(receipt.state, 'read');

  const load = startClients(t, () => base, { clients: 10 });
  await until('some load', () => load.pairs > 20);
  const before = load.pairs;
  const restore = await backUp();
  t.true(load.pairs > before, 'the service answered during the backup');
  await load.stop();
  t.deepEqual(load.failures, []);

  t.is((await readSecret(base, read.secret_key)).status, 200);
  const headers = { 'idempotency-key': 'a-key-for-a-repeated-read' };
  t.is((await readSecret(base, reread.secret_key, {}, { headers })).status, 200);
  await sleep(2_000); // the next mark
  await stop(first);
  await restore();
  const env = { ...options.env, HTTP_PORT: '1' };
  const { code, stdout } = await hushbox(['doctor'], env);
  t.is(code, 1);
  t.regex(stdout, /^PROBLEM {2}fence +The database is in an older state/m);

  const second = await start(t, options);
  for (const { secret_key, receipt_key } of [read, reread, unread]) {
    for (const answer of [
      await send(second.base, `/secrets/${secret_key}`),
      await readSecret(second.base, secret_key, {}, { headers }),
      await send(second.base, `/receipts/${receipt_key}`),
    ]) {
      t.deepEqual([answer.status, answer.body.code], [404, 'KEY_NOT_FOUND']);
    }
  }
  t.is((await readSecret(second.base, ended.secret_key)).status, 404);
  t.deepEqual((await send(second.base, `/receipts/${ended.receipt_key}`)).body, receipt);
  t.deepEqual((await send(second.base, '/server/')).body, received);
  const fresh = await createSecret(second.base, { secret: 'as ever' });
  t.deepEqual((await readSecret(second.base, fresh)).body, { secret: 'as ever' });
  await until('the line', () => /^Hushbox refuses [\d,]+ secrets? created until/m.test(second.stderr()));
}

test.serial(
  'sqlite: what was read after a backup stays read when the backup is restored, the rest is there',
  async (t) => {
    const { folder, backups, env } = await place(t, 100 * MEBIBYTE);
    const file = join(backups, 'hushbox.db');
    await survives(t, { folder: join(folder, 'data'), env }, async () => {
      const startedAt = Date.now();
      const { code, stdout, stderr } = await hushbox(['backup', file], env);
      t.deepEqual([code, stderr], [0, '']);
      const [, bytes = '', at = ''] = /([\d,]+) bytes, as of (\S+), checked/.exec(stdout) ?? [];
      t.is(Number(bytes.replaceAll(',', '')), statSync(file).size);
      t.true(Date.parse(at) >= startedAt && Date.parse(at) <= Date.now());
      t.true(stdout.includes(join(folder, 'data', 'master.key')), 'says which key to keep, and where it is');
      t.deepEqual(readdirSync(backups), ['hushbox.db']);
      return async () => runFromPage('cp -p backups/hushbox.db', folder);
    });
  },
);

testMongo('mongodb: what was read after a dump stays read when the dump is restored, the rest is there', async (t) => {
  const { url } = await MONGODB.place(t);
  const folder = await temporaryFolder(t);
  await survives(t, { folder, env: { STORAGE_URL: url, DATA_DIR: folder } }, () => copyDatabase(t, url));
});

test.serial('without the fence file the command of the page refuses what the copy holds', async (t) => {
  const { folder, backups, env } = await place(t);
  const first = await start(t, { folder: join(folder, 'data'), env });
  const { secret_key } = await create(first.base);
  t.is((await hushbox(['backup', join(backups, 'hushbox.db')], env)).code, 0);
  t.is((await readSecret(first.base, secret_key)).status, 200);
  await stop(first);
  runFromPage('cp -p backups/hushbox.db', folder);
  execFileSync('rm', [join(folder, 'data', 'fence.json')]);
  t.regex(PAGE, /^hushbox fence refuse-all$/m);
  t.is((await hushbox(['fence', 'refuse-all', '--yes'], env)).code, 0);
  const second = await start(t, { folder: join(folder, 'data'), env });
  t.is((await readSecret(second.base, secret_key)).status, 404);
  const fresh = await createSecret(second.base, { secret: 'as ever' });
  t.is((await readSecret(second.base, fresh)).status, 200);
});

/** Copies in steps, and stops before the second one as SIGSTOP does. */
const STOPPING = `
  const sqlite = require('node:sqlite');
  const { backup } = sqlite;
  let isStopped = false;
  function progress() {
    if (!isStopped) process.kill(process.pid, 'SIGSTOP');
    isStopped = true;
  }
  sqlite.backup = (from, to, options) => backup(from, to, { ...options, rate: 2_560, progress });
  require('node:module').syncBuiltinESMExports();`;

/** @returns a backup that has stopped half-way, and its end. */
async function beginBackup(
  t: ExecutionContext,
  { folder, env }: Place,
  file: string,
): Promise<{ child: ChildProcess; exit: Promise<unknown> }> {
  const stopping = join(folder, 'stopping.cjs');
  writeFileSync(stopping, STOPPING);
  const args = ['--require', stopping, 'src/cli/main.ts', 'backup', file];
  const child = spawn(process.execPath, args, { env, stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL')); // a process that is stopped ends by nothing else
  const exit = once(child, 'exit');
  await until('a copy that has begun', () => isStopped(child.pid as number));
  return { child, exit };
}

test.serial('a backup that is killed half-way leaves the old one, and the next one works and cleans up', async (t) => {
  const here = await place(t, 100 * MEBIBYTE);
  const { backups, env } = here;
  const file = join(backups, 'hushbox.db');
  t.is((await hushbox(['backup', file], env)).code, 0);
  const old = statSync(file);
  const { child, exit } = await beginBackup(t, here, file);
  child.kill('SIGKILL');
  t.deepEqual(await exit, [null, 'SIGKILL']);
  const partial = readdirSync(backups).filter((name) => /\.partial-[0-9a-f]{16}$/.test(name));
  t.is(partial.length, 1);
  t.true(statSync(join(backups, partial[0] as string)).size > MEBIBYTE);
  t.is(statSync(file).ino, old.ino);
  t.is((await hushbox(['backup', file], env)).code, 0);
  t.deepEqual(readdirSync(backups), ['hushbox.db']);
  t.not(statSync(file).ino, old.ino);
});

test.serial('a backup that is stopped by a signal leaves nothing; two to one file are not in their way', async (t) => {
  const here = await place(t, 100 * MEBIBYTE);
  const { backups, env } = here;
  const file = join(backups, 'hushbox.db');
  const { child, exit } = await beginBackup(t, here, file);
  t.true(readdirSync(backups).some((name) => name.includes('.partial-')));
  child.kill('SIGTERM');
  child.kill('SIGCONT');
  t.deepEqual(await exit, [1, null]);
  t.deepEqual(readdirSync(backups), []);
  const both = await Promise.all([hushbox(['backup', file], env), hushbox(['backup', file], env)]);
  t.deepEqual(
    both.map(({ code, stderr }) => [code, stderr]),
    [
      [0, ''],
      [0, ''],
    ],
  );
  t.deepEqual(readdirSync(backups), ['hushbox.db']);
});

test.serial('a copy ends and is whole while another process writes without a pause', async (t) => {
  const { database, backups, env } = await place(t, 50 * MEBIBYTE);
  const script = `
    const { DatabaseSync } = require('node:sqlite');
    const database = new DatabaseSync(process.argv[1], { timeout: 5000 });
    database.exec(\`
      PRAGMA synchronous = OFF;
      CREATE TABLE pairs (a INTEGER);
      CREATE TABLE others (a INTEGER);
      CREATE TRIGGER pair AFTER INSERT ON pairs BEGIN INSERT INTO others VALUES (new.a); END\`);
    const insert = database.prepare('INSERT INTO pairs VALUES (?)');
    for (let i = 1; ; i++) {
      insert.run(i);
      if (i === 100) console.log('writing');
    }`;
  const writer = spawn(process.execPath, ['-e', script, database], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => writer.kill('SIGKILL'));
  await once(writer.stdout, 'data');
  const file = join(backups, 'hushbox.db');
  t.is((await hushbox(['backup', file], env)).code, 0);
  t.is(writer.exitCode, null);
  const copy = new DatabaseSync(file, { readOnly: true });
  const { pairs, others } = copy
    .prepare('SELECT (SELECT max(a) FROM pairs) AS pairs, (SELECT max(a) FROM others) AS others')
    .get() as { pairs: number; others: number };
  copy.close();
  t.true(pairs >= 100);
  t.is(pairs, others, 'one snapshot');
  t.deepEqual(readdirSync(backups), ['hushbox.db'], 'a single file, also after it was looked at');
});

for (const umask of ['000', '777']) {
  test.serial(`with umask ${umask} a copy is for its owner alone`, async (t) => {
    const { backups, env } = await place(t);
    const file = join(backups, 'hushbox.db');
    const command = `umask ${umask}; exec "$0" backup "$1"`;
    const { PATH } = process.env;
    const { status } = spawnSync('sh', ['-c', command, HUSHBOX, file], { env: { PATH, ...env } });
    t.is(status, 0);
    t.is(statSync(file).mode & 0o777, 0o600);
  });
}

/** The one sentence that the command fails with; it says nothing else. */
async function refusal(t: ExecutionContext, file: string, env: Record<string, string>): Promise<string> {
  const terminal = {
    env,
    now: Date.now,
    say: t.fail,
    ask: async () => t.fail(),
    askHidden: async () => t.fail(),
    complain: t.fail,
  };
  const error = await t.throwsAsync(backUp(terminal, readConfig(env), { file }));
  const sentence = describe(error);
  t.notRegex(sentence, /\n/);
  return sentence;
}

test.serial('an older backup is replaced, also through a link; nothing else is', async (t) => {
  const { folder, database, backups, env } = await place(t);
  const path = (name: string): string => join(backups, name);
  t.is((await hushbox(['backup', path('old')], env)).code, 0);
  chmodSync(path('old'), 0o644);
  symlinkSync('old', path('link'));
  const { ino } = statSync(path('old'));
  t.is((await hushbox(['backup', path('link')], env)).code, 0);
  t.not(statSync(path('old')).ino, ino);
  t.is(statSync(path('old')).mode & 0o777, 0o600);

  symlinkSync(database, path('soft'));
  symlinkSync(join(folder, 'data'), path('folder'));
  linkSync(database, path('hard'));
  symlinkSync('nowhere', path('dangling'));
  writeFileSync(path('dear'), 'dear to somebody');
  writeFileSync(path('empty'), '');
  execFileSync('mkfifo', [path('pipe')]);
  execFileSync('cp', [path('old'), path('busy')]);
  writeFileSync(path('busy-wal'), '');
  const refused: [file: string, sentence: RegExp][] = [
    [database, /is the database itself/],
    ...['-wal', '-shm', '-journal'].map((end): [string, RegExp] => [database + end, /is the database itself/]),
    [path('soft'), /is the database itself/],
    [path('hard'), /is the database itself/],
    [path('folder/hushbox.db'), /is the database itself/],
    [path('folder/hushbox.db-wal'), /is the database itself/],
    [path('dangling'), /is a link that leads nowhere/],
    [path('dear'), /is not an older backup/],
    [path('empty'), /is not an older backup/],
    [path('pipe'), /is not an older backup/],
    [backups, /is not an older backup/],
    [path('busy'), /is in use, or was not closed/],
    [path('none/hushbox.db'), /there is no folder .*none$/m],
  ];
  const before = readdirSync(backups);
  for (const [file, sentence] of refused) t.regex(await refusal(t, file, env), sentence, file);
  t.deepEqual(readdirSync(backups), before);
  t.is(readFileSync(path('dear'), 'utf8'), 'dear to somebody');
  const { code, stdout, stderr } = await hushbox(['backup', path('dear')], env);
  t.deepEqual([code, stdout], [1, '']);
  t.is(stderr, `hushbox: ${path('dear')} is not an older backup: it stays. Choose another file\n`);
  t.is((await hushbox(['doctor'], { ...env, HTTP_PORT: '1' })).code, 0);
});

test.serial('no database, a newer one, a damaged one and MongoDB are refused with a sentence', async (t) => {
  const { folder, database, backups, env } = await place(t);
  const file = join(backups, 'hushbox.db');
  const none = join(folder, 'none.db');
  t.regex(await refusal(t, file, { ...env, STORAGE_URL: `sqlite:${none}` }), /there is no database at .*none\.db/);
  t.false(existsSync(none));
  t.regex(await refusal(t, file, { ...env, STORAGE_URL: 'mongodb://127.0.0.1:1/x' }), /docs\/backup\.md/);
  const open = new DatabaseSync(database);
  const [{ user_version } = {}] = open.prepare('PRAGMA user_version').all();
  open.exec('PRAGMA user_version = 4711');
  t.regex(await refusal(t, file, env), /made by a newer version/);
  open.exec(`PRAGMA user_version = ${user_version}`);
  open.close();
  const sound = readFileSync(database);
  sound.writeUInt32BE(5, 36); // a number of unused pages that is not true
  writeFileSync(database, sound);
  t.regex(await refusal(t, file, env), /is damaged/);
  writeFileSync(database, 'not a database '.repeat(1_000));
  t.regex(await refusal(t, file, env), /is not a database/);
  writeFileSync(database, '');
  t.regex(await refusal(t, file, env), /is empty/);
  t.deepEqual(readdirSync(backups), []);
});

asRoot.serial('without permission for the database or the folder it is one sentence', async (t) => {
  const { folder, database, backups, env } = await place(t);
  chmodSync(folder, 0o755);
  const asNobody = (file: string) =>
    spawnSync(process.execPath, ['src/cli/main.ts', 'backup', file], {
      env: { ...env, NODE_V8_COVERAGE: '' }, // nobody may not write the coverage of this run
      uid: 65_534,
      gid: 65_534,
      encoding: 'utf8',
    });
  const refused = asNobody(join(backups, 'hushbox.db'));
  t.is(refused.status, 1);
  t.regex(refused.stderr, /^hushbox: no permission for \S+ \(EACCES\): .*\n$/);
  chmodSync(join(folder, 'data'), 0o755);
  chmodSync(backups, 0o777);
  const unreadable = asNobody(join(backups, 'hushbox.db'));
  t.is(unreadable.status, 1);
  t.is(unreadable.stderr, 'hushbox: the database cannot be opened: run this as the user of the service\n');
  t.deepEqual(readdirSync(backups), []);
  t.is(statSync(database).mode & 0o777, 0o600);
});

withSmallDisk('on a full disk it is one sentence, the old backup stays, and nothing else does', async (t) => {
  const { backups, env } = await place(t, 20 * MEBIBYTE);
  const small = await temporaryFolder(t);
  const script = `mount -t tmpfs -o size=8m none '${small}' && cp '${backups}/old' '${small}/old' &&
    "$0" backup '${small}/old'; echo "exit $?"; ls '${small}'`;
  const other = new DatabaseSync(join(backups, 'old'));
  other.exec('CREATE TABLE a (b)');
  other.close();
  const { PATH } = process.env;
  const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, HUSHBOX], {
    env: { PATH, ...env },
    encoding: 'utf8',
  });
  t.regex(stderr, /^hushbox: the disk of \S+ is full: .*\n$/);
  t.is(stdout, 'exit 1\nold\n');
});
