import { DatabaseSync } from 'node:sqlite';

// A process that holds SQLite's write lock until it is told to let go.
const [path = ''] = process.argv.slice(2);
const database = new DatabaseSync(path, { timeout: 10_000 });
database.exec('BEGIN IMMEDIATE');
process.once('message', () => {
  database.exec('COMMIT');
  process.disconnect();
});
process.send?.('locked');
