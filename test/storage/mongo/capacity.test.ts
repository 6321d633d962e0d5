import test from 'ava';
import { createCapacity } from '../../../src/storage/mongo/capacity.ts';

/** A server whose size is what was stored in it. */
function createServer() {
  let size = 0;
  let asked = 0;
  const answers: (() => void)[] = [];
  let isSlow = false;
  return {
    get asked() {
      return asked;
    },
    add(bytes: number) {
      size += bytes;
    },
    /** From now on answers wait for `answer`; what they say is what was true when it was asked. */
    slowDown() {
      isSlow = true;
    },
    async answer() {
      for (const one of answers.splice(0)) one();
      await new Promise(setImmediate);
    },
    async askSize(): Promise<number> {
      asked += 1;
      const said = size;
      if (isSlow) await new Promise<void>((resolve) => answers.push(resolve));
      return said;
    },
  };
}

test('what takes no room has room also beyond the limit', async (t) => {
  const server = createServer();
  const { reserve } = createCapacity(100, server.askSize);
  server.add(101);
  t.is(await reserve(1), undefined);
  t.truthy(await reserve(0));
});

test('room is given to the byte, and again once it is free', async (t) => {
  const server = createServer();
  const { reserve } = createCapacity(100, server.askSize);
  for (let n = 0; n < 10; n++) {
    const done = await reserve(10);
    server.add(10);
    done?.(true);
    t.truthy(done);
  }
  t.is(await reserve(10), undefined);
  t.is(await reserve(1), undefined);
  server.add(-10);
  t.truthy(await reserve(10));
  t.is(await reserve(1), undefined);
});

test('of many at once no more are given than fit', async (t) => {
  const { reserve } = createCapacity(100, createServer().askSize);
  const given = await Promise.all(Array.from({ length: 50 }, () => reserve(10)));
  t.is(given.filter(Boolean).length, 10);
});

test('what was reserved and not stored is given again', async (t) => {
  const server = createServer();
  const { reserve } = createCapacity(100, server.askSize);
  for (let n = 0; n < 30; n++) (await reserve(60))?.(false);
  t.is(server.asked, 1);
  t.truthy(await reserve(100));
  t.is(await reserve(1), undefined);
});

test('what is stored while the server is asked counts, whether or not the answer knows of it', async (t) => {
  const server = createServer();
  const { reserve } = createCapacity(100, server.askSize);
  const first = await reserve(60);
  server.slowDown();
  const second = reserve(60);
  server.add(60); // after the answer was made
  first?.(true);
  await server.answer();
  t.is(await second, undefined);
});

test('far from the cap the server is asked once a second, close to it each time; what others add is seen', async (t) => {
  const server = createServer();
  const { reserve } = createCapacity(1000, server.askSize);
  for (let n = 0; n < 8; n++) (await reserve(100))?.(true);
  t.is(server.asked, 1);
  server.add(850);
  t.is(await reserve(200), undefined);
  t.is(server.asked, 2);
  t.truthy(await reserve(100));
  t.is(server.asked, 3);
});

test('a server that does not answer gives no room, and is asked again', async (t) => {
  let isAway = true;
  const { reserve } = createCapacity(100, async () => {
    if (isAway) throw new Error('away');
    return 0;
  });
  const outcomes = await Promise.allSettled([reserve(10), reserve(10), reserve(10)]);
  t.true(outcomes.every(({ status }) => status === 'rejected'));
  isAway = false;
  t.truthy(await reserve(10));
});

test('who comes while the server is asked shares the next answer', async (t) => {
  const server = createServer();
  server.slowDown();
  const { reserve } = createCapacity(100, server.askSize);
  const given = Array.from({ length: 9 }, () => reserve(10));
  await server.answer();
  await server.answer();
  t.true((await Promise.all(given)).every(Boolean));
  t.is(server.asked, 2);
});
