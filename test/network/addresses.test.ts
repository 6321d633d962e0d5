import test from 'ava';
import { type Address, isIn, networkOf, parseAddress, parseRange, type Range } from '../../src/network/addresses.ts';

for (const [text, expected] of [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:201', '192.0.2.1'],
  ['::192.0.2.1', '::c000:201'],
  ['0:0:0:0:0:0:192.0.2.1', '::c000:201'],
  ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ['2001:DB8::1', '2001:db8::1'],
  ['fe80::1%eth0', undefined],
  ['192.0.2.1%eth0', undefined],
  ['192.0.2', undefined],
  ['0300.0.2.1', undefined],
  ['3221225985', undefined],
  ['[::1]', undefined],
  [' ::1', undefined],
  ['name', undefined],
  ['', undefined],
] as const) {
  test(`the address "${text}" is ${expected ?? 'none'}`, (t) => {
    t.is(parseAddress(text)?.toString(), expected);
  });
}

for (const [text, first, bits] of [
  ['192.0.2.1', '192.0.2.1', 32],
  ['10.0.0.0/8', '10.0.0.0', 8],
  ['0.0.0.0/0', '0.0.0.0', 0],
  ['::1', '::1', 128],
  ['::/0', '::', 0],
  ['2001:db8::/32', '2001:db8::', 32],
  ['::ffff:10.0.0.0/104', '10.0.0.0', 8],
  ['::192.0.2.1/128', '::c000:201', 128],
] as const) {
  test(`the range "${text}" has its first ${bits} bits of ${first}`, (t) => {
    const range = parseRange(text);
    t.deepEqual(range && [range[0].toString(), range[1]], [first, bits]);
  });
}

for (const text of [
  '10.0.0.0/33',
  '::/129',
  '::ffff:10.0.0.0/95',
  '10.0.0.0/',
  '10.0.0.0/8/8',
  '10.0.0.0/-1',
  '/8',
  'a/8',
]) {
  test(`"${text}" is no range`, (t) => {
    t.is(parseRange(text), undefined);
  });
}

test('an address is in a range of its own family alone', (t) => {
  const isWithin = (address: string, range: string): boolean =>
    isIn(parseAddress(address) as Address, parseRange(range) as Range);
  t.true(isWithin('10.1.2.3', '10.0.0.0/8'));
  t.true(isWithin('::ffff:10.1.2.3', '10.0.0.0/8'));
  t.false(isWithin('11.0.0.0', '10.0.0.0/8'));
  t.false(isWithin('::10.1.2.3', '10.0.0.0/8'));
  t.false(isWithin('10.1.2.3', '::/0'));
  t.true(isWithin('2001:db8::1', '2001:db8::/32'));
});

test('a subscriber has an IPv4 address, or an IPv6 /64', (t) => {
  const networks = ['192.0.2.1', '::ffff:192.0.2.1', '2001:db8:1:2:3::', '::1'].map((text) =>
    networkOf(parseAddress(text) as Address),
  );
  t.deepEqual(networks, ['192.0.2.1', '192.0.2.1', '2001:db8:1:2::/64', '0:0:0:0::/64']);
});
