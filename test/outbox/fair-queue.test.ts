import test from 'ava';
import { type Begun, createFairQueue, type FairQueue } from '../../src/outbox/fair-queue.ts';
import { WEBHOOK_PACE } from '../../src/webhooks/pace.ts';

type Item = { to: string; number: number };
type Result = 'succeeded' | 'failed' | 'unknown';

const MANY = 5_000;
const of = (name: string): Buffer => Buffer.from(name.padEnd(16, '.'));

/** Adds as many as there is room for. */
function fill(queue: FairQueue<Item>, to: string, count: number): number {
  let added = 0;
  for (let number = 0; number < count && queue.hold(of(to)); number++) {
    queue.add(of(to), { to, number });
    added += 1;
  }
  return added;
}

/** Begins all items there is a place for, each at the address of its destination alone. */
function beginAll(queue: FairQueue<Item>): Begun<Item>[] {
  return beginAt(queue, ({ to }) => `address of ${to}`);
}

/** Begins all items there is a place for; those whose address is full go back. @returns the others. */
function beginAt(queue: FairQueue<Item>, addressOf: (item: Item) => string): Begun<Item>[] {
  const begun: Begun<Item>[] = [];
  for (let next = queue.next(); next; next = queue.next()) {
    if (next.enter(addressOf(next.item))) begun.push(next);
    else next.putBack();
  }
  return begun;
}

/** One delivery after the other to a destination, each with this end. */
function teach(queue: FairQueue<Item>, to: string, ...results: Result[]): void {
  for (const result of results) {
    fill(queue, to, 1);
    queue.next()?.end(result);
  }
}

function named(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => prefix + index);
}

test('the items of a destination come in order, and destinations take turns', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  fill(queue, 'a', 3);
  fill(queue, 'b', 2);
  const order = beginAll(queue).map(({ item }) => item.to + item.number);
  t.deepEqual(order, ['a0', 'b0', 'a1', 'b1', 'a2']);
});

test('16 deliveries to one address are under way, whatever became of the last ones', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  fill(queue, 'a', 100);
  const begun = beginAll(queue);
  t.is(begun.length, 16);
  begun[0]?.end('succeeded');
  begun[1]?.end('failed');
  t.is(beginAll(queue).length, 2);
});

test('256 deliveries are under way in all', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  for (const to of named('a', 300)) fill(queue, to, 1);
  const begun = beginAll(queue);
  t.is(begun.length, 256);
  t.is(queue.underWay, 256);
  begun[0]?.end('succeeded');
  t.is(beginAll(queue).length, 1);
});

test('destinations with one address share its places, and those that wait for it take no place of others', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  for (const to of named('n', 300)) fill(queue, to, 2);
  const one = (): string => 'one address';
  const begun = beginAt(queue, one);
  t.is(begun.length, 16);
  t.is(queue.underWay, 16);
  t.is(queue.next(), undefined);
  fill(queue, 'other', 1);
  t.is(beginAt(queue, () => 'another address').length, 1);
  begun[0]?.end('failed');
  const next = beginAt(queue, one);
  t.is(next.length, 1);
  const seen = new Set<string>();
  for (let under = [...begun.slice(1), ...next]; under.length > 0; under = beginAt(queue, one)) {
    for (const { item, end } of under) {
      seen.add(item.to + item.number);
      end('succeeded');
    }
  }
  t.is(seen.size, 600 - 1);
});

test('the first item of a destination goes alone; the others follow it to its address', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  fill(queue, 'a', 5);
  const first = queue.next();
  t.is(queue.next(), undefined);
  first?.enter('address');
  t.is(beginAll(queue).length, 4);
});

test('an item that was put back is the next of its destination', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  fill(queue, 'a', 16);
  const begun = beginAt(queue, () => 'address');
  fill(queue, 'b', 3);
  t.is(beginAt(queue, () => 'address').length, 0);
  begun[0]?.end('succeeded');
  t.deepEqual(
    beginAt(queue, () => 'address').map(({ item }) => item),
    [{ to: 'b', number: 0 }],
  );
});

test('a delivery counts for the address it was last at', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  for (const to of named('n', 17)) fill(queue, to, 1);
  const begun = beginAt(queue, ({ to }) => `first ${to}`);
  t.is(begun.length, 17);
  const isIn = begun.map(({ enter }) => enter('the one connected to'));
  t.deepEqual(isIn, [...Array(16).fill(true), false]);
  begun[16]?.putBack();
  t.is(queue.next(), undefined);
  begun[3]?.end('unknown');
  t.is(queue.next()?.item.to, 'n16');
});

