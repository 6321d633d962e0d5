import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;
export type Range = [first: Address, bits: number];

/**
 * IPv4 mapped to IPv6 (`::ffff:192.0.2.1`) is IPv4. IPv4-compatible addresses (`::192.0.2.1`) are IPv6, although
 * ipaddr.js takes them for IPv4.
 * @returns undefined for anything but an address, and for an address with a zone.
 */
export function parseAddress(text: string): Address | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined;
  return ipaddr.process(text.replace(/^::(?=\d+\.)/, '0:0:0:0:0:0:'));
}

/** An address, or a CIDR; in IPv4 mapped to IPv6, the bits count from the start of the IPv6 address. */
export function parseRange(text: string): Range | undefined {
  const [address = '', bits, ...more] = text.split('/');
  const first = parseAddress(address);
  if (!first || more.length > 0) return undefined;
  const length = first.kind() === 'ipv4' ? 32 : 128;
  if (bits === undefined) return [first, length];
  const skipped = length === 32 && isIP(address) === 6 ? 96 : 0;
  const isNumber = /^\d{1,3}$/.test(bits) && Number(bits) >= skipped && Number(bits) <= length + skipped;
  return isNumber ? [first, Number(bits) - skipped] : undefined;
}

export function isIn(address: Address, [first, bits]: Range): boolean {
  return address.kind() === first.kind() && address.match(first as never, bits);
}

/** Whether text is the address that stands for all addresses of a machine. */
export function isUnspecified(text: string): boolean {
  return parseAddress(text)?.range() === 'unspecified';
}

/** What one subscriber has: an IPv4 address as it is, or the first 64 bits of an IPv6 address. */
export function networkOf(address: Address): string {
  if (address.kind() === 'ipv4') return address.toString();
  const parts = (address as ipaddr.IPv6).parts.slice(0, 4);
  return `${parts.map((part) => part.toString(16)).join(':')}::/64`;
}
