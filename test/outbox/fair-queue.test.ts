import test from 'ava';
import { type Begun, createLines, type Lines } from '../../src/outbox/fair-queue.ts';

type Item = { to: string; number: number };
type Result = 'succeeded' | 'failed' | 'unknown';

const MANY = 5_000;
const of = (name: string): Buffer => Buffer.from(name.padEnd(16, '.'));

/** Adds as many as there is room for. */
function fill(lines: Lines<Item>, to: string, count: number): number {
  let added = 0;
  for (let number = 0; number < count && lines.hold(of(to)); number++) {
    lines.add(of(to), { to, number });
    added += 1;
  }
  return added;
}

function beginAll(lines: Lines<Item>): Begun<Item>[] {
  const begun: Begun<Item>[] = [];
  for (let next = lines.next(); next; next = lines.next()) begun.push(next);
  return begun;
}

/** One delivery after the other to a destination, each with this end. */
function teach(lines: Lines<Item>, to: string, ...results: Result[]): void {
  for (const result of results) {
    fill(lines, to, 1);
    lines.next()?.end(result);
  }
}

function named(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => prefix + index);
}

test('what was added comes in order, and each destination has its turn', (t) => {
  const lines = createLines<Item>();
  fill(lines, 'a', 3);
  fill(lines, 'b', 2);
  const order = beginAll(lines).map(({ item }) => item.to + item.number);
  t.deepEqual(order, ['a0', 'b0', 'a1', 'b1', 'a2']);
});

test('to one destination eight are under way, 24 more where the last one succeeded', (t) => {
  const lines = createLines<Item>();
  fill(lines, 'a', 100);
  const begun = beginAll(lines);
  t.is(begun.length, 8);
  begun[0]?.end('succeeded');
  t.is(beginAll(lines).length, 25);
  begun[1]?.end('failed');
  t.is(beginAll(lines).length, 0);
});

test('those 24 are for all destinations together, and come back; there are 64 places besides', (t) => {
  const lines = createLines<Item>();
  const proven = named('p', 20);
  for (const to of proven) teach(lines, to, 'succeeded');
  fill(lines, 'p0', 100);
  const begun = beginAll(lines);
  t.is(begun.length, 32);
  fill(lines, 'p1', 20);
  t.is(beginAll(lines).length, 8);
  for (const to of proven.slice(2)) fill(lines, to, 2);
  t.is(beginAll(lines).length, 36);
  for (const to of proven) fill(lines, to, 20);
  beginAll(lines);
  t.is(lines.underWay, 88);
  for (const { end } of begun) end('succeeded');
  const waiting = beginAll(lines);
  t.is(waiting.length, 32);
});

test('a destination holds 200 places, all of them together 1000', (t) => {
  const lines = createLines<Item>();
  t.is(fill(lines, 'a', MANY), 200);
  t.deepEqual(lines.listFull(1), [of('a')]);
  const proven = named('p', 10);
  for (const to of proven) teach(lines, to, 'succeeded');
  for (const to of proven) fill(lines, to, MANY);
  t.is(lines.room, 0);
  t.false(lines.hold(of('another')));
});

test('after three failures in a row one event at a time is tried, until one succeeds', (t) => {
  const lines = createLines<Item>();
  teach(lines, 'a', 'failed', 'failed', 'succeeded', 'failed', 'failed');
  t.is(fill(lines, 'a', 20), 20);
  lines.next()?.end('failed');
  const [probe, ...others] = beginAll(lines);
  t.is(others.length, 0);
  t.deepEqual(lines.listFull(1), [of('a')]);
  probe?.end('succeeded');
  t.is(beginAll(lines).length, 18); // all there are
});

test('a failing destination that holds nothing is given one place', (t) => {
  const lines = createLines<Item>();
  teach(lines, 'a', 'failed', 'failed', 'failed');
  t.deepEqual(lines.listFull(1), []);
  t.is(fill(lines, 'a', MANY), 1);
  t.deepEqual(lines.listFull(1), [of('a')]);
});

test('failing destinations have eight places in all: then each of them is full', (t) => {
  const lines = createLines<Item>();
  const failing = named('f', 20);
  for (const to of failing) teach(lines, to, 'failed', 'failed', 'failed');
  for (const to of failing) fill(lines, to, 1);
  t.is(beginAll(lines).length, 8);
  t.is(lines.listFull(1).length, 20);
});

test('however many new destinations hang, half of the places are for those that answer', (t) => {
  const lines = createLines<Item>();
  teach(lines, 'good', 'succeeded');
  for (const to of named('new', 400)) fill(lines, to, 5);
  t.is(lines.room, 500);
  t.is(beginAll(lines).length, 32);
  t.is(fill(lines, 'good', MANY), 200);
  t.is(beginAll(lines).length, 32);
});

test('an end that says nothing of the destination changes nothing but the place', (t) => {
  const lines = createLines<Item>();
  teach(lines, 'a', 'failed', 'failed', 'unknown', 'unknown');
  t.is(fill(lines, 'a', 20), 20);
});

test('places come back: dropped, ended or removed', (t) => {
  const lines = createLines<Item>();
  const before = lines.room;
  lines.hold(of('a'));
  lines.drop(of('a'));
  teach(lines, 'a', 'succeeded', 'failed');
  fill(lines, 'a', 10);
  fill(lines, 'b', 10);
  const begun = beginAll(lines);
  t.deepEqual(
    lines.remove(({ number }) => number > 8).map(({ to }) => to),
    ['a', 'b'],
  );
  t.is(lines.remove(() => true).length, 2);
  for (const { end } of begun) end('failed');
  t.is(lines.room, before);
  t.is(lines.underWay, 0);
  t.is(lines.next(), undefined);
});

test('what is remembered of destinations is bounded', (t) => {
  const lines = createLines<Item>();
  for (const to of named('f', MANY)) teach(lines, to, 'failed', 'failed', 'failed');
  for (const to of named('f', 8)) fill(lines, to, 2); // forgotten, so that they are as new ones
  t.is(beginAll(lines).length, 16);
  for (const to of named('f', MANY).slice(-8)) t.is(fill(lines, to, 2), 1);
  beginAll(lines);
  t.is(lines.listFull(1).length, 2_000 - 8);
});

test('of destinations that hold something none is forgotten', (t) => {
  const lines = createLines<Item>();
  teach(lines, 'first', 'succeeded');
  fill(lines, 'first', 3);
  const before = beginAll(lines);
  for (const to of named('f', MANY)) teach(lines, to, 'failed');
  t.is(fill(lines, 'first', MANY), 197);
  for (const { end } of before) end('succeeded');
  t.is(fill(lines, 'first', MANY), 3);
});

test('nothing is remembered of destinations of which nothing is known', (t) => {
  const lines = createLines<Item>();
  teach(lines, 'known', 'failed', 'failed', 'failed');
  for (const to of named('u', MANY)) teach(lines, to, 'unknown');
  for (const to of named('v', MANY)) {
    lines.hold(of(to));
    lines.drop(of(to));
  }
  t.is(fill(lines, 'known', 2), 1);
});

test('forgotten first is whose last outcome is oldest', (t) => {
  const lines = createLines<Item>();
  teach(lines, 'a', 'failed', 'failed', 'failed');
  teach(lines, 'b', 'failed', 'failed', 'failed');
  for (const to of named('f', 1_998)) teach(lines, to, 'failed');
  teach(lines, 'a', 'failed');
  for (const to of named('g', 1_000)) teach(lines, to, 'failed');
  t.is(fill(lines, 'a', 2), 1);
  t.is(fill(lines, 'b', 2), 2);
});
