import type { IncomingMessage } from 'node:http';
import type { AppParts } from '../../app.ts';
import { createBrowserSessions } from '../../auth/sessions/browser.ts';
import type { OnSessionEvent } from '../../auth/sessions/events.ts';
import { createLogIn } from '../../auth/sessions/log-in.ts';
import { createSessions } from '../../auth/sessions/sessions.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import type { Hashing } from '../../hashing/hashing.ts';
import { widerNetworkOf } from '../../http/client-address.ts';
import type { Limiter } from '../../limits/limiter.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';
import type { Storage } from '../../storage/storage.ts';
import { createAccessTokens } from '../../tokens/access/access-tokens.ts';
import { createIssuer } from '../../tokens/access/issuer.ts';
import { createSigningKeys, type SigningKeys } from '../../tokens/access/signing-keys.ts';

/** Sessions of one account, unless it may have one alone. */
const MOST_SESSIONS = 100;

export type AuthParts = {
  config: Config;
  storage: Pick<Storage, 'accounts' | 'sessions' | 'sightings' | 'signingKeys'>;
  ring: KeyRing;
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
export function createAuth(parts: AuthParts): NonNullable<AppParts['auth']> & { keys: SigningKeys } {
  const { config, storage, ring, hashing, clock, findNetwork, idOf, limiter, refusedUntil, onEvent } = parts;
  const idleMs = { token: config.SESSION_IDLE_SECONDS * 1000, browser: config.BROWSER_IDLE_SECONDS * 1000 };
  const keys = createSigningKeys({ store: storage.signingKeys, ring, clock });
  const accessTokens = createAccessTokens({ keys, issuer: createIssuer(config.PUBLIC_URL, ring), clock });
  const common = { ring, accessTokens, clock, refusedUntil, onEvent };
  const { accounts, sightings } = storage;
  return {
    limiter,
    networksOf(request) {
      const network = findNetwork(request);
      return { network, wide: widerNetworkOf(network) };
    },
    keys,
    sessions: createSessions({ ...common, store: storage.sessions, sightings, idleMs }),
    browser: createBrowserSessions({ ...common, store: storage.sessions, idleMs: idleMs.browser }),
    logIn: createLogIn({
      ...{ accounts, sessions: storage.sessions, sightings, limiter, idOf, clock, idleMs, refusedUntil, onEvent },
      gate: hashing.gates.passwords,
      maxMs: config.SESSION_MAX_SECONDS * 1000,
      most: config.SINGLE_SESSION === 'true' ? 1 : MOST_SESSIONS,
    }),
  };
}
