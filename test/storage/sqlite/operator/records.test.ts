import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { openRecords } from '../../../../src/storage/open.ts';
import { SQLITE, temporaryFolder } from '../../../support/storage/storage.ts';
import { CREATED_AT, createTraced, createUntraced } from '../../contract/world.ts';

const V1 = fileURLToPath(new URL('../../../fixtures/sqlite-v1.db', import.meta.url));
const ALL = { now: 0, limit: 1000 };

test('looking at a file that nobody has open, of an older version too, leaves no trace', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'hushbox.db');
  copyFileSync(V1, path);
  const records = await openRecords({ sqlitePath: path, STORAGE_URL: '' });
  t.is((await records.listSealed(ALL)).length, 11);
  t.deepEqual(await records.listNotifying(ALL), []);
  t.deepEqual(readdirSync(folder), ['hushbox.db']);
  await records.close();
  t.deepEqual(readdirSync(folder), ['hushbox.db']);
  t.deepEqual(readFileSync(path), readFileSync(V1));
});

test('where there is no file, looking makes none', async (t) => {
  const folder = await temporaryFolder(t);
  const records = await openRecords({ sqlitePath: join(folder, 'sub', 'hushbox.db'), STORAGE_URL: '' });
  await t.throwsAsync(records.listSealed(ALL), { code: 'STORAGE_UNAVAILABLE' });
  await records.close();
  t.deepEqual(readdirSync(folder), []);
});

test('who looks sees what a service stores that was started meanwhile', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const sqlitePath = url.slice('sqlite:'.length);
  const first = await open();
  await createTraced(first.secrets);
  await first.close();
  t.deepEqual(readdirSync(dirname(sqlitePath)), ['hushbox.db']);
  const records = await openRecords({ sqlitePath, STORAGE_URL: url });
  t.teardown(records.close);
  const count = async () => (await records.listSealed({ now: CREATED_AT, limit: 10 })).length;
  t.is(await count(), 1);
  const { secrets } = await open();
  await createUntraced(secrets);
  t.is(await count(), 2);
});
