import { join } from 'node:path';
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
