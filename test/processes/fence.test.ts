import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { readFenceFile } from '../../src/fence/file.ts';
import { openStorage } from '../../src/storage/open.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createAccount, createSession, NOW } from '../storage/contract/accounts.ts';
import { startMongoProxy } from '../storage/mongo/mongo-proxy.ts';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { launch, type ReadyProgram, start, until, untilOneIsReady } from '../support/process/program.ts';
import { copyDatabase } from '../support/process/put-back.ts';
import { withMounts, withStrace } from '../support/process/tools.ts';
import { MONGODB, temporaryFolder } from '../support/storage/storage.ts';
import { configOf } from '../support/storage/storage-config.ts';

const withMongo = MONGODB.test.serial;
const withSmallDisk = withMounts.serial;

async function stop(program: ReadyProgram): Promise<void> {
  program.signal('SIGTERM');
  await program.exit;
}

async function isRefused(t: ExecutionContext, target: string, key: string): Promise<void> {
  for (const answer of [await send(target, `/secrets/${key}`), await readSecret(target, key)]) {
    t.deepEqual([answer.status, answer.body.code], [404, 'KEY_NOT_FOUND']);
  }
}

/** Waits until the file has a mark of this instant or later. */
async function untilMarked(folder: string, at: number): Promise<void> {
  const path = join(folder, 'fence.json');
  await until('the mark', () => readFenceFile(path)?.some(({ mark }) => mark >= at) === true);
}

/** Two secrets are copied, then one of them is read; two seconds later the copy is put back. */
async function putBack(t: ExecutionContext, program: ReadyProgram, url: string): Promise<string[]> {
  const [read, unread] = [
    await createSecret(program.base, { secret: 'read once' }),
    await createSecret(program.base, { secret: 'never read' }),
  ];
  const putCopyBack = await copyDatabase(t, url);
  t.deepEqual((await readSecret(program.base, read)).body, { secret: 'read once' });
  await sleep(2_000);
  await stop(program);
  await putCopyBack();
  return [read, unread];
}

async function staysRefused(t: ExecutionContext, env: Record<string, string>, folder: string, keys: string[]) {
  const second = await start(t, { folder, env: { ...env, LOG_LEVEL: 'silent' } });
  for (const key of keys) await isRefused(t, second.base, key);
  await until('the line', () => /^Hushbox refuses 2 secrets created until \S+Z: the data/m.test(second.stderr()));
  const [fresh, later] = [
    await createSecret(second.base, { secret: 'fresh' }),
    await createSecret(second.base, { secret: 'later' }),
  ];
  t.deepEqual((await readSecret(second.base, fresh)).body, { secret: 'fresh' });
  await stop(second);

  const third = await start(t, { folder, env });
  for (const key of [...keys, fresh]) await isRefused(t, third.base, key);
  t.deepEqual((await readSecret(third.base, later)).body, { secret: 'later' });
}

test.serial('what was read after the files of SQLite were copied stays read when the copy is put back', async (t) => {
  const first = await start(t);
  const keys = await putBack(t, first, `sqlite:${join(first.folder, 'hushbox.db')}`);
  await staysRefused(t, {}, first.folder, keys);
});

withMongo('what was read after MongoDB was copied stays read when the copy is put back', async (t) => {
  const { url } = await MONGODB.place(t);
  const env = { STORAGE_URL: url };
  const first = await start(t, { env });
  const keys = await putBack(t, first, url);
  await staysRefused(t, env, first.folder, keys);
});

/** A session that is in the copy and was ended since. */
async function sessionsStayEnded(t: ExecutionContext, env: Record<string, string>, first: ReadyProgram, url: string) {
  const withStorage = async <T>(run: (storage: Storage) => Promise<T>): Promise<T> => {
    const storage = await openStorage(configOf(url), { onLost: () => t.fail(), onWarning: () => {} });
    try {
      await until('an answer', () =>
        storage.ping().then(
          () => true,
          () => false,
        ),
      );
      return await run(storage);
    } finally {
      await storage.close();
    }
  };
  const [ended, kept, putCopyBack] = await withStorage(async ({ accounts, sessions }) => {
    const account = await createAccount(accounts);
    const all = [await createSession(sessions, account), await createSession(sessions, account)] as const;
    const putBack = await copyDatabase(t, url);
    t.true(await sessions.end(all[0]));
    return [...all, putBack];
  });
  await sleep(2_000);
  await stop(first);
  await putCopyBack();
  await withStorage(async ({ sessions }) => {
    for (const { credentialHash } of [ended, kept]) t.truthy(await sessions.find(credentialHash, NOW), 'there again');
  });
  const second = await start(t, { folder: first.folder, env });
  const { code } = await hushbox(['fence', 'lift', '--yes'], { DATA_DIR: first.folder, STORAGE_URL: url });
  t.is(code, 0);
  await withStorage(async ({ sessions }) => {
    for (const { credentialHash, accountId } of [ended, kept]) {
      t.is(await sessions.find(credentialHash, NOW), undefined);
      t.deepEqual(await sessions.list(accountId, NOW), []);
    }
  });
  await stop(second);
}

