import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { readConfig } from '../../src/config/config.ts';
import {
  changeMasterKeys,
  findKeyFiles,
  findMasterKeys,
  type KeyFiles,
  loadMasterKeys,
  type MasterKeys,
  watchMasterKeys,
} from '../../src/keys/master-keys.ts';
import { asRoot, withStrace } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const [NEW, OLD, OLDEST] = [randomBytes(32), randomBytes(32), randomBytes(32)] as [Buffer, Buffer, Buffer];

function rotate(keys: MasterKeys): MasterKeys {
  return [NEW, ...keys];
}

function text(...keys: Buffer[]): string {
  return keys.map((key) => `${key.toString('hex')}\n`).join('');
}

/** A configuration whose keys are in files. */
async function keysInFiles(
  t: ExecutionContext,
  hasPrevious: boolean,
): Promise<{ files: KeyFiles; load(): MasterKeys }> {
  const folder = await temporaryFolder(t);
  const env = {
    MASTER_KEY_FILE: join(folder, 'key'),
    ...(hasPrevious && { MASTER_KEY_PREVIOUS_FILE: join(folder, 'previous') }),
  };
  writeFileSync(env.MASTER_KEY_FILE, text(OLD), { mode: 0o640 });
  if (hasPrevious) writeFileSync(join(folder, 'previous'), text(OLDEST));
  const files = findKeyFiles(readConfig(env)) as KeyFiles;
  return { files, load: () => loadMasterKeys(readConfig(env)) };
}

test('development makes one key and finds it again; looking for it makes none', async (t) => {
  const config = readConfig({ DATA_DIR: join(await temporaryFolder(t), 'data') });
  t.is(findMasterKeys(config), undefined);
  t.false(existsSync(config.DATA_DIR));
  const made = loadMasterKeys(config);
  t.is(made.length, 1);
  t.deepEqual(findMasterKeys(config), made);
  const files = findKeyFiles(config) as KeyFiles;
  t.deepEqual(changeMasterKeys(files, rotate), [NEW, made[0]]);
  t.deepEqual(loadMasterKeys(config), [NEW, made[0]]);
  t.is(statSync(files.current).mode & 0o777, 0o600);
});

test('keys in one file stay in it, the first of them seals', async (t) => {
  const { files, load } = await keysInFiles(t, false);
  changeMasterKeys(files, rotate);
  t.deepEqual(load(), [NEW, OLD]);
  t.is(readFileSync(files.current, 'utf8'), text(NEW, OLD));
  t.is(statSync(files.current).mode & 0o777, 0o640, 'who could read it still can');
  changeMasterKeys(files, ([first]) => [first]);
  t.is(readFileSync(files.current, 'utf8'), text(NEW));
});

test('a link to a key file stays one, and the file at its end is changed', async (t) => {
  const { files, load } = await keysInFiles(t, false);
  renameSync(files.current, `${files.current}-real`);
  symlinkSync(`${files.current}-real`, files.current);
  changeMasterKeys(files, rotate);
  t.deepEqual(load(), [NEW, OLD]);
  t.is(readFileSync(`${files.current}-real`, 'utf8'), text(NEW, OLD));
  t.true(lstatSync(files.current).isSymbolicLink());
});

test('where there is a file of older keys, the key that was goes into it', async (t) => {
  const { files, load } = await keysInFiles(t, true);
  changeMasterKeys(files, rotate);
  t.is(readFileSync(files.current, 'utf8'), text(NEW));
  t.deepEqual(load(), [NEW, OLD, OLDEST]);
  changeMasterKeys(files, ([first]) => [first]);
  t.deepEqual(load(), [NEW]);
  t.is(readFileSync(files.previous as string, 'utf8'), '\n');
});

test('a key that is a variable has no file', (t) => {
  t.is(findKeyFiles(readConfig({ MASTER_KEY: OLD.toString('hex') })), undefined);
});

test('of two changes at a time one is refused, and leaves the other alone', async (t) => {
  const { files, load } = await keysInFiles(t, true);
  changeMasterKeys(files, (keys) => {
    t.throws(() => changeMasterKeys(files, () => [randomBytes(32)]), { code: 'EEXIST' });
    return rotate(keys);
  });
  t.deepEqual(load(), [NEW, OLD, OLDEST]);
});

test('a change that fails leaves everything as it was', async (t) => {
  const { files, load } = await keysInFiles(t, true);
  t.throws(() =>
    changeMasterKeys(files, () => {
      throw new Error('not this time');
    }),
  );
  writeFileSync(files.current, 'no key');
  t.throws(() => changeMasterKeys(files, rotate), { message: /something else/ });
  writeFileSync(files.current, text(OLD));
  t.deepEqual(load(), [OLD, OLDEST]);
  t.deepEqual(readdirSync(join(files.current, '..')).sort(), ['key', 'previous']);
});

for (const step of [1, 2]) {
  withStrace(`kill -9 at replacement ${step} of 2 loses no key`, async (t) => {
    const { files, load } = await keysInFiles(t, true);
    const module = fileURLToPath(new URL('../../src/keys/master-keys.ts', import.meta.url));
    const script = `const { changeMasterKeys } = await import(${JSON.stringify(module)});
      changeMasterKeys(${JSON.stringify(files)}, (keys) => [Buffer.from('${NEW.toString('hex')}', 'hex'), ...keys]);`;
    const killing = ['-f', '-qq', '-o', '/dev/null', '-e', `inject=rename,renameat,renameat2:signal=KILL:when=${step}`];
    const run = spawnSync('strace', [...killing, process.execPath, '--input-type=module', '-e', script]);
    t.is(run.signal, 'SIGKILL');
    const keys = load().map((key) => key.toString('hex'));
    t.is(keys[0], OLD.toString('hex')); // the signal comes before the call
    t.is(keys.length, step === 1 ? 2 : 3);
    for (const key of [OLD, OLDEST]) t.true(keys.includes(key.toString('hex')));
  });
}

test('a change is seen once; an unreadable file is reported once, and the next change is seen', async (t) => {
  const { files } = await keysInFiles(t, false);
  const told: unknown[] = [];
  const look = watchMasterKeys(readConfig({ MASTER_KEY_FILE: files.current }), (error) => told.push(error));
  t.deepEqual(look(), [OLD]); // it may have changed since the configuration was read
  t.is(look(), undefined);
  changeMasterKeys(files, rotate);
  t.deepEqual(look(), [NEW, OLD]);
  t.is(look(), undefined);
  for (const spoil of [() => rmSync(files.current), () => writeFileSync(files.current, 'no key')]) {
    spoil();
    t.is(look(), undefined);
    t.is(look(), undefined);
  }
  t.is(told.length, 2);
  writeFileSync(files.current, text(NEW));
  t.deepEqual(look(), [NEW]);
});

test('a variable is never looked at again', (t) => {
  t.is(watchMasterKeys(readConfig({ MASTER_KEY: OLD.toString('hex') }), () => t.fail())(), undefined);
});

asRoot('a file keeps its owner when root changes it', async (t) => {
  const { files } = await keysInFiles(t, false);
  execFileSync('chown', ['1234:2345', files.current]);
  changeMasterKeys(files, rotate);
  const { uid, gid } = statSync(files.current);
  t.deepEqual([uid, gid], [1234, 2345]);
});
