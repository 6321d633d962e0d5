import { globSync, readFileSync } from 'node:fs';
import test from 'ava';
import { refuseOldSqlite } from '../../../../src/storage/sqlite/engine/connection.ts';

for (const version of ['3.51.2', '3.50.7', '3.51', '2.99.99', '3.9.10', '', 'unknown']) {
  test(`SQLite ${version || 'of no version'} is refused with what to install`, (t) => {
    t.throws(() => refuseOldSqlite(version), { message: /: install Node\.js 24\.18\.1 or newer$/ });
  });
}

for (const version of ['3.51.3', '3.52.0', '3.100.0', '4.0.0', process.versions.sqlite as string]) {
  test(`SQLite ${version} is used`, (t) => {
    t.notThrows(() => refuseOldSqlite(version));
  });
}

test('no other file opens a connection', (t) => {
  const opening = globSync('src/**/*.ts').filter((path) => readFileSync(path, 'utf8').includes('new DatabaseSync'));
  t.deepEqual(opening, ['src/storage/sqlite/engine/connection.ts']);
});
