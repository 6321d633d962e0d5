import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type NewSecret, NO_LIMITS } from '../../../../src/secrets/store.ts';
import { createBatchRunner, OK } from '../../../../src/storage/sqlite/engine/batch.ts';
import type { Call } from '../../../../src/storage/sqlite/engine/codec.ts';
import { openWriter } from '../../../../src/storage/sqlite/engine/database.ts';
import { createProcedures, PROCEDURE } from '../../../../src/storage/sqlite/procedures.ts';
import { createLedger } from '../../../../src/storage/sqlite/usage.ts';
import { temporaryFolder } from '../../../support/storage/storage.ts';
import { CREATED_AT, newSecret } from '../../contract/world.ts';

const SQLITE_FULL = 13;
const SQLITE_CONSTRAINT = 19;
const ONE_MIB = 1024 * 1024;

async function openBatch(t: ExecutionContext) {
  const database = openWriter(join(await temporaryFolder(t), 'hushbox.db'));
  t.teardown(() => database.close());
  const ledger = createLedger(database, NO_LIMITS);
  const runBatch = createBatchRunner(database, createProcedures(database, ledger), ledger, () => {});
  const ids = () => database.prepare('SELECT hex(id) AS id FROM waiting').all();
  return { database, runBatch, ids };
}

function creating({ id, createdAt, expiresAt, envelope }: NewSecret): Call {
  return { procedure: PROCEDURE.create, values: [id, createdAt, expiresAt, null, envelope, null, 0, 0, null, null] };
}

function claiming({ id }: NewSecret): Call {
  return { procedure: PROCEDURE.claim, values: [id, CREATED_AT, 0, CREATED_AT, null, null, null] };
}

/** SQLite's result code, which is 0 where all went well. */
function codeOf({ procedure, values }: Call): unknown {
  return procedure === OK ? OK : values[0];
}

function idsOf(...secrets: NewSecret[]): object[] {
  const ids = secrets.map(({ id }) => Buffer.from(id).toString('hex').toUpperCase());
  return ids.sort().map((id) => ({ __proto__: null, id }));
}

test('of a batch that does not fit on the disk only what cannot be stored fails', async (t) => {
  const { database, runBatch, ids } = await openBatch(t);
  const [old, small, other] = [newSecret(), newSecret(), newSecret()];
  runBatch([creating(old)]);
  database.exec('PRAGMA max_page_count = 1000; PRAGMA cache_size = 100'); // 4 MB; the cache spills before a commit
  const large = Array.from({ length: 10 }, () => newSecret({ bytes: ONE_MIB }));
  const calls = [creating(small), ...large.map(creating), claiming(old), creating(other)];

  const codes = runBatch(calls).map(codeOf);
  t.deepEqual([codes[0], codes.at(-2), codes.at(-1)], [OK, OK, OK]);
  t.deepEqual(new Set(codes), new Set([OK, SQLITE_FULL]));
  const stored = large.filter((_, index) => codes[index + 1] === OK);
  t.deepEqual(ids(), idsOf(small, other, ...stored));
});

test('what cannot be done fails alone, wherever in a batch it is', async (t) => {
  const { runBatch, ids } = await openBatch(t);
  const first = newSecret();
  runBatch([creating(first)]);
  for (const at of [0, 4, 8]) {
    const batch = Array.from({ length: 9 }, (_, index) => (index === at ? first : newSecret()));
    t.deepEqual(
      runBatch(batch.map(creating)).map(codeOf),
      batch.map((secret) => (secret === first ? SQLITE_CONSTRAINT : OK)),
    );
  }
  t.is(ids().length, 1 + 3 * 8);
});