test.serial('a session that was ended after the files of SQLite were copied stays ended', async (t) => {
  const first = await start(t);
  await sessionsStayEnded(t, {}, first, `sqlite:${join(first.folder, 'hushbox.db')}`);
});

withMongo('a session that was ended after MongoDB was copied stays ended', async (t) => {
  const { url } = await MONGODB.place(t);
  const env = { STORAGE_URL: url };
  await sessionsStayEnded(t, env, await start(t, { env }), url);
});

test.serial('with the file on another disk even a copy of the whole data folder is noticed', async (t) => {
  const [folder, elsewhere] = [await temporaryFolder(t), join(await temporaryFolder(t), 'not', 'there', 'yet')];
  const env = { FENCE_FILE: join(elsewhere, 'marks') };
  const first = await start(t, { folder, env });
  const keys = await putBack(t, first, `sqlite:${join(folder, 'hushbox.db')}`);
  t.deepEqual(readdirSync(elsewhere), ['marks']);
  t.false(existsSync(join(folder, 'fence.json')));
  await staysRefused(t, env, folder, keys);
});

withMongo('a copy that is put back into a running MongoDB is noticed by every worker', async (t) => {
  const { url } = await MONGODB.place(t);
  const folder = await temporaryFolder(t);
  const SOCKET_DIR = join(folder, 's');
  const env = { STORAGE_URL: url, SOCKET_DIR, WORKERS: '3' };
  const program = await start(t, { folder, env });
  const before = program.workers();
  const targets = [1, 2, 3].map((number) => `unix:${SOCKET_DIR}/worker-${number}.sock`);
  const keys = await Promise.all(targets.map((target) => createSecret(target, { secret: 'read once' })));
  const putCopyBack = await copyDatabase(t, url);
  const copiedAt = Date.now();
  for (const key of keys) t.is((await readSecret(targets[0] as string, key)).status, 200);
  await untilMarked(folder, copiedAt);
  await sleep(3_000); // each worker looks once a second: whichever meets the restore first knows of a later mark by then
  await putCopyBack();
  for (const [index, target] of targets.entries()) {
    const path = `/secrets/${keys[index]}`;
    await until('a refusal', async () => (await send(target, path)).status === 404);
  }
  for (const [index, target] of targets.entries()) {
    await isRefused(t, target, keys[index] as string);
    const fresh = await createSecret(target, { secret: 'fresh' });
    t.is((await readSecret(targets[(index + 1) % 3] as string, fresh)).status, 200);
  }
  await until('the line', () => /^Hushbox refuses 3 secrets/m.test(program.stderr()));
  t.deepEqual(program.workers(), before);
});

test.serial('another file put in the place of the database while the service runs is noticed too', async (t) => {
  const program = await start(t);
  const path = join(program.folder, 'hushbox.db');
  const key = await createSecret(program.base, { secret: 'read once' });
  const putCopyBack = await copyDatabase(t, `sqlite:${path}`);
  const copiedAt = Date.now();
  t.is((await readSecret(program.base, key)).status, 200);
  await untilMarked(program.folder, copiedAt);
  const before = program.workers();
  // The new files are there in one step: nobody makes an empty database in between.
  const old = await temporaryFolder(t);
  for (const suffix of ['-wal', '-shm', '']) renameSync(path + suffix, join(old, `old${suffix}`));
  await putCopyBack();
  for (let looks = 0; looks < 50; looks++) {
    const { status } = await readSecret(program.base, key).catch(() => ({ status: 0 }));
    t.not(status, 200);
    await sleep(50);
  }
  await until('new workers', () => program.workers().every((pid) => !before.includes(pid)));
  await untilOneIsReady(program);
  await isRefused(t, program.base, key);
  const fresh = await createSecret(program.base, { secret: 'fresh' });
  t.is((await readSecret(program.base, fresh)).status, 200);
});

