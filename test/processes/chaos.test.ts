import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { findFreePort } from '../support/process/free-port.ts';
import { createLedger } from '../support/process/ledger.ts';
import { testIf } from '../support/process/needs.ts';
import { kill, start, untilOneIsReady } from '../support/process/program.ts';
import { MONGODB, temporaryFolder } from '../support/storage/storage.ts';

const { MONGODB_TEST_URL, RIG_DIR } = process.env;
/** 15 on every `make test`, 50 in CI, 1,000 by hand. */
const KILLS = Number(process.env.CHAOS_KILLS ?? 15);
const WORKERS = 3;
const CLIENTS = 12;

type Database = { url(folder: string): string; restart?(): Promise<void> };

const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(Math.random() * list.length)];

/**
 * Load, and kill -9 of workers (three in four) and of the whole program, every 100 to 200 ms. What the clients were
 * told is compared with what is there, all the time and in the end.
 */
async function survivesChaos(t: ExecutionContext, database: Database, kills: number): Promise<void> {
  t.timeout(60_000 + kills * 2_000);
  const folder = await temporaryFolder(t);
  const env = { STORAGE_URL: database.url(folder), WORKERS: String(WORKERS), HTTP_PORT: String(await findFreePort()) };
  let program = await start(t, { folder, env });
  const ledger = createLedger(program.base);
  const stopping = new AbortController();
  const load = ledger.run(CLIENTS, stopping.signal);
  const done = { workers: 0, programs: 0, databases: 0 };

  for (let n = 0; n < kills; n++) {
    await sleep(100 + Math.random() * 100);
    if (database.restart && n % 25 === 10) {
      await database.restart();
      done.databases += 1;
    } else if (n % 4 === 3) {
      await program.end();
      program = await start(t, { folder, env });
      done.programs += 1;
    } else {
      await untilOneIsReady(program);
      const victim = pick(program.workers());
      if (victim) kill(victim);
      done.workers += 1;
    }
  }

  stopping.abort();
  await load;
  await untilOneIsReady(program);
  await ledger.audit();
  t.log({ kills: done, ...ledger.counts });
  t.deepEqual(ledger.violations, []);
  const { created, read, claimed, reread, burned } = ledger.counts;
  for (const count of [created, read, claimed, reread, burned]) t.true((count ?? 0) > 0);
}

test.serial('kill -9 of workers and of the program loses nothing and brings nothing back (sqlite)', async (t) => {
  await survivesChaos(t, { url: (folder) => `sqlite:${join(folder, 'hushbox.db')}` }, KILLS);
});

const withMongo = MONGODB.test.serial;
withMongo('kill -9 of workers and of the program loses nothing and brings nothing back (mongodb)', async (t) => {
  const url = new URL(MONGODB_TEST_URL as string);
  url.pathname = `/hushbox_chaos_${process.pid}_${Date.now()}`;
  t.teardown(() => dropDatabase(url.href));
  await survivesChaos(t, { url: () => url.href }, Math.min(KILLS, 100));
});

/** A server of our own, since others use the one at MONGODB_TEST_URL. */
const OWN_PORT = '27117';
const withRig = testIf(RIG_DIR !== undefined, 'RIG_DIR').serial;
withRig('kill -9 of the database, too, loses nothing and brings nothing back (mongodb)', async (t) => {
  const server = (verb: string) => promisify(execFile)(join(RIG_DIR as string, 'mongo-server'), [verb, OWN_PORT]);
  t.timeout(300_000);
  t.teardown(async () => void (await server('stop')));
  const { stdout } = await server('start');
  await survivesChaos(
    t,
    {
      url: () => `${stdout.trim().split('\n').at(-1)}/hushbox_chaos`,
      async restart() {
        await server('kill');
        await server('start');
      },
    },
    Math.min(KILLS, 60),
  );
});

async function dropDatabase(url: string): Promise<void> {
  const { MongoClient } = await import('mongodb');
  const client = new MongoClient(url);
  await client.db().dropDatabase();
  await client.close();
}
