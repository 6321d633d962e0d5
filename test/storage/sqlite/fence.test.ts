import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { NO_LIMITS } from '../../../src/limits/limits.ts';
import { apply } from '../../../src/storage/sqlite/engine/database.ts';
import { createFenceProcedures } from '../../../src/storage/sqlite/fence/procedures.ts';
import { MIGRATIONS } from '../../../src/storage/sqlite/schema.ts';
import { createUsage } from '../../../src/storage/sqlite/usage.ts';

test('a mark whose transaction was rolled back is moved again, although nothing was written since', (t) => {
  const database = new DatabaseSync(':memory:');
  for (const migration of MIGRATIONS) apply(database, migration);
  const { advance, advanceIfWritten } = createFenceProcedures(database, createUsage(database, NO_LIMITS));
  t.is(advance(1_000, [])[1], 1_000);
  t.is(advanceIfWritten(2_000, []), null);
  database.exec("INSERT INTO limits VALUES (x'00', 0)"); // what is to be marked
  database.exec('BEGIN');
  t.is(advanceIfWritten(3_000, [])?.[1], 3_000);
  database.exec('ROLLBACK');
  t.is(advanceIfWritten(4_000, [])?.[1], 4_000);
  t.is(advanceIfWritten(5_000, []), null);
});
