import { setImmediate as nextRound } from 'node:timers/promises';
import test from 'ava';
import { createTurns, type Turn } from '../../src/http/turns.ts';

const MIB = 1024 * 1024;

async function rounds(count = 5): Promise<void> {
  for (let round = 0; round < count; round++) await nextRound();
}

/** Notes in which order turns begin. */
function watch(begun: string[], name: string, turn: Turn): Turn {
  void turn.begun.then(() => void begun.push(name));
  return turn;
}

test('as many begin as fit, in order, and something very large is worked on alone', async (t) => {
  const turns = createTurns();
  const begun: string[] = [];
  const take = (name: string, bytes: number): Turn => watch(begun, name, turns.take(bytes));
  const [a, b, c, d] = [take('a', MIB / 2), take('b', MIB), take('c', 66 * MIB), take('d', 10)];
  await rounds();
  t.deepEqual(begun, ['a', 'b']);
  a?.end();
  a?.end();
  await rounds();
  t.deepEqual(begun, ['a', 'b']);
  b?.end();
  await rounds();
  t.deepEqual(begun, ['a', 'b', 'c']);
  c?.end();
  await rounds();
  t.deepEqual(begun, ['a', 'b', 'c', 'd']);
  d?.end();
});

test('what is under way goes first', async (t) => {
  const turns = createTurns();
  const begun: string[] = [];
  const first = watch(begun, 'first', turns.take(9 * MIB));
  await rounds();
  watch(begun, 'new', turns.take(9 * MIB));
  watch(begun, 'under way', turns.take(9 * MIB, true));
  await rounds();
  first.end();
  await rounds();
  t.deepEqual(begun, ['first', 'under way']);
});

test('one round of the loop begins one turn', async (t) => {
  const turns = createTurns();
  const begun: string[] = [];
  for (const name of ['a', 'b', 'c']) watch(begun, name, turns.take(10));
  const seen: number[] = [];
  for (let round = 0; round < 4; round++) {
    await nextRound();
    seen.push(begun.length);
  }
  t.true(
    seen.every((count, index) => count - (seen[index - 1] ?? 0) <= 1),
    seen.join(),
  );
  t.is(begun.length, 3);
});

test('who leaves does not hold up the others', async (t) => {
  const turns = createTurns();
  const begun: string[] = [];
  const first = watch(begun, 'first', turns.take(9 * MIB));
  const left = watch(begun, 'left', turns.take(9 * MIB));
  const last = watch(begun, 'last', turns.take(9 * MIB));
  await rounds();
  left.end();
  first.end();
  await rounds();
  t.deepEqual(begun, ['first', 'last']);
  last.end();
});

test('a turn that does not come in time is BUSY, and the next one comes all the same', async (t) => {
  const turns = createTurns(1_000); // long enough for the next one, whatever else the machine does
  const first = turns.take(9 * MIB);
  await first.begun;
  await t.throwsAsync(turns.take(9 * MIB).begun, { code: 'BUSY' });
  const next = turns.take(9 * MIB);
  first.end();
  await t.notThrowsAsync(next.begun);
});
