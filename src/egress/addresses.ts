import { networkInterfaces } from 'node:os';
import type { IPv6 } from 'ipaddr.js';
import { type Address, isIn, parseAddress, parseRange, type Range } from '../network/addresses.ts';

/**
 * Ranges that strangers must not reach, besides those that `isPublic` refuses: the IANA special-purpose registries for
 * IPv4 and IPv6 (RFC 6890 and later entries), and a few that they lack.
 */
const SPECIAL: readonly Range[] = [
  '0.0.0.0/8', // this network; for the system 0.0.0.0 is this machine
  '10.0.0.0/8', // private
  '100.64.0.0/10', // shared by carriers; a cloud's metadata
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // a cloud's platform, reachable from its machines alone
  '169.254.0.0/16', // link-local; clouds' metadata
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '2001::/23', // protocol assignments: Teredo, ORCHID, benchmarks
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, an IPv4 address in it
  '2620:4f:8000::/48', // AS112
  '3ffe::/16', // 6bone
  '3fff::/20', // documentation
].map((range) => parseRange(range) as Range);

/** All IPv6 addresses that are assigned: loopback, ULA, link-local, NAT64, mapped and compatible IPv4 lie elsewhere. */
const GLOBAL_UNICAST = parseRange('2000::/3') as Range;
const OWN_KEPT_MS = 10_000;

/** Whether the address may belong to anyone on the Internet, and does not lead into a private network. */
export function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast' || SPECIAL.some((range) => isIn(address, range))) return false;
  return address.kind() === 'ipv4' || (isIn(address, GLOBAL_UNICAST) && !isIsatap(address as IPv6));
}

/** RFC 5214: the last 32 bits are an IPv4 address to tunnel to. */
function isIsatap({ parts }: IPv6): boolean {
  return ((parts[4] as number) & 0xfdff) === 0 && parts[5] === 0x5efe;
}

/** Addresses of this machine: a service that listens on them may expect that no stranger gets there. */
export function createOwnAddresses(): (address: Address) => boolean {
  let own: ReadonlySet<string> = new Set();
  let keptUntil = 0;
  return (address) => {
    if (performance.now() >= keptUntil) {
      own = new Set(
        Object.values(networkInterfaces()).flatMap((all = []) => all.map((one) => String(parseAddress(one.address)))),
      );
      keptUntil = performance.now() + OWN_KEPT_MS;
    }
    return own.has(address.toString());
  };
}
