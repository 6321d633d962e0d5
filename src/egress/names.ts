import { promises as dns } from 'node:dns';
import { AppError } from '../errors.ts';
import { type Address, parseAddress } from '../network/addresses.ts';
import { watchFile } from './file-version.ts';
import { createHostsFile } from './hosts-file.ts';

const TRY_MS = 2_000;
const TRIES = 2;
/** Look-ups under way, each with two questions. */
export const MAX_LOOKUPS = 1_024;
const MAX_NAME_LENGTH = 253;
const LABEL = /^[^.]{1,63}$/;

export type Names = {
  /**
   * @param host a name, or an address, which is returned.
   * @returns every address the name has now; nothing if it does not exist or no name server answers.
   * @throws AppError DESTINATION_BUSY if too many names are being looked up.
   */
  lookUp(host: string): Promise<readonly Address[]>;
  close(): void;
};

/** The configuration of the system's resolver. c-ares reads it once, when a resolver is made. */
const SYSTEM = { path: '/etc/resolv.conf', open: () => new dns.Resolver({ timeout: TRY_MS, tries: TRIES }) };

/**
 * Looks names up with c-ares: `getaddrinfo` runs on the few threads that files need too, and a stranger's slow name
 * server would block them. So search domains do not count, only whole names.
 * @param servers in place of the system's, whose changes are taken up within a second.
 */
export function createNames(servers: readonly string[], hostsPath: string, system = SYSTEM): Names {
  const versionOf = servers.length > 0 ? () => '' : watchFile(system.path);
  let version = versionOf();
  let resolver = system.open();
  if (servers.length > 0) resolver.setServers(servers);
  const findInFile = createHostsFile(hostsPath);
  const underWay = new Map<string, Promise<readonly Address[]>>();

  function freshResolver(): dns.Resolver {
    const now = versionOf();
    if (now !== version) {
      version = now;
      resolver = system.open(); // look-ups under way end with the old one
    }
    return resolver;
  }

  async function ask(name: string): Promise<readonly Address[]> {
    const asked = freshResolver();
    const answers = await Promise.allSettled([asked.resolve4(name), asked.resolve6(name)]);
    underWay.delete(name);
    const texts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    return texts.map(parseAddress).filter((address) => address !== undefined);
  }

  return {
    async lookUp(host) {
      const literal = parseAddress(host);
      if (literal) return [literal];
      // RFC 6761, 6.3: no server or file is asked.
      if (/(?:^|\.)localhost$/.test(host)) return LOOPBACK;
      const found = findInFile(host);
      if (found) return found;
      if (host.length > MAX_NAME_LENGTH || !host.split('.').every((label) => LABEL.test(label))) return [];
      const shared = underWay.get(host);
      if (shared) return shared;
      if (underWay.size >= MAX_LOOKUPS) throw new AppError('DESTINATION_BUSY', { retryAfterSeconds: 5 });
      const asked = ask(host);
      underWay.set(host, asked);
      return asked;
    },
    close: () => resolver.cancel(),
  };
}

const LOOPBACK = ['127.0.0.1', '::1'].map((text) => parseAddress(text) as Address);
