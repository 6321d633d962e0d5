import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { type Document, MongoClient } from 'mongodb';
import { AppError } from '../../src/errors.ts';
import { createFence, type Fence } from '../../src/fence/fence.ts';
import { readFenceFile, writeFenceFile } from '../../src/fence/file.ts';
import type { FenceDecision, FenceState } from '../../src/fence/store.ts';
import { openFence, openStorage } from '../../src/storage/open.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createAccount, createSession, MOST, NOW, newRegistration, newReset } from '../storage/contract/accounts.ts';
import { createTraced } from '../storage/contract/world.ts';
import { newMail } from '../storage/mail-store-contract.ts';
import { startMongoProxy } from '../storage/mongo/mongo-proxy.ts';
import { createTestClock, type TestClock } from '../support/http/server.ts';
import { until } from '../support/process/program.ts';
import { copyDatabase } from '../support/process/put-back.ts';
import { ENGINES, MONGODB, type Place, SQLITE, temporaryFolder } from '../support/storage/storage.ts';
import { configOf } from '../support/storage/storage-config.ts';

const BEATING_CHILD = fileURLToPath(new URL('beating-child.ts', import.meta.url));
/** `FENCE_KILLS=1000` for a longer run. */
const KILLS = Number(process.env.FENCE_KILLS ?? 15);

/** A busy machine's. */
const DISK_MS = 60_000;

/** A fence on a store of its own process, as one worker has it, and its reports. */
type Worker = {
  fence: Fence;
  /** The same fence, whose beats have no write before them. */
  idle: Fence;
  storage: Storage;
  refusing: (number | undefined)[];
  warnings: string[];
  others: string[];
};
type World = {
  place: Place;
  /** The fence file. */
  path: string;
  clock: TestClock;
  /** Time that passed whatever was done to the clock, in ms. */
  uptime: { now: number };
  open(options?: { isMarker?: boolean; place?: Place; path?: string }): Promise<Worker>;
};

async function createWorld(t: ExecutionContext, place: Place): Promise<World> {
  const path = join(await temporaryFolder(t), 'fence.json');
  const clock = createTestClock();
  const uptime = { now: 0 };
  const own = { place, path };
  return {
    place,
    path,
    clock,
    uptime,
    async open({ isMarker = true, place, path } = {}) {
      const storage = await (place ?? own.place).open();
      const refusing: Worker['refusing'] = [];
      const warnings: string[] = [];
      const others: string[] = [];
      const report = {
        refusing: (refused: number | undefined) => void refusing.push(refused),
        lifted: () => void others.push('lifted'),
        away: (error: unknown) => void others.push(`away: ${(error as Error).message}`),
        back: () => void others.push('back'),
        warning: (message: string) => void warnings.push(message),
      };
      const parts = {
        store: storage.fence,
        path: path ?? own.path,
        clock: () => clock.now,
        uptime: () => uptime.now,
        isMarker,
        report,
      };
      const fence = createFence(parts, DISK_MS);
      const beat = async (): Promise<boolean> => {
        await storage.fence.touch().catch(() => {}); // as in a service that is in use: there is something to mark
        return fence.beat();
      };
      return { fence: { ...fence, beat }, idle: fence, storage, refusing, warnings, others };
    },
  };
}

/** From now on the database goes back to a copy behind each look at it. */
function goBackAfterLook(storage: Storage, url: string, copy: FenceState): void {
  const { look } = storage.fence;
  storage.fence.look = async () => {
    const found = await look();
    await setBack(url, copy);
    return found;
  };
}

