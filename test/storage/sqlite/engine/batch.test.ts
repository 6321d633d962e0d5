import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NO_LIMITS } from '../../../../src/limits/limits.ts';
import type { NewSecret } from '../../../../src/secrets/store.ts';
import { createBatchRunner, OK } from '../../../../src/storage/sqlite/engine/batch.ts';
import type { Message, Value } from '../../../../src/storage/sqlite/engine/codec.ts';
import { openWriter } from '../../../../src/storage/sqlite/engine/database.ts';
import { FileMoved, SQLITE_CANTOPEN } from '../../../../src/storage/sqlite/engine/file-check.ts';
import { createProcedures, type SqliteProcedures } from '../../../../src/storage/sqlite/procedures.ts';
import { MIGRATIONS } from '../../../../src/storage/sqlite/schema.ts';
import { temporaryFolder } from '../../../support/storage/storage.ts';
import { CREATED_AT, newSecret } from '../../contract/world.ts';

const SQLITE_FULL = 13;
const SQLITE_CONSTRAINT = 19;
const ONE_MIB = 1024 * 1024;

async function openBatch(t: ExecutionContext, checkFile = (): void => {}) {
  const database = openWriter(join(await temporaryFolder(t), 'hushbox.db'), MIGRATIONS);
  t.teardown(() => database.close());
  const { procedures, before, after } = createProcedures(database, NO_LIMITS);
  const list = Object.values(procedures);
  const runBatch = createBatchRunner({ database, procedures: list, before, after, checkFile });
  const call = <Name extends keyof SqliteProcedures>(
    name: Name,
    ...value: Parameters<SqliteProcedures[Name]>
  ): Message => ({ head: Object.keys(procedures).indexOf(name), value });
  const creating = ({ id, createdAt, expiresAt, envelope }: NewSecret) =>
    call('create', id, createdAt, expiresAt, null, envelope, null, null);
  const claiming = ({ id }: NewSecret) => call('claim', id, CREATED_AT, false, CREATED_AT, null);
  const ids = () => database.prepare('SELECT hex(id) AS id FROM waiting').all();
  return { database, runBatch, creating, claiming, ids };
}

/** SQLite's result code; 0 for a success. */
function codeOf({ head, value }: Message): unknown {
  return head === OK ? OK : (value as readonly Value[])[0];
}

function idsOf(...secrets: NewSecret[]): object[] {
  const ids = secrets.map(({ id }) => Buffer.from(id).toString('hex').toUpperCase());
  return ids.sort().map((id) => ({ __proto__: null, id }));
}

test('of a batch that does not fit on the disk only what cannot be stored fails', async (t) => {
  const { database, runBatch, creating, claiming, ids } = await openBatch(t);
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
  const { runBatch, creating, ids } = await openBatch(t);
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

for (const [moment, at, isStored] of [
  ['before', 1, false],
  ['after', 2, true],
] as const) {
  test(`a file that is gone ${moment} the commit: nothing of the batch is acknowledged`, async (t) => {
    let looks = 0;
    const { runBatch, creating, ids } = await openBatch(t, () => {
      looks += 1;
      if (looks === at) throw new FileMoved('gone', false);
    });
    const batch = Array.from({ length: 3 }, () => newSecret());
    t.deepEqual(runBatch(batch.map(creating)).map(codeOf), [SQLITE_CANTOPEN, SQLITE_CANTOPEN, SQLITE_CANTOPEN]);
    t.is(looks, at); // no second attempt
    t.is(ids().length, isStored ? 3 : 0);
  });
}
