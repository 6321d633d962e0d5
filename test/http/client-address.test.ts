import type { IncomingMessage } from 'node:http';
import test from 'ava';
import { createNetworkFinder, type Trust } from '../../src/http/client-address.ts';

/** The network a request counts for. */
function networkOf(trust: Partial<Trust>, peer: string | undefined, forwardedFor?: string): string {
  return createNetworkFinder({ proxies: [], isPeerProxy: false, ...trust })(requestFrom(peer, forwardedFor));
}

function requestFrom(peer: string | undefined, forwardedFor?: string): IncomingMessage {
  const headers = { ...(forwardedFor !== undefined && { 'x-forwarded-for': forwardedFor }) };
  return { socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage;
}

const PROXIES = { proxies: ['10.0.0.0/8', '192.0.2.7', '2001:db8:ffff::/48', '::ffff:172.16.0.0/108'] };
const SOCKET = { isPeerProxy: true };

for (const [title, trust, peer, forwardedFor, expected] of [
  ['an IPv4 address counts for itself', {}, '198.51.100.1', undefined, '198.51.100.1'],
  ['IPv4 in IPv6 is IPv4', {}, '::ffff:198.51.100.1', undefined, '198.51.100.1'],
  ['an IPv6 address counts for its /64', {}, '2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2::/64'],
  ['however it is written', {}, '2001:0DB8:1:2::', undefined, '2001:db8:1:2::/64'],
  ['zeros too', {}, '::1', undefined, '0:0:0:0::/64'],
  ['a zone makes no difference', {}, 'fe80::1%eth0', undefined, 'fe80:0:0:0::/64'],
  ['who is gone has no address', {}, undefined, '203.0.113.9', 'unknown'],
  ['nor can it be a proxy', PROXIES, undefined, '203.0.113.9', 'unknown'],
  ['without proxies the header counts for nothing', {}, '198.51.100.1', '203.0.113.9', '198.51.100.1'],
  ['nor what an untrusted peer says', PROXIES, '198.51.100.1', '203.0.113.9', '198.51.100.1'],
  ['nor what one beside a trusted range says', PROXIES, '11.0.0.1', '203.0.113.9', '11.0.0.1'],
  ['a trusted peer is believed', PROXIES, '10.1.2.3', '203.0.113.9', '203.0.113.9'],
  ['a single address too', PROXIES, '192.0.2.7', '203.0.113.9', '203.0.113.9'],
  ['but not its neighbour', PROXIES, '192.0.2.8', '203.0.113.9', '192.0.2.8'],
  ['as IPv4 in IPv6 too', PROXIES, '::ffff:10.1.2.3', '203.0.113.9', '203.0.113.9'],
  ['in a range given as IPv4 in IPv6', PROXIES, '172.16.3.4', '203.0.113.9', '203.0.113.9'],
  ['and not beside that range', PROXIES, '172.32.0.1', '203.0.113.9', '172.32.0.1'],
  ['in an IPv6 range', PROXIES, '2001:db8:ffff::5', '2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['one that says nothing counts itself', PROXIES, '10.1.2.3', undefined, '10.1.2.3'],
  ['the last untrusted address counts', PROXIES, '10.1.2.3', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
  ['behind any number of proxies', PROXIES, '10.1.2.3', '1.1.1.1, 203.0.113.9, 10.9.9.9,192.0.2.7', '203.0.113.9'],
  ['the first proxy, where all are', PROXIES, '10.1.2.3', '10.7.7.7, 10.9.9.9', '10.7.7.7'],
  ['noise ends it: who added it is the last one known', PROXIES, '10.1.2.3', '203.0.113.9, x, 10.9.9.9', '10.9.9.9'],
  ['so does an empty entry', PROXIES, '10.1.2.3', '203.0.113.9,', '10.1.2.3'],
  ['a port makes no difference', PROXIES, '10.1.2.3', '203.0.113.9:4711', '203.0.113.9'],
  ['with brackets in IPv6', PROXIES, '10.1.2.3', '[2001:db8:1:2::9]:4711', '2001:db8:1:2::/64'],
  ['brackets alone', PROXIES, '10.1.2.3', '[2001:db8:1:2::9]', '2001:db8:1:2::/64'],
  ['an IPv6 address without brackets has no port', PROXIES, '10.1.2.3', '2001:db8:1:2::9:4711', '2001:db8:1:2::/64'],
  ['nor has the zone in brackets any meaning', PROXIES, '10.1.2.3', '[fe80::1%eth0]:80', 'fe80:0:0:0::/64'],
  ['IPv4 in IPv6 with a port', PROXIES, '10.1.2.3', '[::ffff:203.0.113.9]:4711', '203.0.113.9'],
  ['quotes', PROXIES, '10.1.2.3', '"203.0.113.9:4711"', '203.0.113.9'],
  ['quotes around brackets', PROXIES, '10.1.2.3', ' "[2001:db8:1:2::9]:4711" ', '2001:db8:1:2::/64'],
  ['blanks', SOCKET, undefined, '\t 203.0.113.9:4711  ', '203.0.113.9'],
  ['ports of proxies behind it', PROXIES, '10.1.2.3', '203.0.113.9:1,10.9.9.9:65535 , 192.0.2.7', '203.0.113.9'],
  ['a name is no address', PROXIES, '10.1.2.3', 'unknown', '10.1.2.3'],
  ['nor is a hidden one', PROXIES, '10.1.2.3', '203.0.113.9, _hidden:4711, 10.9.9.9', '10.9.9.9'],
  ['nor one with a port that is none', PROXIES, '10.1.2.3', '203.0.113.9:http', '10.1.2.3'],
  ['nor one with half a quote', PROXIES, '10.1.2.3', '"203.0.113.9', '10.1.2.3'],
  ['nor one with half a bracket', PROXIES, '10.1.2.3', '[2001:db8::9', '10.1.2.3'],
  ['brackets around IPv4 too', PROXIES, '10.1.2.3', '[203.0.113.9]:80', '203.0.113.9'],
  ['so does a number that other parsers take', PROXIES, '10.1.2.3', '3405803785', '10.1.2.3'],
  [
    'more hops than there are proxies are not followed',
    PROXIES,
    '10.1.2.3',
    '1.1.1.1,'.concat('10.0.0.1,'.repeat(39), '10.0.0.2'),
    '10.0.0.1',
  ],
  ['who comes through a socket is believed', SOCKET, undefined, '203.0.113.9', '203.0.113.9'],
  ['once: no further proxy is trusted', SOCKET, undefined, '1.1.1.1, 203.0.113.9', '203.0.113.9'],
  ['one that says nothing is nobody', SOCKET, undefined, undefined, 'unknown'],
] as const) {
  test(`client: ${title}`, (t) => {
    t.is(networkOf(trust, peer, forwardedFor), expected);
  });
}

test('what cannot be read is reported once, and only if a trusted proxy added it', (t) => {
  let reports = 0;
  const find = createNetworkFinder({ ...PROXIES, isPeerProxy: false }, () => {
    reports += 1;
  });
  for (const forwardedFor of [undefined, '', ' ', '203.0.113.9:80', 'unknown, 203.0.113.9', '1.1.1.1, [::1]:80']) {
    find(requestFrom('10.0.0.1', forwardedFor));
    find(requestFrom('198.51.100.1', 'unknown'));
  }
  t.is(reports, 0);
  for (const forwardedFor of ['unknown', '_hidden', '203.0.113.9, _hidden'])
    find(requestFrom('10.0.0.1', forwardedFor));
  t.is(reports, 1);
});

test('what is kept is kept for this peer and this header alone', (t) => {
  const find = createNetworkFinder({ ...PROXIES, isPeerProxy: false });
  for (let again = 0; again < 3; again++) {
    for (const [peer, forwardedFor, expected] of [
      ['10.0.0.1', '203.0.113.9', '203.0.113.9'],
      ['10.0.0.1', '203.0.113.10', '203.0.113.10'],
      ['198.51.100.1', '203.0.113.9', '198.51.100.1'],
      ['10.0.0.1', undefined, '10.0.0.1'],
    ] as const) {
      t.is(find(requestFrom(peer, forwardedFor)), expected);
    }
    for (let n = 0; n < 10_000; n++) find(requestFrom('10.0.0.1', `203.0.${n >> 8}.${n & 255}`)); // more than are kept
  }
});