for (const engine of ENGINES) {
  // One after the other: a database that many wait for would seem to be away.
  const testSerially = engine.test.serial;
  const test = (title: string, run: (t: ExecutionContext, world: World) => Promise<void>): void =>
    testSerially(`${engine.name}: ${title}`, async (t) => run(t, await createWorld(t, await engine.place(t))));

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

  test('the file follows the database with each beat and at the end, also in a process that does not mark', async (t, world) => {
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

  test('an idle service marks once a minute, and writes a lost file again; a write is marked with the next beat', async (t, world) => {
    const { fence, idle, storage } = await world.open();
    await fence.beat();
    await idle.beat(); // so that an engine that can knows that nothing is written
    const mark = async (): Promise<number> => ((await storage.fence.look()) as FenceState).mark;
    const rested = await mark();
    const later = async (seconds: number): Promise<void> => {
      world.clock.advance({ seconds });
      world.uptime.now += seconds * 1_000;
      await idle.beat();
    };
    await later(1);
    if (engine.name === 'sqlite') t.is(await mark(), rested);
    rmSync(world.path);
    await later(59);
    t.is(await mark(), rested + 60_000);
    t.is(readFenceFile(world.path)?.[0]?.mark, rested + 60_000);
    await later(1);
    await createTraced(storage.secrets);
    await later(1);
    t.is(await mark(), rested + 62_000);
    t.is(readFenceFile(world.path)?.[0]?.mark, rested + 62_000);
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

  test('put back a second time, it refuses what was created in between too', async (t, world) => {
    const { clock, place } = world;
    const first = await world.open();
    await first.fence.beat();
    const putBack = await copyDatabase(t, place.url);
    clock.advance({ minutes: 1 });
    await first.fence.beat();
    await first.storage.close();
    for (let times = 0; times < 2; times++) {
      await putBack();
      clock.advance({ minutes: 1 });
      const { fence, storage } = await world.open();
      const lastMark = readFenceFile(world.path)?.[0]?.mark as number;
      await fence.beat();
      t.is(fence.refusedUntil(), lastMark);
      await storage.close();
    }
  });

  test('a clock that goes back hides nothing, and refuses nothing', async (t, world) => {
    const { clock, place } = world;
    const first = await world.open();
    await first.fence.beat();
    const before = clock.now;
    clock.advance({ days: -30 });
    await first.fence.beat();
    t.is(first.fence.refusedUntil(), 0);
    const putBack = await copyDatabase(t, place.url);
    await first.fence.beat();
    await first.storage.close();
    const second = await world.open();
    await second.fence.beat();
    t.is(second.fence.refusedUntil(), 0);
    await second.storage.close();
    await putBack();
    const third = await world.open();
    await third.fence.beat();
    t.true(third.fence.refusedUntil() > before);
  });

  test('the clock set back, what was created by it just before is refused with the rest', async (t, world) => {
    const { clock, uptime, place } = world;
    const first = await world.open();
    await first.fence.beat();
    for (const move of [clock, uptime]) move.now += 900;
    const createdAt = clock.now;
    const putBack = await copyDatabase(t, place.url);
    clock.advance({ hours: -1 });
    uptime.now += 100;
    await first.fence.beat();
    await first.storage.close();
    await putBack();
    const second = await world.open();
    await second.fence.beat();
    t.true(second.fence.refusedUntil() >= createdAt);
  });

  test('a mark that another process moves while one opens refuses nothing', async (t, world) => {
    const other = await world.open();
    await other.fence.beat();
    for (const isMarker of [true, false]) {
      const { fence, storage } = await world.open({ isMarker });
      const look = storage.fence.look;
      storage.fence.look = async () => {
        world.clock.advance({ seconds: 1 });
        await other.fence.beat();
        const found = await look();
        await other.fence.beat();
        return found;
      };
      for (let beats = 0; beats < 3; beats++) t.true(await fence.beat());
      t.is(fence.refusedUntil(), 0);
    }
  });

  test('a running process notices within a beat that a database came back with an older state', async (t, world) => {
    const { clock, place } = world;
    const [marker, other] = [await world.open(), await world.open({ isMarker: false })];
    for (const { fence } of [marker, other]) await fence.beat();
    const copy = await marker.storage.fence.look();
    clock.advance({ minutes: 1 });
    for (const { fence } of [marker, other]) await fence.beat();
    const lastMark = clock.now;
    // The same that a restore of the whole database does to this record.
    await setBack(place.url, copy as FenceState);
    await other.fence.beat();
    t.is(other.fence.refusedUntil(), lastMark);
    await marker.fence.beat();
    t.is(marker.fence.refusedUntil(), lastMark);
    await setBack(place.url, copy as FenceState);
    await marker.fence.beat();
    t.true(marker.fence.refusedUntil() > lastMark);
  });

  test('a database that goes back between a look and the mark after it is noticed as well', async (t, world) => {
    const { fence, storage } = await world.open();
    await fence.beat();
    const copy = (await storage.fence.look()) as FenceState;
    world.clock.advance({ minutes: 1 });
    await fence.beat();
    const lastMark = world.clock.now;
    goBackAfterLook(storage, world.place.url, copy);
    await fence.beat();
    t.is(fence.refusedUntil(), lastMark);
  });

  test('while the database is away nothing is known, and what is there when it is back counts', async (t, world) => {
    const { fence, storage } = await world.open();
    await fence.beat();
    const look = storage.fence.look;
    storage.fence.look = () => Promise.reject(new AppError('STORAGE_UNAVAILABLE'));
    t.false(await fence.beat());
    t.throws(fence.refusedUntil, { instanceOf: AppError, code: 'STORAGE_UNAVAILABLE' });
    storage.fence.look = look;
    t.true(await fence.beat());
    t.is(fence.refusedUntil(), 0);
  });

  test('a mark that cannot be moved is reported once, keeps the file as it is, and ends nothing', async (t, world) => {
    const { fence, storage, warnings } = await world.open();
    await fence.beat();
    const before = readFileSync(world.path);
    const fail = (): Promise<never> => Promise.reject(new AppError('STORAGE_UNAVAILABLE'));
    Object.assign(storage.fence, { advance: fail, advanceIfWritten: fail });
    for (let beats = 0; beats < 3; beats++) t.true(await fence.beat());
    await t.notThrowsAsync(fence.end());
    t.is(fence.refusedUntil(), 0);
    t.is(warnings.length, 1);
    t.deepEqual(readFileSync(world.path), before);
  });

  test('a database that went back is not trusted before that is written into it', async (t, world) => {
    const first = await world.open();
    await first.fence.beat();
    const { databaseId, mark } = (await first.storage.fence.look()) as FenceState;
    await writeFenceFile(world.path, [{ databaseId, mark: mark + 1 }]);
    const { fence, storage } = await world.open();
    const advance = storage.fence.advance;
    storage.fence.advance = () => Promise.reject(new AppError('STORAGE_UNAVAILABLE'));
    t.false(await fence.beat());
    t.throws(fence.refusedUntil, { code: 'STORAGE_UNAVAILABLE' });
    storage.fence.advance = advance;
    await fence.beat();
    t.is(fence.refusedUntil(), mark + 1);
  });

  test('without a file, and with that of another database, a warning; nothing is refused', async (t, world) => {
    const first = await world.open();
    await first.fence.beat();
    rmSync(world.path);
    for (const path of [world.path, join(await temporaryFolder(t), 'fence.json')]) {
      if (path !== world.path) await writeFenceFile(path, [{ databaseId: 'f'.repeat(32), mark: world.clock.now * 2 }]);
      const { fence, warnings, refusing } = await world.open({ path });
      for (let beats = 0; beats < 3; beats++) await fence.beat();
      t.is(fence.refusedUntil(), 0);
      t.is(warnings.length, 1);
      t.regex(warnings[0] ?? '', /is unknown/);
      t.deepEqual(refusing, []);
      t.is(readFenceFile(path)?.[0]?.databaseId, (await first.storage.fence.look())?.databaseId);
    }
  });

  test('the file remembers a database while another one is used', async (t, world) => {
    const first = await world.open();
    await first.fence.beat();
    const putBack = await copyDatabase(t, world.place.url);
    await first.fence.beat();
    const lastMark = readFenceFile(world.path)?.[0]?.mark;
    await first.storage.close();
    const other = await world.open({ place: await engine.place(t) });
    await other.fence.beat();
    t.is(other.fence.refusedUntil(), lastMark as number); // never marked: taken for older, and there is nothing in it
    t.is(other.warnings.length, 1);
    await until('the count', () => other.fence.refusedCount() === 0);
    t.deepEqual(other.refusing, []);
    t.is(readFenceFile(world.path)?.length, 2);

    await putBack();
    const back = await world.open();
    await back.fence.beat();
    t.is(back.fence.refusedUntil(), lastMark as number);
  });

  test('secrets that an operator accepts again are handed out, also by a running process, which reports it', async (t, world) => {
    const { fence, storage, others } = await world.open();
    await fence.beat();
    const { databaseId, mark } = (await storage.fence.look()) as FenceState;
    await storage.fence.advance(0, [{ databaseId, mark: mark + 1 }]);
    await fence.beat();
    t.is(fence.refusedUntil(), mark + 1);
    t.deepEqual(others, []);
    await decide(world, 'accept all');
    for (let beats = 0; beats < 2; beats++) await fence.beat();
    t.is(fence.refusedUntil(), 0);
    t.is(fence.refusedCount(), 0);
    t.deepEqual(others, ['lifted']);
    const again = await world.open();
    await again.fence.beat();
    t.is(again.fence.refusedUntil(), 0);
  });

  test('a decision before the next start holds: what the file would refuse is accepted', async (t, world) => {
    const { fence, storage } = await world.open();
    await fence.beat();
    const [{ databaseId = '', mark = 0 } = {}] = readFenceFile(world.path) ?? [];
    await storage.close();
    await writeFenceFile(world.path, [{ databaseId, mark: mark + 10_000 }]);
    await decide(world, 'accept all');
    const next = await world.open();
    await next.fence.beat();
    t.is(next.fence.refusedUntil(), 0);
  });

  test('an operator can refuse all that is stored; what comes later is not refused', async (t, world) => {
    const { fence, storage, refusing } = await world.open();
    await fence.beat();
    await createTraced(storage.secrets);
    const { refusedUntil } = await decide(world, 'refuse all');
    t.true(refusedUntil >= world.clock.now);
    await fence.beat();
    t.is(fence.refusedUntil(), refusedUntil);
    await until('the count', () => refusing.length === 1);
    t.true(((await storage.fence.look())?.mark ?? 0) > refusedUntil);
  });

  test('put back, the database has no session any more, and lifting the fence returns none', async (t, world) => {
    const first = await world.open();
    await first.fence.beat();
    const account = await createAccount(first.storage.accounts);
    const [ended, kept] = [
      await createSession(first.storage.sessions, account),
      await createSession(first.storage.sessions, account),
    ];
    const [activation, reset] = [newRegistration(), newReset(account)];
    for (const link of [activation, reset]) await first.storage.links.addLink(link, MOST);
    await first.storage.mails.add(newMail());
    const putBack = await copyDatabase(t, world.place.url);
    t.true(await first.storage.sessions.end(ended));
    world.clock.advance({ minutes: 1 });
    await first.fence.beat();
    await first.storage.close();
    await putBack();

    const { fence, storage } = await world.open();
    const { accounts, links, sessions } = storage;
    t.truthy(await sessions.find(ended.credentialHash, NOW), 'there again, so that the test can see it');
    t.truthy(await links.findLink(activation.tokenHash, NOW));
    t.is((await storage.mails.countWaiting()).events, 1);
    await fence.beat();
    t.is((await storage.mails.countWaiting()).events, 0);
    const areGone = async (): Promise<void> => {
      for (const { tokenHash } of [activation, reset]) t.is(await links.findLink(tokenHash, NOW), undefined);
      t.is(await links.activate(activation.tokenHash, account.id, NOW), undefined);
      t.false(await links.resetPassword(reset.tokenHash, account.passwordHash, NOW));
      for (const { credentialHash } of [ended, kept]) t.is(await sessions.find(credentialHash, NOW), undefined);
    };
    await areGone();
    const next = await createSession(sessions, account);
    await decide(world, 'accept all');
    for (let beats = 0; beats < 3; beats++) await fence.beat();
    t.is(fence.refusedUntil(), 0);
    await areGone();
    t.deepEqual(await sessions.list(account.id, NOW), [(await sessions.find(next.credentialHash, NOW)) as object]);
    t.is((await accounts.findByEmail(account.email))?.id, account.id);
  });

  for (const decision of ['accept all', 'refuse all'] as const) {
    test(`sessions of a restored database have ended if an operator decides first to ${decision}`, async (t, world) => {
      const { fence, storage } = await world.open();
      await fence.beat();
      const session = await createSession(storage.sessions, await createAccount(storage.accounts));
      await storage.mails.add(newMail());
      const [{ databaseId = '', mark = 0 } = {}] = readFenceFile(world.path) ?? [];
      await storage.close();
      await writeFenceFile(world.path, [{ databaseId, mark: mark + 10_000 }]);
      await decide(world, decision);
      const next = await world.open();
      t.is(await next.storage.sessions.find(session.credentialHash, NOW), undefined);
      t.is((await next.storage.mails.countWaiting()).events, 0);
    });
  }

  test('with a lost fence file, an operator who refuses all ends the sessions too', async (t, world) => {
    const { fence, storage } = await world.open();
    await fence.beat();
    const session = await createSession(storage.sessions, await createAccount(storage.accounts));
    rmSync(world.path);
    await decide(world, 'accept all');
    t.truthy(await storage.sessions.find(session.credentialHash, NOW), 'nothing shows a restore');
    await decide(world, 'refuse all');
    t.is(await storage.sessions.find(session.credentialHash, NOW), undefined);
  });

  test('sessions end with a database that goes back between a look and the mark after it, and not before', async (t, world) => {
    const { fence, storage } = await world.open();
    await fence.beat();
    const session = await createSession(storage.sessions, await createAccount(storage.accounts));
    const copy = (await storage.fence.look()) as FenceState;
    world.clock.advance({ minutes: 1 });
    for (let beats = 0; beats < 3; beats++) await fence.beat();
    t.truthy(await storage.sessions.find(session.credentialHash, NOW));
    goBackAfterLook(storage, world.place.url, copy);
    await fence.beat();
    t.is(await storage.sessions.find(session.credentialHash, NOW), undefined);
  });

  test('a storage that goes away is reported once, and once that it is back, by the process that marks', async (t, world) => {
    for (const isMarker of [true, false]) {
      const { fence, storage, others } = await world.open({ isMarker });
      await fence.beat();
      const { look } = storage.fence;
      let isAway = true;
      storage.fence.look = async () => {
        if (isAway) throw new Error('gone');
        return look();
      };
      for (let beats = 0; beats < 3; beats++) t.false(await fence.beat());
      isAway = false;
      for (let beats = 0; beats < 2; beats++) t.true(await fence.beat());
      t.deepEqual(others, isMarker ? ['away: gone', 'back'] : []);
    }
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

MONGODB.test('mongodb: sessions have ended before the mark says that the restore was noticed', async (t) => {
  const place = await MONGODB.place(t);
  const world = await createWorld(t, place);
  const first = await world.open();
  await first.fence.beat();
  const account = await createAccount(first.storage.accounts);
  for (let count = 0; count < 3; count++) await createSession(first.storage.sessions, account);
  const before = (await first.storage.fence.look()) as FenceState;
  await writeFenceFile(world.path, [{ ...before, mark: before.mark + 1 }]);
  const proxy = await startMongoProxy(t, place.url);
  const { fence, storage } = await world.open({ place: { ...place, open: () => openAt(t, proxy.url) } });
  t.true(await fence.beat());
  const isEnd = (command: Document): boolean => command.delete === 'sessions';
  const isMark = ({ update, updates = [] }: Document): boolean => update === 'secrets' && updates[0]?.u?.$set?.mark > 0;
  t.true(proxy.commands.findIndex(isEnd) < proxy.commands.findIndex(isMark));
  t.true(proxy.commands.some(isEnd));
  t.deepEqual(await storage.sessions.list(account.id, NOW), []);
});

MONGODB.test('a restore into a running MongoDB that is met half-way refuses all the same', async (t) => {
  const world = await createWorld(t, await MONGODB.place(t));
  const { fence, storage } = await world.open();
  await fence.beat();
  await createTraced(storage.secrets);
  const putBack = await copyDatabase(t, world.place.url);
  world.clock.advance({ minutes: 1 });
  await fence.beat();
  const lastMark = world.clock.now;
  await putBack(fence.beat); // marks the empty database, so that its record is not restored
  await fence.beat();
  t.is(fence.refusedUntil(), lastMark);
  t.is(await storage.fence.countRefused(fence.refusedUntil(), world.clock.now), 1);
});

sqlite('a file that does not hold marks is reported, and replaced with the next beat', async (t, world) => {
  for (const content of ['{"version":1', '{"version":2,"databases":[]}', '[]', 'null', 'x'.repeat(100_000)]) {
    writeFileSync(world.path, content);
    const { fence, warnings } = await world.open();
    t.true(await fence.beat());
    t.is(fence.refusedUntil(), 0);
    t.true(warnings.includes('the fence file cannot be read'), content);
    t.is(readFenceFile(world.path)?.length, 1);
  }
});

sqlite('a file that cannot be written is reported once and ends nothing; later it is written', async (t, world) => {
  const folder = dirname(world.path);
  rmSync(folder, { recursive: true });
  writeFileSync(folder, 'in the way');
  const { fence, storage, warnings } = await world.open();
  for (let beats = 0; beats < 3; beats++) t.true(await fence.beat());
  t.is(fence.refusedUntil(), 0);
  t.deepEqual(warnings, ['the fence file cannot be written']);
  rmSync(folder);
  t.true(await fence.beat());
  t.is(readFenceFile(world.path)?.[0]?.mark, (await storage.fence.look())?.mark);
});

sqlite('what a killed process left beside the file is removed, what is being written is not', async (t, world) => {
  const names = ['fence.json', 'fence.json.0123456789abcdef', 'fence.json.fedcba9876543210', 'fence.json.old'];
  const [, old, young] = names.map((name) => join(dirname(world.path), name)) as [string, string, string];
  for (const name of names.slice(1)) writeFileSync(join(dirname(world.path), name), '');
  const { fence } = await world.open();
  const seconds = world.clock.now / 1000;
  utimesSync(old, seconds - 61, seconds - 61);
  utimesSync(young, seconds - 59, seconds - 59);
  await fence.beat();
  t.deepEqual(readdirSync(dirname(world.path)).sort(), [names[0], names[2], names[3]]);
});

sqlite('beyond 16 databases the one marked longest ago is forgotten', async (t, world) => {
  const marks = Array.from({ length: 16 }, (_, index) => ({
    databaseId: `${index}`.padStart(32, '0'),
    mark: index + 1,
  }));
  await writeFenceFile(world.path, marks);
  const { fence, storage } = await world.open();
  await fence.beat();
  const own = (await storage.fence.look()) as FenceState;
  t.deepEqual(readFenceFile(world.path), [{ databaseId: own.databaseId, mark: own.mark }, ...marks.slice(0, 15)]);
});

sqlite('the file is for its owner alone', async (t, world) => {
  const { fence } = await world.open();
  await fence.beat();
  t.is(statSync(world.path).mode & 0o777, 0o600);
});

function sqlite(title: string, run: (t: ExecutionContext, world: World) => Promise<void>): void {
  SQLITE.test(title, async (t) => run(t, await createWorld(t, await SQLITE.place(t))));
}

/** Puts the fence's record alone into another state, past the service. */
async function setBack(url: string, { mark, refusedUntil }: FenceState): Promise<void> {
  if (url.startsWith('sqlite:')) {
    const database = new DatabaseSync(url.slice('sqlite:'.length));
    database.prepare('UPDATE fence SET mark = ?, refused_until = ?').run(mark, refusedUntil);
    database.close();
    return;
  }
  const client = new MongoClient(url);
  await client
    .db()
    .collection<{ _id: string }>('secrets')
    .updateOne({ _id: 'fence' }, { $set: { mark, refusedUntil } });
  await client.close();
}

/** As `hushbox fence` does, at the clock of the test. */
async function decide({ place, path, clock }: World, decision: FenceDecision): Promise<FenceState> {
  const control = await openFence(configOf(place.url));
  try {
    return await control.decide(decision, clock.now, readFenceFile(path) ?? []);
  } finally {
    await control.close();
  }
}

async function openAt(t: ExecutionContext, url: string): Promise<Storage> {
  const storage = await openStorage(configOf(url), { onLost: () => t.fail(), onWarning: () => {} });
  t.teardown(storage.close);
  await until('an answer', () => storage.fence.look().then(Boolean, () => false));
  return storage;
}
