import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext, type TestFn } from 'ava';
import type { StoreLimits } from '../../../src/limits/limits.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { testIf } from '../process/needs.ts';
import { configOf } from './storage-config.ts';

/** The storage of one test; `open` can be called more than once, as several processes would do. */
export type Place = { url: string; open(limits?: Partial<StoreLimits>): Promise<Storage> };
export type Engine = { name: 'sqlite' | 'mongodb'; test: TestFn; place(t: ExecutionContext): Promise<Place> };

const { MONGODB_TEST_URL } = process.env;

export const SQLITE: Engine = { name: 'sqlite', test, place: sqlitePlace };
/** Its tests are visible skips without a server. */
export const MONGODB: Engine = {
  name: 'mongodb',
  test: testIf(!!MONGODB_TEST_URL, 'MONGODB_TEST_URL'),
  place: mongoPlace,
};
export const ENGINES: readonly Engine[] = [SQLITE, MONGODB];

export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hushbox-'));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

async function sqlitePlace(t: ExecutionContext): Promise<Place> {
  return placeAt(t, `sqlite:${join(await temporaryFolder(t), 'hushbox.db')}`);
}

/** How many tests of one file use the server at once: with more, each would only be slower. */
const MONGODB_TESTS_AT_ONCE = 5;
const awaited: (() => void)[] = [];
const having = new WeakSet<ExecutionContext>();
let free = MONGODB_TESTS_AT_ONCE;

/** One turn for each test, however many places it has, so that no test waits for a turn that it holds. */
async function takeTurn(t: ExecutionContext): Promise<void> {
  if (having.has(t)) return;
  having.add(t);
  if (free > 0) free -= 1;
  else await new Promise<void>((resolve) => awaited.push(resolve));
  t.teardown(() => {
    const next = awaited.shift();
    if (next) next();
    else free += 1;
  });
}

/** A server that shares two cores with the tests may need longer than the program waits. */
export const WAITS = ['socketTimeoutMS', 'waitQueueTimeoutMS'] as const;

async function mongoPlace(t: ExecutionContext): Promise<Place> {
  await takeTurn(t);
  const url = new URL(MONGODB_TEST_URL as string);
  url.pathname = `/hushbox_${randomBytes(6).toString('hex')}`;
  for (const name of WAITS) url.searchParams.set(name, '60000');
  t.teardown(async () => {
    const { MongoClient } = await import('mongodb');
    const client = new MongoClient(url.href);
    await client.db().dropDatabase();
    await client.close();
  });
  return placeAt(t, url.href);
}

function placeAt(t: ExecutionContext, url: string): Place {
  return {
    url,
    async open(limits) {
      const storage = await openStorage(configOf(url, limits), {
        onLost: (error) => t.log(error),
        onWarning: () => {},
      });
      let isOpen = true;
      const close = async (): Promise<void> => {
        if (isOpen) await storage.close();
        isOpen = false;
      };
      t.teardown(close); // ava runs teardowns in reverse: closed before the place is removed
      await untilItAnswers(storage);
      return { ...storage, close };
    },
  };
}

/** A busy machine can need more than one attempt to connect, and a minute to write. */
async function untilItAnswers({ ping }: Storage): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      return await ping();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await sleep(250);
  }
}
