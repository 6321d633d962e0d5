import type { IncomingMessage } from 'node:http';
import type { AppParts } from '../../app.ts';
import type { OnSessionEvent } from '../../auth/sessions/events.ts';
import { createLogIn } from '../../auth/sessions/log-in.ts';
import { createSessions } from '../../auth/sessions/sessions.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import type { Hashing } from '../../hashing/hashing.ts';
import { widerNetworkOf } from '../../http/client-address.ts';
import type { Limiter } from '../../limits/limiter.ts';
import type { Storage } from '../../storage/storage.ts';

/** Sessions of one account, unless it may have one alone. */
const MOST_SESSIONS = 100;

export type AuthParts = {
  config: Config;
  storage: Pick<Storage, 'accounts' | 'sessions' | 'sightings'>;
  hashing: Pick<Hashing, 'gates'>;
  clock: Clock;
  findNetwork(request: IncomingMessage): string;
  /** An id of a name that does not reveal the name. */
  idOf(name: string): Uint8Array;
  limiter: Limiter;
  refusedUntil(): number;
  onEvent: OnSessionEvent;
};

/** Log-ins and sessions, put together. */
export function createAuth(parts: AuthParts): NonNullable<AppParts['auth']> {
  const { config, storage, hashing, clock, findNetwork, idOf, limiter, refusedUntil, onEvent } = parts;
  const idleMs = config.SESSION_IDLE_SECONDS * 1000;
  const { accounts, sightings } = storage;
  return {
    limiter,
    networksOf(request) {
      const network = findNetwork(request);
      return { network, wide: widerNetworkOf(network) };
    },
    sessions: createSessions({ store: storage.sessions, sightings, clock, idleMs, refusedUntil, onEvent }),
    logIn: createLogIn({
      ...{ accounts, sessions: storage.sessions, sightings, limiter, idOf, clock, idleMs, refusedUntil, onEvent },
      gate: hashing.gates.passwords,
      maxMs: config.SESSION_MAX_SECONDS * 1000,
      most: config.SINGLE_SESSION === 'true' ? 1 : MOST_SESSIONS,
    }),
  };
}
