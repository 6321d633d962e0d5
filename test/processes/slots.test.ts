import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, getPriority } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { countCores } from '../../src/processes/primary/cores.ts';
import { createSlotBroker } from '../../src/processes/primary/slot-broker.ts';
import { createSecret, readSecret } from '../support/http/client.ts';
import { testIf } from '../support/process/needs.ts';
import { start, until } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

function createBroker(slots: number) {
  const granted: string[] = [];
  return { ...createSlotBroker<string>(slots, (holder) => granted.push(holder)), granted };
}

test('no more slots are held than exist, and waiting holders get them in order', (t) => {
  const broker = createBroker(2);
  for (const holder of ['a', 'a', 'b', 'a', 'c']) broker.want(holder);
  t.deepEqual(broker.granted, ['a', 'a']);
  broker.free('a');
  t.deepEqual(broker.granted, ['a', 'a', 'b']);
  broker.free('b');
  broker.free('a');
  t.deepEqual(broker.granted, ['a', 'a', 'b', 'a', 'c']);
});

test('the slots of a holder that is gone become free, and it gets no others', (t) => {
  const broker = createBroker(2);
  for (const holder of ['a', 'a', 'a', 'b', 'c']) broker.want(holder);
  broker.forget('a');
  t.deepEqual(broker.granted, ['a', 'a', 'b', 'c']);
});

test('freeing a slot that is not held frees nothing', (t) => {
  const broker = createBroker(1);
  broker.want('a');
  broker.free('b');
  broker.want('b');
  t.deepEqual(broker.granted, ['a']);
  broker.forget('a');
  broker.free('a'); // late, from a holder already forgotten
  broker.want('c');
  t.deepEqual(broker.granted, ['a', 'b']);
});

/** Counts hashing threads by their low priority, which Linux shows. */
function countHashing(pids: readonly number[]): number {
  return pids.flatMap(threadsOf).filter(({ state, nice }) => state === 'R' && nice === constants.priority.PRIORITY_LOW)
    .length;
}

function threadsOf(pid: number): { state: string; nice: number }[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return { state: fields[0] as string, nice: Number(fields[16]) };
    });
  } catch {
    return []; // it ended while we looked
  }
}

const isToldApart = process.platform === 'linux' && getPriority() < constants.priority.PRIORITY_LOW;
const onLinux = testIf(isToldApart, 'priority').serial;

/** The threads of workers write + and - to one file, before and after each hash. */
function noteHashes(file: string): string {
  return `if (process.env.HUSHBOX_WORKER_NUMBER && !require('node:worker_threads').isMainThread) {
    const { openSync, writeSync } = require('node:fs');
    const argon2 = require(${JSON.stringify(createRequire(import.meta.url).resolve('@node-rs/argon2'))});
    const { hashRawSync } = argon2;
    const file = openSync(${JSON.stringify(file)}, 'a');
    argon2.hashRawSync = (...args) => {
      writeSync(file, '+');
      const hash = hashRawSync(...args);
      writeSync(file, '-');
      return hash;
    };
  }`;
}

test.serial('four workers together hash no more phrases at once than there are cores', async (t) => {
  const folder = await temporaryFolder(t);
  const [notes, preload] = [join(folder, 'notes'), join(folder, 'note-hashes.cjs')];
  writeFileSync(preload, noteHashes(notes));
  const program = await start(t, { folder, env: { WORKERS: '4', NODE_OPTIONS: `--require=${preload}` } });
  await Promise.all(Array.from({ length: 60 }, () => createSecret(program.base, { secret: 'x', phrase: 'a phrase' })));
  let [hashing, most, hashes] = [0, 0, 0];
  for (const note of readFileSync(notes, 'utf8')) {
    hashing += note === '+' ? 1 : -1;
    hashes += note === '+' ? 1 : 0;
    most = Math.max(most, hashing);
  }
  t.log(`at most ${most} at once`);
  t.is(hashes, 60);
  t.is(hashing, 0);
  t.true(most <= countCores(), `${most} at once`);
});

onLinux('workers killed while they hash leave no slot taken', async (t) => {
  const program = await start(t, { env: { WORKERS: '4' } });
  const hashing = { secret: 'x', phrase: 'a phrase' };
  let isDone = false;
  const clients = Array.from({ length: 12 }, async () => {
    while (!isDone) await createSecret(program.base, hashing).catch(() => {}); // cut, with its worker
  });
  for (let kills = 1; kills <= 2 * countCores(); kills++) {
    let victim: number | undefined;
    await until('a worker that hashes', () => {
      victim = program.workers().find((pid) => countHashing([pid]) > 0);
      return victim !== undefined;
    });
    process.kill(victim as number, 'SIGKILL');
    await until('four ready workers', () => program.stderr().match(/"worker is ready"/g)?.length === 4 + kills);
  }
  isDone = true;
  await Promise.all(clients);
  const key = await createSecret(program.base, hashing);
  t.is((await readSecret(program.base, key, { phrase: 'a phrase' })).status, 200);
});
