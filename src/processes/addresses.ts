import { join } from 'node:path';
import type { AuthAddress } from '../business/auth-client.ts';
import type { Config } from '../config/config.ts';
import type { Address } from '../http/listen.ts';
import { internalSocketPath } from './internal-socket.ts';

/** What a worker is given by the primary: its number, from 1, and a name that all workers share. */
export type Place = { number: number; internalFirstName: string };
export type Addresses = { public: Address; internal: Address };

/** The addresses on which a worker listens. */
export function addressesOf(config: Config, { number, internalFirstName }: Place): Addresses {
  const { SOCKET_DIR, HTTP_PORT, HOST, INTERNAL_PORT, INTERNAL_HOST, DATA_DIR } = config;
  return {
    public: SOCKET_DIR ? { socketPath: join(SOCKET_DIR, `worker-${number}.sock`) } : { port: HTTP_PORT, host: HOST },
    internal: INTERNAL_PORT
      ? { port: INTERNAL_PORT, host: INTERNAL_HOST }
      : { socketPath: internalSocketPath(DATA_DIR), firstName: internalFirstName },
  };
}

/** Every address of the machine can be reached at the loopback address. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** Where the service is asked that knows tokens: by default that of this program. */
export function authAddressOf({ AUTH_URL, INTERNAL_PORT, INTERNAL_HOST, DATA_DIR }: Config): AuthAddress {
  if (AUTH_URL) return AUTH_URL;
  if (!INTERNAL_PORT) return { socketPath: internalSocketPath(DATA_DIR) };
  return { protocol: 'http:', hostname: LOOPBACK_OF[INTERNAL_HOST] ?? INTERNAL_HOST, port: INTERNAL_PORT };
}