withMongo('until a worker knows what is refused it hands out nothing, and is not ready', async (t) => {
  const proxy = await startMongoProxy(t, (await MONGODB.place(t)).url);
  const folder = await temporaryFolder(t);
  const target = `unix:${folder}/worker-1.sock`;
  const env = { STORAGE_URL: proxy.url, SOCKET_DIR: folder, WORKERS: '1' };
  const first = await start(t, { folder, env });
  const key = await createSecret(target, { secret: 'kept' });
  await stop(first);
  let isKept = true;
  proxy.editAnswers(({ find, filter }) => {
    const isOfFence = find !== undefined && filter._id === 'fence';
    return isKept && isOfFence ? { ok: 0, code: 13, errmsg: 'not allowed' } : undefined;
  });

  const second = await launch(t, { folder, env });
  await until('a worker that listens', () =>
    send(target, '/health/live').then(
      () => true,
      () => false,
    ),
  );
  const answers = [
    await send(target, `/secrets/${key}`),
    await readSecret(target, key),
    await send(target, '/generate', { secret: 'x' }),
    await send(target, '/health/ready'),
  ];
  for (const { status, body } of answers) t.deepEqual([status, body.code], [503, 'STORAGE_UNAVAILABLE']);
  t.is(second.stdout(), '');
  isKept = false;
  await second.ready();
  t.deepEqual((await readSecret(target, key)).body, { secret: 'kept' });
});

test.serial('each worker marks its end, so that reads since the last beat are covered too', async (t) => {
  const program = await start(t);
  const marker = Number(/"worker":1,"workerPid":(\d+)/.exec(program.stderr())?.[1]);
  const [other] = program.workers().filter((pid) => pid !== marker);
  process.kill(marker, 'SIGSTOP');
  const path = join(program.folder, 'fence.json');
  // Where nothing was written since the last mark, none is needed. What the stopped one gets, nobody answers.
  const write = () => send(program.base, '/generate', { secret: 'x' }, { timeoutMs: 2_000 });
  await until('a write by the other', () =>
    write().then(
      ({ status }) => status === 201,
      () => false,
    ),
  );
  const before = readFileSync(path, 'utf8');
  program.signal('SIGTERM');
  await until('the end of the other', () => !program.workers().includes(other as number));
  t.not(readFileSync(path, 'utf8'), before);
});

test.serial('kill -9 of everything, again and again, refuses nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const kept: string[] = [];
  const read: string[] = [];
  for (let kills = 0; kills <= 8; kills++) {
    const program = await start(t, { folder });
    for (const key of kept) t.is((await send(program.base, `/secrets/${key}`)).status, 200);
    for (const key of read) await isRefused(t, program.base, key);
    kept.push(await createSecret(program.base, { secret: 'kept' }));
    const key = await createSecret(program.base, { secret: 'read' });
    read.push(key);
    t.is((await readSecret(program.base, key)).status, 200);
    await sleep(Math.random() * 1_200);
    const latest = await createSecret(program.base, { secret: 'latest' });
    kept.push(latest);
    await program.end();
    t.notRegex(program.stderr(), /refuses/);
  }
});

