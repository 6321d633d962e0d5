import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { AppError } from '../../src/errors.ts';
import { createFence, type Fence } from '../../src/fence/fence.ts';
import { readFenceFile } from '../../src/fence/file.ts';
import type { Storage } from '../../src/storage/open.ts';
import { createTraced } from '../storage/contract/world.ts';
import { until } from '../support/program.ts';
import { copyDatabase } from '../support/put-back.ts';
import { createTestClock, type TestClock } from '../support/server.ts';
import { ENGINES, type Place, temporaryFolder } from '../support/storage.ts';

const BEATING_CHILD = fileURLToPath(new URL('beating-child.ts', import.meta.url));
/** `FENCE_KILLS=1000` for a longer run. */
const KILLS = Number(process.env.FENCE_KILLS ?? 15);

/** A fence on a store of its own process, as one worker has it, and what it told. */
type Worker = { fence: Fence; storage: Storage; refusing: (number | undefined)[]; warnings: string[] };
type World = {
  place: Place;
  /** The fence file. */
  path: string;
  clock: TestClock;
  open(options?: { isMarker?: boolean; place?: Place; path?: string }): Promise<Worker>;
};

async function createWorld(t: ExecutionContext, place: Place): Promise<World> {
  const path = join(await temporaryFolder(t), 'fence.json');
  const clock = createTestClock();
  const own = { place, path };
  return {
    place,
    path,
    clock,
    async open({ isMarker = true, place, path } = {}) {
      const storage = await (place ?? own.place).open();
      const refusing: Worker['refusing'] = [];
      const warnings: string[] = [];
      const report = {
        refusing: (refused: number | undefined) => void refusing.push(refused),
        warning: (message: string) => void warnings.push(message),
      };
      const parts = { store: storage.fence, path: path ?? own.path, clock: () => clock.now, isMarker, report };
      return { fence: createFence(parts), storage, refusing, warnings };
    },
  };
}

for (const engine of ENGINES) {
  const test = (title: string, run: (t: ExecutionContext, world: World) => Promise<void>): void =>
    engine.test(`${engine.name}: ${title}`, async (t) => run(t, await createWorld(t, await engine.place(t))));

  test('nothing is known before the first beat; a first start is quiet', async (t, { path, open }) => {
    const { fence, storage, refusing, warnings } = await open();
    t.throws(fence.refusedUntil, { instanceOf: AppError, code: 'STORAGE_UNAVAILABLE' });
    t.is(readFenceFile(path), undefined);
    t.true(await fence.beat());
    t.is(fence.refusedUntil(), 0);
    t.is(fence.refusedCount(), 0);
    const stored = await storage.fence.look();
    t.deepEqual(readFenceFile(path), [{ databaseId: stored?.databaseId, mark: stored?.mark }]);
    const { fence: other, warnings: others } = await open({ isMarker: false });
    t.true(await other.beat());
    t.is(other.refusedUntil(), 0);
    t.deepEqual([refusing, warnings, others], [[], [], []]);
  });

  test('the file follows the database with each beat and at the end, of who does not mark too', async (t, world) => {
    const marker = await world.open();
    const other = await world.open({ isMarker: false });
    const marks = async (beat: () => Promise<unknown>): Promise<number> => {
      world.clock.advance({ seconds: 1 });
      await beat();
      const [kept] = readFenceFile(world.path) ?? [];
      t.is(kept?.mark, (await marker.storage.fence.look())?.mark);
      return (kept?.mark ?? 0) - world.clock.now;
    };
    t.is(await marks(marker.fence.beat), 0);
    t.is(await marks(marker.fence.beat), 0);
    t.is(await marks(other.fence.beat), -1_000);
    t.is(await marks(other.fence.end), 0);
    t.is(await marks(marker.fence.end), 0);
  });

  test('put back, the database refuses what is from before the last mark, at every later start too', async (t, world) => {
    const first = await world.open();
    await first.fence.beat();
    const putBack = await copyDatabase(t, world.place.url);
    await createTraced(first.storage.secrets); // will be gone
    world.clock.advance({ minutes: 1 });
    await first.fence.beat();
    const lastMark = world.clock.now;
    await first.storage.close();
    await putBack();

    world.clock.advance({ seconds: 1 });
    const workers = await Promise.all([world.open(), world.open({ isMarker: false }), world.open({ isMarker: false })]);
    await createTraced((workers[0] as Worker).storage.secrets);
    await Promise.all(workers.map(({ fence }) => fence.beat()));
    t.deepEqual(
      workers.map(({ fence }) => fence.refusedUntil()),
      [lastMark, lastMark, lastMark],
    );
    await until('the report', () => (workers[0] as Worker).refusing.length > 0);
    t.deepEqual(
      workers.map(({ refusing }) => refusing),
      [[1], [], []],
    );
    t.is((workers[0] as Worker).fence.refusedCount(), 1);
    for (const { storage } of workers) await storage.close();

    world.clock.advance({ minutes: 1 });
    rmSync(world.path); // the database itself knows
    const later = await world.open();
    await later.fence.beat();
    t.is(later.fence.refusedUntil(), lastMark);
    await until('the report', () => later.refusing.length > 0);
  });

  test('kill -9 in whichever moment of a beat refuses nothing', async (t, { place, path }) => {
    let lastMark = 0;
    for (let kills = 0; kills < KILLS; kills++) {
      const child = fork(BEATING_CHILD, [place.url, path]);
      t.teardown(() => child.kill('SIGKILL'));
      const ended = once(child, 'exit');
      const [refusedUntil] = await Promise.race([once(child, 'message'), ended.then(() => ['the child ended'])]);
      t.is(refusedUntil, 0);
      await sleep(Math.random() * 30);
      child.kill('SIGKILL');
      t.deepEqual(await ended, [null, 'SIGKILL']);
      const mark = readFenceFile(path)?.[0]?.mark ?? 0;
      t.true(mark > lastMark);
      lastMark = mark;
    }
  });
}
