import test from 'ava';
import { release } from '../../src/sealing/release.ts';

test('large bytes give their memory back at once; small ones and a part of something keep theirs', (t) => {
  const large = Buffer.allocUnsafeSlow(65_537).fill('x');
  release(large);
  t.is(large.length, 0);
  const small = Buffer.allocUnsafeSlow(65_536).fill('x');
  const whole = Buffer.allocUnsafeSlow(200_000).fill('x');
  release(small);
  release(whole.subarray(0, 100_000));
  release(whole.subarray(1));
  t.deepEqual([small.length, whole.length, whole.toString()], [65_536, 200_000, 'x'.repeat(200_000)]);
});