withStrace.serial(
  'a mark is synced in the database, then in a new file, which then takes the place of the old one',
  async (t) => {
    const folder = await temporaryFolder(t);
    const output = join(folder, 'trace');
    const calls = 'trace=fsync,fdatasync,rename,renameat,renameat2';
    const program = await start(t, {
      folder,
      command: ['strace', '-f', '-y', '-e', calls, '-o', output, process.execPath, 'src/main.ts'],
      env: { WORKERS: '1' },
    });
    const marks = new Set<string>();
    const path = join(folder, 'fence.json');
    await until('some marks', async () => {
      await createSecret(program.base, { secret: 'so that there is something to mark' });
      return marks.add(readFileSync(path, 'utf8')).size === 4;
    });
    process.kill(program.primary(), 'SIGTERM');
    await program.exit;
    const events: string[] = [];
    for (const line of readFileSync(output, 'utf8').split('\n')) {
      const event = [
        / f(data)?sync\(\d+<[^>]*\.db-wal>/.test(line) && 'database',
        / f(data)?sync\(\d+<[^>]*fence\.json\.[0-9a-f]+>/.test(line) && 'file',
        / rename.*"[^"]*fence\.json\.[0-9a-f]+", .*"[^"]*fence\.json"/.test(line) && 'rename',
      ].find(Boolean);
      if (event && event !== events.at(-1)) events.push(event);
    }
    // Another write can be synced between the two.
    t.regex(events.join(' '), /^(database file (database )?rename (database )?){4,}/);
  },
);

withSmallDisk('a full disk under the file is reported, and ends nothing', async (t) => {
  const [folder, small] = [await temporaryFolder(t), await temporaryFolder(t)];
  const inSmallDisk = `mount -t tmpfs -o size=64k none '${small}' && head -c 1m /dev/zero > '${small}/filler'; exec "$@"`;
  const program = await start(t, {
    folder,
    command: ['unshare', '-m', 'sh', '-c', inSmallDisk, 'sh', process.execPath, 'src/main.ts'],
    env: { FENCE_FILE: join(small, 'fence.json') },
  });
  await until('the warning', () => program.stderr().includes('the fence file cannot be written'));
  const key = await createSecret(program.base, { secret: 'as ever' });
  t.is((await readSecret(program.base, key)).status, 200);
  await sleep(2_000);
  t.is(program.stderr().match(/the fence file cannot be written/g)?.length, 1);
  t.is((await send(program.base, '/health/ready')).status, 200);
  process.kill(program.primary(), 'SIGTERM');
  t.deepEqual(await program.exit, { code: 0, signal: null });
});

test.serial('a file that is not a fence file ends the start, and is left as it is', async (t) => {
  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, 'folder'));
  writeFileSync(join(folder, 'dear'), 'dear to somebody');
  spawnSync('mkfifo', [join(folder, 'pipe')]);
  const cases: [file: string, problem: RegExp][] = [
    [join(folder, 'dear'), /^ {2}FENCE_FILE names a file of another kind$/m],
    [join(folder, 'folder'), /^ {2}FENCE_FILE names a file of another kind$/m],
    [join(folder, 'pipe'), /^ {2}FENCE_FILE names a file of another kind$/m],
    ...['hushbox.db', 'hushbox.db-wal', 'hushbox.db-shm', 'master.key', 'jwt.key', 'internal.sock'].map(
      (name) => [join(folder, name), /^ {2}FENCE_FILE must be a file of its own$/m] as [string, RegExp],
    ),
    [join(folder, 'dear', 'fence.json'), /^ {2}The folder of FENCE_FILE \(\/\S+\/dear\) is not a folder$/m],
    ['/proc/none/fence.json', /^ {2}The folder of FENCE_FILE \(\/proc\/none\) cannot be \w+/m],
  ];
  for (const [FENCE_FILE, problem] of cases) {
    const program = await launch(t, { folder, env: { FENCE_FILE } });
    const { code } = await program.exit;
    t.not(code, 0);
    t.regex(program.stderr(), problem, FENCE_FILE);
    t.is(program.stderr().match(/^ {2}\S/gm)?.length, 1);
    if (!problem.source.includes('folder')) t.false(program.stderr().includes(folder));
  }
  t.deepEqual(readdirSync(folder).sort(), ['dear', 'folder', 'pipe']);
  t.is(readFileSync(join(folder, 'dear'), 'utf8'), 'dear to somebody');
});

test.serial('a link is followed, and stays a link, whether something is at its end or not', async (t) => {
  const folder = await temporaryFolder(t);
  const other = await temporaryFolder(t);
  symlinkSync(join(other, 'fence.json'), join(folder, 'fence.json'));
  for (let round = 1; round <= 2; round++) {
    const program = await start(t, { folder });
    await until('a mark', () => existsSync(join(other, 'fence.json')));
    program.signal('SIGTERM');
    await program.exit;
    t.true(lstatSync(join(folder, 'fence.json')).isSymbolicLink());
    t.deepEqual(readdirSync(other), ['fence.json']);
    t.regex(readFileSync(join(other, 'fence.json'), 'utf8'), /"mark":\d+/);
  }
});

test.serial('an empty file counts as a missing one', async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'fence.json'), '');
  const program = await start(t, { folder });
  t.notRegex(program.stderr(), /fence/);
  await until('a mark', () => readFileSync(join(folder, 'fence.json'), 'utf8').includes('"mark"'));
});

test.serial('a roll, and an end in good order, leave nothing beside the file and warn of nothing', async (t) => {
  const program = await start(t);
  program.signal('SIGHUP');
  await until('the end of the roll', () => program.stderr().includes('"done replacing'));
  await stop(program);
  t.notRegex(program.stderr(), /refuses|restored/);
  t.deepEqual(
    readdirSync(program.folder).filter((name) => name.startsWith('fence')),
    ['fence.json'],
  );
});
