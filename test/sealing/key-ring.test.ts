import { randomBytes } from 'node:crypto';
import test from 'ava';
import { createKeyRing, masterKeyIdOf } from '../../src/sealing/key-ring.ts';

type Keys = readonly [Buffer, ...Buffer[]];
const [NEW, OLD, OLDEST] = [randomBytes(32), randomBytes(32), randomBytes(32)] as [Buffer, Buffer, Buffer];

test('a ring looks for a key that it does not have; a key it finds seals from then on, and the old ones still open', (t) => {
  let changed: Keys | undefined;
  let looks = 0;
  const ring = createKeyRing([OLD, OLDEST], () => {
    looks += 1;
    return changed;
  });
  t.is(ring.find(masterKeyIdOf(NEW)), undefined);
  t.is(looks, 1);
  changed = [NEW, OLD];
  t.deepEqual(ring.find(masterKeyIdOf(OLD))?.id, masterKeyIdOf(OLD));
  t.is(looks, 1, 'no look for a key that it has');
  t.deepEqual(ring.current.id, masterKeyIdOf(OLD));
  t.deepEqual(ring.find(masterKeyIdOf(NEW))?.id, masterKeyIdOf(NEW));
  t.deepEqual(ring.current.id, masterKeyIdOf(NEW));
  for (const key of [NEW, OLD, OLDEST]) t.deepEqual(ring.find(masterKeyIdOf(key))?.id, masterKeyIdOf(key));
});

test('a refresh takes changed keys, and changes nothing if they did not change', (t) => {
  const changes: (Keys | undefined)[] = [undefined, [NEW, OLD]];
  const ring = createKeyRing([OLD], () => changes.shift());
  ring.refresh();
  t.deepEqual(ring.current.id, masterKeyIdOf(OLD));
  ring.refresh();
  t.deepEqual(ring.current.id, masterKeyIdOf(NEW));
});
