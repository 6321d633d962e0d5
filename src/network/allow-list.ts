import { isIP } from 'node:net';
import { parseRange } from './addresses.ts';

/** An entry of `EGRESS_ALLOW`: a host name as in URLs, or a range of addresses. Without a port it means any port. */
export type AllowEntry = { port?: number } & ({ host: string } | { range: [address: string, bits: number] });

/** Host names, `_` included because names of containers have it. */
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

/** As in URLs: small letters, Punycode, no dot at the end. Nothing that a URL would take for an address. */
function withHost(text: string): AllowEntry | undefined {
  const host = URL.parse(`http://${text}/`)?.hostname.replace(/\.$/, '') ?? '';
  return HOST.test(host) && isIP(host) === 0 && !/[/?#@\\%\s]/.test(text) ? { host } : undefined;
}

function withRange(text: string): AllowEntry | undefined {
  const range = parseRange(text);
  return range && { range: [range[0].toString(), range[1]] };
}
