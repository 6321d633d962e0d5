import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createFile } from '../../src/files/make-once.ts';
import { replaceFile, replaceFileSync } from '../../src/files/replace.ts';
import { removeLeftOvers } from '../../src/files/temporary.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

test('old temporary files beside a file are removed; one that vanishes meanwhile is no failure', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'fence.json');
  const now = Date.now();
  const names = ['old', 'young'].map((_, index) => `fence.json.${String(index).repeat(16)}`);
  for (const name of [...names, 'fence.json', 'fence.json.backup', `other.json.${'0'.repeat(16)}`]) {
    writeFileSync(join(folder, name), '');
    if (name !== names[1]) utimesSync(join(folder, name), 0, now / 1000 - 61);
  }
  symlinkSync('nowhere', join(folder, `fence.json.${'f'.repeat(16)}`)); // listed, but not there
  await removeLeftOvers(path, now);
  t.false(existsSync(join(folder, names[0] as string)));
  t.is(readdirSync(folder).length, 5);
});

test('a file is created once, and replaced as a whole, with nothing left beside it', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'made');
  createFile(path, 'first');
  t.throws(() => createFile(path, 'second'), { code: 'EEXIST' });
  t.is(readFileSync(path, 'utf8'), 'first');
  await replaceFile(path, 'third');
  t.is(readFileSync(path, 'utf8'), 'third');
  replaceFileSync(path, 'fourth', statSync(folder));
  t.is(readFileSync(path, 'utf8'), 'fourth');
  t.is(statSync(path).mode & 0o777, 0o600);
  t.deepEqual(readdirSync(folder), ['made']);
});