test('a destination whose address changed has the places of its new one', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  fill(queue, 'a', 40);
  const before = beginAt(queue, () => 'old');
  before[0]?.end('succeeded');
  const moved = queue.next();
  t.true(moved?.enter('new'));
  t.is(beginAt(queue, () => 'new').length, 15);
  for (const { end } of before.slice(1)) end('succeeded');
  t.is(queue.underWay, 16);
});

test('an address holds 200 places, all of them together 3,200', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  t.is(fill(queue, 'a', MANY), 200);
  t.deepEqual(queue.listFull(1), [of('a')]);
  for (const to of named('p', 15)) t.is(fill(queue, to, MANY), 200);
  t.is(queue.room, 0);
  t.false(queue.hold(of('another')));
});

test('of destinations with one address, 200 items are held: the others are handed back, and no more are taken', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  const names = named('n', 300);
  for (const to of names) fill(queue, to, 4);
  fill(queue, 'other', 4);
  const begun = beginAt(queue, ({ to }) => (to === 'other' ? to : 'one address'));
  t.is(begun.length, 20);
  t.is(queue.remove(() => false).length, 1_000);
  t.is(queue.room, 3_200 - 204);
  t.is(queue.listFull(1).length, 300);
  t.false(queue.hold(of('n7')));
  t.is(fill(queue, 'other', 4), 4);
  for (const { end } of begun) end('failed');
  t.true(queue.hold(of('n7')));
});

test('after three failures in a row a destination gets one item at a time, until one succeeds', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  teach(queue, 'a', 'failed', 'failed', 'succeeded', 'failed', 'failed');
  t.is(fill(queue, 'a', 20), 20);
  queue.next()?.end('failed');
  const [probe, ...others] = beginAll(queue);
  t.is(others.length, 0);
  t.deepEqual(queue.listFull(1), [of('a')]);
  probe?.end('succeeded');
  t.is(beginAll(queue).length, 16);
});

test('a failing destination that holds nothing is given one place', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  teach(queue, 'a', 'failed', 'failed', 'failed');
  t.deepEqual(queue.listFull(1), []);
  t.is(fill(queue, 'a', MANY), 1);
  t.deepEqual(queue.listFull(1), [of('a')]);
});

test('an end that shows nothing about the destination only gives its place back', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  teach(queue, 'a', 'failed', 'failed', 'unknown', 'unknown');
  t.is(fill(queue, 'a', 20), 20);
});

test('places come back: dropped, ended or removed', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  const before = queue.room;
  queue.hold(of('a'));
  queue.drop(of('a'));
  teach(queue, 'a', 'succeeded', 'failed');
  fill(queue, 'a', 20);
  fill(queue, 'b', 20);
  const begun = beginAll(queue);
  t.deepEqual(
    queue.remove(({ number }) => number > 18).map(({ to }) => to),
    ['b', 'a'],
  );
  t.is(queue.remove(() => true).length, 6);
  for (const { end } of begun) end('failed');
  t.is(queue.room, before);
  t.is(queue.underWay, 0);
  t.is(queue.next(), undefined);
});

test('2,000 destinations are remembered', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  const names = named('f', MANY);
  for (const to of names) teach(queue, to, 'failed', 'failed', 'failed');
  for (const to of names.slice(-2_000).toReversed()) t.is(fill(queue, to, 2), 1);
  t.is(queue.listFull(1).length, 2_000);
  t.is(fill(queue, names.at(-2_001) as string, 2), 2); // forgotten, so that it is as a new one
});

test('a destination that holds something is not forgotten', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  teach(queue, 'first', 'succeeded');
  fill(queue, 'first', 3);
  const before = beginAll(queue);
  for (const to of named('f', MANY)) teach(queue, to, 'failed');
  t.is(fill(queue, 'first', MANY), 197);
  for (const { end } of before) end('succeeded');
  t.is(fill(queue, 'first', MANY), 3);
});

test('a destination of which nothing is known is not remembered', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  teach(queue, 'known', 'failed', 'failed', 'failed');
  for (const to of named('u', MANY)) teach(queue, to, 'unknown');
  for (const to of named('v', MANY)) {
    queue.hold(of(to));
    queue.drop(of(to));
  }
  t.is(fill(queue, 'known', 2), 1);
});

test('the destination with the oldest outcome is forgotten first', (t) => {
  const queue = createFairQueue<Item>(WEBHOOK_PACE);
  teach(queue, 'a', 'failed', 'failed', 'failed');
  teach(queue, 'b', 'failed', 'failed', 'failed');
  for (const to of named('f', 1_998)) teach(queue, to, 'failed');
  teach(queue, 'a', 'failed');
  for (const to of named('g', 1_000)) teach(queue, to, 'failed');
  t.is(fill(queue, 'a', 2), 1);
  t.is(fill(queue, 'b', 2), 2);
});
