import test from 'ava';
import { shareLooks } from '../../src/storage/shared-look.ts';

type Asked = { id: string; now: number; answer(found: number): void; fail(): void };

function start() {
  const asked: Asked[] = [];
  const look = shareLooks<number>((id, now) => {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    asked.push({ id: `${id}`, now, answer: resolve, fail: () => reject(new Error('away')) });
    return promise;
  });
  return { asked, look, at: (index: number) => asked[index] as Asked };
}

const [ONE, OTHER] = [Buffer.from('one'), Buffer.from('other')];
const aMoment = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('who asks while a record is looked up shares the next look-up, at the latest instant', async (t) => {
  const { asked, look, at } = start();
  const first = look(ONE, 1);
  const later = [look(ONE, 3), look(ONE, 2)];
  const other = look(OTHER, 4);
  await aMoment();
  t.deepEqual(
    asked.map(({ id, now }) => [id, now]),
    [
      ['one', 1],
      ['other', 4],
    ],
  );
  at(0).answer(10);
  t.is(await first, 10);
  await aMoment();
  t.deepEqual([asked.length, at(2).now], [3, 3]);
  const last = look(ONE, 5);
  at(2).answer(20);
  t.deepEqual(await Promise.all(later), [20, 20]);
  await aMoment();
  at(3).answer(30);
  at(1).answer(40);
  t.deepEqual(await Promise.all([last, other]), [30, 40]);
  void look(ONE, 6);
  t.is(asked.length, 5, 'nothing is under way: no wait');
});

test('a failure is that of all who share it, and the next look-up follows', async (t) => {
  const { asked, look, at } = start();
  const first = look(ONE, 1);
  const second = [look(ONE, 2), look(ONE, 2)];
  at(0).fail();
  await t.throwsAsync(first, { message: 'away' });
  await aMoment();
  at(1).fail();
  for (const found of second) await t.throwsAsync(found, { message: 'away' });
  const third = look(ONE, 3);
  at(2).answer(1);
  t.is(await third, 1);
  t.is(asked.length, 3);
});
