import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Something that `EGRESS_ALLOW` lists: a host's name as URLs have it, or a range of addresses. No port means any. */
export type AllowEntry = { port?: number } & ({ host: string } | { range: [address: string, bits: number] });

/** What a name of a host can have in it, `_` included: containers are called so. */
const HOST = /^[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*$/;

/** @returns undefined unless every entry is `host`, `host:port` or a CIDR; IPv6 with a port is `[address]:port`. */
export function parseAllowList(text: string): AllowEntry[] | undefined {
  const entries = text.split(',').map((entry) => parseEntry(entry.trim()));
  return entries.every((entry) => entry !== undefined) ? entries : undefined;
}

/** Name servers as `dns` takes them. @returns undefined unless each is `address` or `address:port`. */
export function parseServers(text: string): string[] | undefined {
  const servers = text.split(',').map((server) => server.trim());
  const areAddresses = servers.every((server) => {
    const entry = parseEntry(server);
    return entry !== undefined && 'range' in entry && !server.includes('/');
  });
  return areAddresses ? servers : undefined;
}

function parseEntry(text: string): AllowEntry | undefined {
  if (isIP(text) !== 0 || text.includes('/')) return withRange(text);
  const { host = '', port } = /^(?<host>\[.*\]|[^:[\]]+)(?::(?<port>\d{1,5}))?$/.exec(text)?.groups ?? {};
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return undefined;
  const isBracketed = host.startsWith('[');
  const name = isBracketed ? host.slice(1, -1) : host;
  if (isBracketed && isIP(name) !== 6) return undefined;
  const entry = isIP(name) === 0 ? withHost(name) : withRange(name);
  return entry && port !== undefined ? { ...entry, port: Number(port) } : entry;
}

/**
 * IPv4 mapped to IPv6 (`::ffff:192.0.2.1`) is IPv4. IPv4-compatible addresses (`::192.0.2.1`) are not, though ipaddr.js
 * takes them for it.
 * @returns undefined where it is no address, or has a zone.
 */
export function parseAddress(text: string): Address | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined;
  return ipaddr.process(text.replace(/^::(?=\d+\.)/, '0:0:0:0:0:0:'));
}

/** As URLs have it: small letters, Punycode, no dot at the end. Not what a URL would take for an address. */
function withHost(text: string): AllowEntry | undefined {
  const host = URL.parse(`http://${text}/`)?.hostname.replace(/\.$/, '') ?? '';
  return HOST.test(host) && isIP(host) === 0 && !/[/?#@\\%\s]/.test(text) ? { host } : undefined;
}

function withRange(text: string): AllowEntry | undefined {
  const [address = '', bits, ...more] = text.split('/');
  const first = parseAddress(address);
  if (!first || more.length > 0) return undefined;
  const length = first.kind() === 'ipv4' ? 32 : 128;
  if (bits === undefined) return { range: [first.toString(), length] };
  const skipped = length === 32 && isIP(address) === 6 ? 96 : 0;
  const isNumber = /^\d{1,3}$/.test(bits) && Number(bits) >= skipped && Number(bits) <= length + skipped;
  return isNumber ? { range: [first.toString(), Number(bits) - skipped] } : undefined;
}
