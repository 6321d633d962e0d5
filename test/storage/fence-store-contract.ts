import type { ExecutionContext } from 'ava';
import type { FenceMark, FenceState, FenceStore } from '../../src/fence/store.ts';
import { RECEIPT_MS } from '../../src/secrets/store.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Engine } from '../support/storage/storage.ts';
import {
  ANSWERED_AT,
  answerOrThrow,
  CREATED_AT,
  claimCopy,
  createRequested,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  HOUR,
  MINUTE,
  NO_REFUND,
  sweepAll,
  times,
} from './contract/world.ts';

type FenceWorld = { fence: FenceStore; secrets: Storage['secrets']; open(): Promise<Storage>; close(): Promise<void> };

const NOW = CREATED_AT;
const OTHER: FenceMark = { databaseId: '0'.repeat(32), mark: NOW + HOUR };

/** Every engine passes this suite: what `FenceStore` promises. */
export function fenceStoreContract(engine: Engine): void {
  const test = (title: string, run: (t: ExecutionContext, world: FenceWorld) => Promise<void>): void => {
    engine.test(`${engine.name}: the fence: ${title}`, async (t) => {
      const { open } = await engine.place(t);
      const { fence, secrets, close } = await open();
      await run(t, { fence, secrets, open, close });
    });
  };

  test('nothing is marked before the first mark, which stays when the store is opened again', async (t, world) => {
    t.is(await world.fence.look(), undefined);
    const marked = await world.fence.advance(NOW, []);
    t.like(marked, { mark: NOW, refusedUntil: 0 });
    t.regex(marked.databaseId, /^[0-9a-f]{32}$/);
    t.deepEqual(await world.fence.look(), marked);
    await world.close();
    t.deepEqual(await (await world.open()).fence.look(), marked);
  });

  test('a mark moves if anything was written since the last one, by any process', async (t, {
    fence,
    secrets,
    open,
  }) => {
    const other = await open();
    const writes = {
      'a touch': () => fence.touch(),
      'a secret': () => createUntraced(secrets),
      'a touch by another process': () => other.fence.touch(),
      'a secret of another process': () => createUntraced(other.secrets),
      'the mark of another process': () => other.fence.advance(NOW, []),
    };
    t.truthy(await fence.advanceIfWritten(NOW, []));
    for (const [what, write] of Object.entries(writes)) {
      const before = (await fence.advanceIfWritten(NOW, [])) ?? (await fence.look());
      await fence.advanceIfWritten(NOW, []); // so that an engine that can knows that nothing is new
      await write();
      const moved = await fence.advanceIfWritten(NOW, []);
      t.true((moved?.mark ?? 0) > (before?.mark ?? 0), what);
      t.deepEqual(await fence.look(), moved, what);
    }
  });

  test('of writes while the mark moves none is missed', async (t, { fence, secrets, open }) => {
    const other = await open();
    for (let round = 0; round < 50; round++) {
      const store = round % 2 ? secrets : other.secrets;
      const during = createUntraced(store);
      await Promise.all([fence.advanceIfWritten(NOW, []), during]);
      const before = await fence.look();
      await createUntraced(store);
      await fence.advanceIfWritten(NOW, []);
      t.true(((await fence.look())?.mark ?? 0) > (before?.mark ?? 0));
    }
  });

  test('no two databases have one id', async (t, { fence }) => {
    const other = await (await engine.place(t)).open();
    t.not((await fence.advance(NOW, [])).databaseId, (await other.fence.advance(NOW, [])).databaseId);
  });

  test('a mark follows the clock, and grows also where the clock stands still or goes back', async (t, { fence }) => {
    const marks: number[] = [];
    for (const now of [NOW, NOW, NOW - HOUR, NOW + 1.5, NOW + MINUTE]) marks.push((await fence.advance(now, [])).mark);
    t.deepEqual(marks, [NOW, NOW + 1, NOW + 2, NOW + 3, NOW + MINUTE]);
    t.like(await fence.look(), { mark: NOW + MINUTE, refusedUntil: 0 });
  });

  test('a touch changes nothing', async (t, { fence }) => {
    await fence.touch();
    t.is(await fence.look(), undefined);
    const marked = await fence.advance(NOW, [OTHER]);
    await fence.touch();
    t.deepEqual(await fence.look(), marked);
  });

  test('of many that move the mark at once each has one of its own', async (t, { fence, open }) => {
    const stores = [fence, (await open()).fence, (await open()).fence];
    const states = await times(30, (index) => (stores[index % 3] as FenceStore).advance(NOW, []));
    const marks = states.map(({ mark }) => mark).sort();
    t.deepEqual(
      marks,
      marks.map((_, index) => NOW + index),
    );
    t.is(new Set(states.map(({ databaseId }) => databaseId)).size, 1);
  });

  test('a newer mark of this database refuses all from before it, for good', async (t, { fence, close, open }) => {
    const { databaseId, mark } = await fence.advance(NOW, []);
    const lost = { databaseId, mark: mark + MINUTE };
    const refusing = { databaseId, mark: lost.mark + 1, refusedUntil: lost.mark };
    t.deepEqual(await fence.advance(NOW, [OTHER, lost]), refusing);
    t.deepEqual(await fence.advance(NOW, [lost, OTHER]), { ...refusing, mark: lost.mark + 2 });
    await close();
    const { fence: reopened } = await open();
    t.deepEqual(await reopened.look(), { ...refusing, mark: lost.mark + 2 });
    t.like(await reopened.advance(NOW, [{ databaseId, mark: lost.mark + 2 }]), { refusedUntil: lost.mark });
    const again = lost.mark + HOUR;
    t.like(await reopened.advance(NOW, [{ databaseId, mark: again }]), { mark: again + 1, refusedUntil: again });
  });

  test('of many that know of the newer mark at once all get the same answer', async (t, { fence, open }) => {
    const { databaseId, mark } = await fence.advance(NOW, []);
    const stores = [fence, (await open()).fence];
    const known = [{ databaseId, mark: mark + MINUTE }];
    const states = await times(20, (index) => (stores[index % 2] as FenceStore).advance(NOW, known));
    t.deepEqual([...new Set(states.map(({ refusedUntil }) => refusedUntil))], [mark + MINUTE]);
  });

  test('an older mark, the same one, and those of other databases refuse nothing', async (t, { fence }) => {
    const { databaseId, mark } = await fence.advance(NOW, []);
    const known = [OTHER, { databaseId, mark: mark - 1 }, { databaseId, mark }];
    t.deepEqual(await fence.advance(NOW, known), { databaseId, mark: mark + 1, refusedUntil: 0 });
  });

  test('in a database that was never marked any mark refuses what is from before it', async (t, { fence }) => {
    t.like(await fence.advance(NOW, [OTHER]), { mark: OTHER.mark + 1, refusedUntil: OTHER.mark });
    t.like(await fence.advance(NOW, [OTHER]), { mark: OTHER.mark + 2, refusedUntil: OTHER.mark });
  });

  test('what is refused is counted: secrets that wait and open requests, created until then', async (t, {
    fence,
    secrets,
  }) => {
    const kept = await times(3, () => createTraced(secrets));
    const [read, burned, copied] = await times(3, () => createTraced(secrets));
    if (!read || !burned || !copied) throw new TypeError();
    await secrets.claim(read.id, NOW, NO_REFUND);
    await secrets.burn(burned.id, burned.receiptHash, NOW, 0);
    await claimCopy(secrets, copied);
    await createUntraced(secrets, { expiresAt: NOW + MINUTE });
    await createRequested(secrets, { expiresAt: NOW + MINUTE });
    await answerOrThrow(secrets, await createRequested(secrets));
    t.is(await fence.countRefused(CREATED_AT - 1, NOW), 0);
    t.is(await fence.countRefused(CREATED_AT, NOW), kept.length + 2, 'the answer is newer');
    t.is(await fence.countRefused(CREATED_AT, NOW + MINUTE), kept.length);
    t.is(await fence.countRefused(ANSWERED_AT, NOW + MINUTE), kept.length + 1);
    t.is(await fence.countRefused(CREATED_AT, EXPIRES_AT), 0);
    for (let batch = 0; batch < 42; batch++) await times(25, () => createUntraced(secrets));
    t.is(await fence.countRefused(CREATED_AT, NOW + MINUTE), kept.length + 42 * 25);
  });

  test('no sweep takes the record away', async (t, { fence, secrets }) => {
    const marked = await fence.advance(NOW, []);
    await createTraced(secrets);
    await sweepAll(secrets, EXPIRES_AT + RECEIPT_MS);
    t.deepEqual(await fence.look(), marked satisfies FenceState);
  });
}

/** Every verb, ready to be called. */
export function fenceVerbsOn(fence: FenceStore): Record<keyof FenceStore, () => Promise<unknown>> {
  return {
    look: () => fence.look(),
    touch: () => fence.touch(),
    advance: () => fence.advance(NOW, []),
    advanceIfWritten: () => fence.advanceIfWritten(NOW, []),
    countRefused: () => fence.countRefused(NOW, NOW),
  };
}
