import { closeSync, openSync, readSync } from 'node:fs';
import { type Address, parseAddress } from '../network/addresses.ts';
import { watchFile } from './file-version.ts';

const MAX_BYTES = 1024 * 1024;
type Hosts = ReadonlyMap<string, readonly Address[]>;

/**
 * Names of the system's own file, which c-ares does not read. Read synchronously, not on the threads that file access
 * shares with hashing: it is small, and checked once a second at most. Only its first 1 MiB counts.
 */
export function createHostsFile(path: string): (name: string) => readonly Address[] | undefined {
  const versionOf = watchFile(path);
  let hosts: Hosts = new Map();
  let version = '';

  return (name) => {
    const now = versionOf();
    if (now !== version) {
      hosts = now === '' ? new Map() : parseHosts(readStart(path));
      version = now;
    }
    return hosts.get(name);
  };
}

function readStart(path: string): string {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(MAX_BYTES);
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, MAX_BYTES, 0));
  } finally {
    closeSync(file);
  }
}

function parseHosts(text: string): Hosts {
  const hosts = new Map<string, Address[]>();
  for (const line of text.split('\n')) {
    const [first = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const address = parseAddress(first);
    if (!address) continue;
    for (const name of names.map((one) => one.toLowerCase().replace(/\.$/, ''))) {
      hosts.set(name, [...(hosts.get(name) ?? []), address]);
    }
  }
  return hosts;
}
