import type { IncomingMessage } from 'node:http';
import { type Address, isIn, networkOf, parseAddress, parseRange, type Range } from '../network/addresses.ts';

/** Proxies in a row that are looked at. */
const MAX_HOPS = 32;
/** Answers that are kept, so that a client's next request costs only a look-up. */
const MAX_KEPT = 10_000;
const MAX_KEPT_LENGTH = 128;

export type Trust = {
  /** Proxies, as addresses and CIDRs. */
  proxies: readonly string[];
  /** Whether all peers are proxies without an address, because they connect to a socket in the file system. */
  isPeerProxy: boolean;
};

/**
 * Finds the network that a request comes from: an IPv4 address, or the first 64 bits of an IPv6 address.
 *
 * The client's address is that of the peer or, if the peer is a trusted proxy, the last one in `X-Forwarded-For` that is
 * not a trusted proxy. Nothing that an untrusted client sends counts, and no other header does.
 * @param onUnreadable called once, when a trusted proxy sends something else: its clients then count as the proxy.
 */
export function createNetworkFinder(
  { proxies, isPeerProxy }: Trust,
  onUnreadable: () => void = () => {},
): (request: IncomingMessage) => string {
  const ranges = proxies.map(parseProxy);
  const isProxy = (address: Address): boolean => ranges.some((range) => isIn(address, range));
  const kept = new Map<string, string>();
  let wasReported = false;

  function reportUnreadable(): void {
    if (!wasReported) onUnreadable();
    wasReported = true;
  }

  function find(peer: string | undefined, forwardedFor: string): string {
    const address = peer === undefined ? undefined : parse(peer);
    const isTrusted = isPeerProxy || (address !== undefined && isProxy(address));
    const client = isTrusted ? clientIn(forwardedFor, isProxy, address, reportUnreadable) : address;
    return client ? networkOf(client) : 'unknown';
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

/** Whether a network, as `createNetworkFinder` gives it, is one that everybody can reach. */
export function isPublicNetwork(network: string): boolean {
  return parseAddress(network.replace(/\/64$/, ''))?.range() === 'unicast';
}

/** Of IPv6, what one customer of a provider may have many networks in: the /48 around a network. */
export function widerNetworkOf(network: string): string | undefined {
  const [, wider] = /^((?:[0-9a-f]{1,4}:){3})[0-9a-f]{1,4}::\/64$/.exec(network) ?? [];
  return wider === undefined ? undefined : `${wider}:/48`;
}

/** Creates a check whether the peer of a request is a trusted proxy, whose forwarded headers count. */
export function createPeerCheck({ proxies, isPeerProxy }: Trust): (request: IncomingMessage) => boolean {
  if (isPeerProxy) return () => true;
  const ranges = proxies.map(parseProxy);
  return ({ socket: { remoteAddress } }) => {
    const peer = ranges.length > 0 && remoteAddress !== undefined ? parse(remoteAddress) : undefined;
    return peer !== undefined && ranges.some((range) => isIn(peer, range));
  };
}

/** From the right, each address was added by the one before it: the first that is no proxy is the client. */
function clientIn(
  forwardedFor: string,
  isProxy: (address: Address) => boolean,
  peer: Address | undefined,
  reportUnreadable: () => void,
): Address | undefined {
  if (forwardedFor.trim() === '') return peer;
  let last = peer;
  for (const hop of forwardedFor.split(',').slice(-MAX_HOPS).reverse()) {
    const address = parse(withoutPort(hop));
    if (!address) {
      reportUnreadable();
      return last; // the proxy that added this is the last known address
    }
    last = address;
    if (!isProxy(address)) return last;
  }
  return last;
}

/**
 * Some proxies add the client's port, and with it brackets, or quotes as in `Forwarded` (RFC 7239 §6). Names in place of
 * an address, such as `unknown`, stay what they are.
 */
function withoutPort(hop: string): string {
  const text = hop
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .trim();
  const [, ip6, ip4] = /^(?:\[([\w:.%]+)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/i.exec(text) ?? [];
  return ip6 ?? ip4 ?? text;
}

/** The zone of a link-local address makes no difference. */
function parse(text: string): Address | undefined {
  return parseAddress(text.replace(/%.*$/, ''));
}

function parseProxy(text: string): Range {
  const range = parseRange(text);
  if (!range) throw new TypeError('the configuration lets nothing but ranges pass');
  return range;
}
