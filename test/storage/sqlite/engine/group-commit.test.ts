import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { NO_LIMITS } from '../../../../src/limits/limits.ts';
import { openGroupCommit } from '../../../../src/storage/sqlite/engine/group-commit.ts';
import type { SqliteProcedures } from '../../../../src/storage/sqlite/procedures.ts';
import type { ThreadData } from '../../../../src/storage/sqlite/thread.ts';
import { until } from '../../../support/process/program.ts';
import { temporaryFolder } from '../../../support/storage/storage.ts';
import { areUnavailable } from '../../contract/failures.ts';
import { newSecret } from '../../contract/world.ts';

const THREAD = new URL('../../../../src/storage/sqlite/thread.ts', import.meta.url);
/** A lock that is held makes the thread wait for up to 5 s: longer than this, so that it counts as hanging. */
const IMPATIENT = { answerMs: 1_500, lostMs: 60_000, endMs: 100 };

async function openStore(t: ExecutionContext, patience?: typeof IMPATIENT) {
  const path = join(await temporaryFolder(t), 'hushbox.db');
  const losses: Error[] = [];
  const thread = { url: THREAD, workerData: { path, limits: NO_LIMITS } satisfies ThreadData };
  const events = { onLost: (error: Error) => losses.push(error) };
  const commit = await openGroupCommit<SqliteProcedures>(thread, events, patience);
  t.teardown(commit.close);
  const locker = new DatabaseSync(path);
  t.teardown(() => locker.close());
  const create = (bytes = 64) => {
    const { id, createdAt, expiresAt, envelope } = newSecret({ bytes });
    return commit.run('create', id, createdAt, expiresAt, null, envelope, null, null);
  };
  const lock = () => locker.exec('BEGIN IMMEDIATE');
  const unlock = () => locker.exec('COMMIT');
  const count = () => locker.prepare('SELECT count(*) AS count FROM waiting').get()?.count;
  return { commit, losses, create, lock, unlock, count };
}

test('while the storage thread hangs every write is refused at once, and again done when it answers', async (t) => {
  const { commit, losses, create, lock, unlock, count } = await openStore(t, IMPATIENT);
  lock();
  await areUnavailable(t, { inFlight: create, too: create });
  await areUnavailable(t, { later: create, check: async () => commit.check() });
  unlock();
  await until('an answer', () => {
    try {
      commit.check();
      return true;
    } catch {
      return false;
    }
  });
  await create();
  t.is(count(), 3); // those in flight were unknown, not undone; the later one was never begun
  t.deepEqual(losses, []);
});

test('what another process keeps from being written is surely not written', async (t) => {
  const { create, lock, unlock, count } = await openStore(t);
  lock();
  t.like(await t.throwsAsync(create), { code: 'STORAGE_UNAVAILABLE', isNotWritten: true });
  unlock();
  t.is(count(), 0);
});

test('a storage thread that hangs for long is lost', async (t) => {
  const { losses, create, lock, unlock } = await openStore(t, { ...IMPATIENT, lostMs: 1_600 });
  lock();
  await areUnavailable(t, { create });
  await until('the loss', () => losses.length > 0);
  await areUnavailable(t, { create });
  unlock();
});

test('closing does not wait for a storage thread that hangs', async (t) => {
  const { commit, losses, create, lock, unlock } = await openStore(t, IMPATIENT);
  lock();
  await areUnavailable(t, { create });
  const startedAt = performance.now();
  await commit.close();
  t.true(performance.now() - startedAt < 3_000); // the lock has the thread for 3.5 s more
  await areUnavailable(t, { create });
  t.deepEqual(losses, []);
  unlock();
});

test('64 MiB of writes may wait, further ones are refused, and no batch takes more than 16 MiB', async (t) => {
  const { create, count } = await openStore(t);
  const waiting = Array.from({ length: 8 }, () => create(8 * 1024 * 1024));
  await areUnavailable(t, { create });
  await Promise.race(waiting);
  t.is(count(), 1); // two are more than 16 MiB, by their ids
  await Promise.all(waiting);
  await create();
  t.is(count(), 9);
});
