import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = [Address, number];

/** Longer chains of proxies are not looked at. */
const MAX_HOPS = 32;
/** Results to remember, so that a client's next request costs one look-up. */
const MAX_KEPT = 10_000;
const MAX_KEPT_LENGTH = 128;

export type Trust = {
  /** Proxies, as addresses and CIDRs. */
  proxies: readonly string[];
  /** Whether all peers are proxies without an address: connections through a unix socket. */
  isPeerProxy: boolean;
};

/**
 * Finds the network that a request comes from: an IPv4 address, or the first 64 bits of an IPv6 address.
 *
 * The client's address is the peer's. If the peer is a trusted proxy, it is the last address in `X-Forwarded-For` that is
 * not a proxy. An untrusted client's own headers count for nothing, and neither does any other header.
 */
export function createNetworkFinder({ proxies, isPeerProxy }: Trust): (request: IncomingMessage) => string {
  const ranges = proxies.map(parseRange);
  const isProxy = (address: Address): boolean => ranges.some((range) => isIn(address, range));
  const kept = new Map<string, string>();

  function find(peer: string | undefined, forwardedFor: string): string {
    const address = peer === undefined ? undefined : parse(peer);
    const isTrusted = isPeerProxy || (address !== undefined && isProxy(address));
    return networkOf(isTrusted ? clientIn(forwardedFor, isProxy, address) : address);
  }

  return ({ socket, headers }) => {
    // Without proxies the header is ignored. A peer that is gone has no address, which does not make it a proxy.
    const forwardedFor = isPeerProxy || ranges.length > 0 ? String(headers['x-forwarded-for'] ?? '') : '';
    const peer = isPeerProxy ? undefined : socket.remoteAddress;
    const key = `${peer} ${forwardedFor}`;
    const known = kept.get(key);
    if (known !== undefined) return known;
    const network = find(peer, forwardedFor);
    if (kept.size >= MAX_KEPT) kept.clear();
    if (key.length <= MAX_KEPT_LENGTH) kept.set(key, network);
    return network;
  };
}

/** Each hop adds the address on its left: from the right, the first that is not a proxy is the client. */
function clientIn(
  forwardedFor: string,
  isProxy: (address: Address) => boolean,
  peer: Address | undefined,
): Address | undefined {
  let last = peer;
  for (const hop of forwardedFor.split(',').slice(-MAX_HOPS).reverse()) {
    const address = parse(hop.trim());
    if (!address) return last; // the hop that added this is the last one known
    last = address;
    if (!isProxy(address)) return last;
  }
  return last;
}

/** IPv4 unchanged; of IPv6 the first 64 bits, because one subscriber has all addresses below them. */
function networkOf(address: Address | undefined): string {
  if (!address) return 'unknown';
  if (address.kind() === 'ipv4') return address.toString();
  const parts = (address as ipaddr.IPv6).parts.slice(0, 4);
  return `${parts.map((part) => part.toString(16)).join(':')}::/64`;
}

/** IPv4 in IPv6 (`::ffff:192.0.2.1`) is IPv4. */
function parse(text: string): Address | undefined {
  return isIP(text) === 0 ? undefined : ipaddr.process(text);
}

function parseRange(text: string): Range {
  const [address = '', bits] = text.split('/');
  const first = ipaddr.process(address);
  if (bits === undefined) return [first, first.kind() === 'ipv4' ? 32 : 128];
  const isMapped = first.kind() === 'ipv4' && isIP(address) === 6;
  return [first, isMapped ? Math.max(0, Number(bits) - 96) : Number(bits)];
}

function isIn(address: Address, [first, bits]: Range): boolean {
  return address.kind() === first.kind() && address.match(first as never, bits);
}
