import type { IncomingMessage } from 'node:http';
import type { AppParts } from '../../app.ts';
import type { OnAccountEvent } from '../../auth/accounts/events.ts';
import { createSendLink } from '../../auth/accounts/mail-links.ts';
import { createOwnAccount } from '../../auth/accounts/own-account.ts';
import { createPasswordRules } from '../../auth/accounts/password.ts';
import { createPasswordCheck, type PasswordCheck } from '../../auth/accounts/password-check.ts';
import { createPasswordResets } from '../../auth/accounts/password-reset.ts';
import { createRegistrations } from '../../auth/accounts/registration.ts';
import { createBrowserSessions } from '../../auth/sessions/browser.ts';
import type { OnSessionEvent } from '../../auth/sessions/events.ts';
import { createLogIn } from '../../auth/sessions/log-in.ts';
import { createSessions } from '../../auth/sessions/sessions.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import type { Hashing } from '../../hashing/hashing.ts';
import { widerNetworkOf } from '../../http/client-address.ts';
import type { Limiter } from '../../limits/limiter.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';
import type { Storage } from '../../storage/storage.ts';
import { createAccessTokens } from '../../tokens/access/access-tokens.ts';
import { createIssuer } from '../../tokens/access/issuer.ts';
import { createSigningKeys, type SigningKeys } from '../../tokens/access/signing-keys.ts';

/** Sessions of one account, unless it may have one alone. */
const MOST_SESSIONS = 100;

export type AuthParts = {
  config: Config;
  storage: Pick<Storage, 'accounts' | 'links' | 'sessions' | 'sightings' | 'signingKeys'>;
  ring: KeyRing;
  hashing: Pick<Hashing, 'gates'>;
  clock: Clock;
  findNetwork(request: IncomingMessage): string;
  /** An id of a name that does not reveal the name. */
  idOf(name: string): Uint8Array;
  limiter: Limiter;
  refusedUntil(): number;
  /** Undefined where no mail can be sent. */
  mailer: Mailer | undefined;
  onEvent: OnSessionEvent;
  onAccountEvent: OnAccountEvent;
  onMailError(error: unknown): void;
};

/** Log-ins and sessions, put together. */
export function createAuth(parts: AuthParts): NonNullable<AppParts['auth']> & { keys: SigningKeys } {
  const { config, storage, ring, hashing, clock, findNetwork, idOf, limiter, refusedUntil, onEvent } = parts;
  const idleMs = { token: config.SESSION_IDLE_SECONDS * 1000, browser: config.BROWSER_IDLE_SECONDS * 1000 };
  const keys = createSigningKeys({ store: storage.signingKeys, ring, clock });
  const accessTokens = createAccessTokens({
    keys,
    issuer: createIssuer(config.PUBLIC_URL, storage.signingKeys),
    clock,
  });
  const common = { ring, accessTokens, clock, refusedUntil, onEvent };
  const { accounts, sightings } = storage;
  const checkPassword = createPasswordCheck({ sightings, limiter, idOf, gate: hashing.gates.passwords, clock });
  return {
    ...createAccountParts(parts, checkPassword),
    ...{ limiter, refusedUntil },
    networksOf(request) {
      const network = findNetwork(request);
      return { network, wide: widerNetworkOf(network) };
    },
    keys,
    sessions: createSessions({ ...common, store: storage.sessions, sightings, idleMs }),
    browser: createBrowserSessions({ ...common, store: storage.sessions, idleMs: idleMs.browser }),
    logIn: createLogIn({
      ...{ accounts, sessions: storage.sessions, sightings, limiter, clock, idleMs, refusedUntil, onEvent },
      checkPassword,
      maxMs: config.SESSION_MAX_SECONDS * 1000,
      most: config.SINGLE_SESSION === 'true' ? 1 : MOST_SESSIONS,
    }),
  };
}

const NO_MAILER: Mailer = { hold: async () => ({ release() {}, drop: async () => {} }) };

/** Registration, forgotten passwords, and the own account. */
function createAccountParts(parts: AuthParts, checkPassword: PasswordCheck) {
  const { config, storage, hashing, clock, limiter, refusedUntil, onMailError: onError } = parts;
  const { accounts, links } = storage;
  const mailer = parts.mailer ?? NO_MAILER;
  const sendLink = parts.mailer && createSendLink({ links, mailer, limiter, clock, refusedUntil, onError });
  const common = {
    ...{ accounts, links, limiter, mailer, clock, refusedUntil },
    rules: createPasswordRules(),
    gate: hashing.gates.passwords,
    policy: config.REGISTRATION,
    onEvent: parts.onAccountEvent,
  };
  const sending = { ...common, sendLink: sendLink ?? (async () => {}) };
  return {
    canRegister: config.REGISTRATION !== 'off',
    registrations: createRegistrations(sending),
    resets: createPasswordResets(sending),
    ownAccount: createOwnAccount({ ...common, checkPassword, sendLink, onSessionEvent: parts.onEvent }),
  };
}
