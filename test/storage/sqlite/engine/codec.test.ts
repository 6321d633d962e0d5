import test from 'ava';
import { decode, encode, type Message, sizeOf, type Value } from '../../../../src/storage/sqlite/engine/codec.ts';

const VALUES: readonly Value[] = [
  null,
  true,
  false,
  0,
  -1.5,
  Number.MAX_SAFE_INTEGER,
  Number.POSITIVE_INFINITY,
  '',
  'ключ 🔑 \u0000 "\\',
  Buffer.alloc(0),
  Buffer.from([0, 255]),
  [],
  [
    [1, 'one', Buffer.from('1')],
    [2, null, []],
  ],
];

/** Buffers and Uint8Arrays with the same bytes are equal. */
function plain(value: Value): unknown {
  if (value instanceof Uint8Array) return [...value];
  return Array.isArray(value) ? value.map(plain) : value;
}

function roundTrip(messages: readonly Message[], bytes?: 'copied' | 'viewed'): Message[] {
  return decode(encode(messages), bytes);
}

for (const bytes of ['copied', 'viewed'] as const) {
  test(`every kind of value comes back as it was, with ${bytes} bytes`, (t) => {
    const messages = [...VALUES, VALUES].map((value, head) => ({ head, value }));
    const back = roundTrip(messages, bytes);
    t.deepEqual(
      back.map(({ head, value }) => [head, plain(value)]),
      messages.map(({ head, value }) => [head, plain(value)]),
    );
  });
}

test('copied bytes do not change with the buffer they came in, viewed ones are part of it', (t) => {
  const packed = encode([{ head: 0, value: Buffer.from('a') }]);
  const [copied, viewed] = (['copied', 'viewed'] as const).map((bytes) => decode(packed, bytes)[0]?.value);
  packed.fill(98);
  t.deepEqual(
    [copied, viewed].map((value) => Buffer.from(value as Uint8Array).toString()),
    ['a', 'b'],
  );
});

test('a message may have more values, and a batch more messages, than one byte counts', (t) => {
  const value = Array.from({ length: 300 }, (_, index) => index);
  const messages = Array.from({ length: 300 }, () => ({ head: 255, value }));
  t.deepEqual(roundTrip(messages), messages);
});

test('a head beyond one byte is refused, in place of another procedure', (t) => {
  for (const head of [256, 257, -1]) t.throws(() => encode([{ head, value: null }]), { instanceOf: RangeError });
});

test('a value of another type is refused', (t) => {
  for (const value of [undefined, 1n, {}, new Date(0), [undefined]]) {
    t.throws(() => sizeOf(value as Value), { instanceOf: TypeError });
    t.throws(() => encode([{ head: 0, value: value as Value }]), { instanceOf: TypeError });
  }
});

test('a size is that of the packed value', (t) => {
  for (const value of VALUES) t.is(encode([{ head: 0, value }]).length, 4 + 1 + sizeOf(value));
});
