import test from 'ava';
import { murmur2, partitionOf } from '../../src/kafka/partition.ts';

// Of Kafka's own test, org.apache.kafka.common.utils.UtilsTest.
const KNOWN = {
  21: -973932308,
  foobar: -790332482,
  'a-little-bit-long-string': -985981536,
  'a-little-bit-longer-string': -1486304829,
  lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
  abc: 479470107,
};

test('a key goes where the clients of other languages put it', (t) => {
  for (const [key, hash] of Object.entries(KNOWN)) {
    t.is(murmur2(Buffer.from(key)), hash, key);
    t.is(partitionOf(Buffer.from(key)), hash & 0x7fffffff, key);
  }
  t.true(partitionOf(Buffer.alloc(0)) >= 0);
});

test('a long key takes no time', (t) => {
  const startedAt = performance.now();
  for (let times = 0; times < 100; times++) partitionOf(Buffer.alloc(64 * 1024, 'k'));
  t.true(performance.now() - startedAt < 1_000);
});
