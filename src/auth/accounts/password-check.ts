import { hash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { AppError } from '../../errors.ts';
import type { Gate } from '../../hashing/gate.ts';
import type { Hash } from '../../hashing/hash-queue.ts';
import { type Limiter, per, type Refused, tooMany, type Use } from '../../limits/limiter.ts';
import type { SightingStore } from '../sessions/store.ts';
import { readPassword } from './password.ts';
import { hashPassword, isOutdated, isPassword } from './password-hash.ts';
import type { Account } from './store.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** How long a network counts as one that an account logs in from. */
const PAIR_MS = 30 * DAY_MS;
const PAIR_LIMIT = per(MINUTE_MS, 10);
const NETWORK_LIMIT = per(MINUTE_MS, 30);
const WIDE_LIMIT = per(MINUTE_MS, 300);
const ACCOUNT_LIMIT = per(HOUR_MS, 100);

const NO_PASSWORD = new Uint8Array();

/** Where a request comes from. @param wide of IPv6: the /48 around its network. */
export type Networks = { network: string; wide: string | undefined };

export type PasswordAttempt = {
  /** Of whom, whether there is such an account or not. */
  name: string;
  find(): Promise<Account | undefined>;
  password: string;
  networks: Networks;
};

export type PasswordCheckParts = {
  sightings: SightingStore;
  limiter: Limiter;
  /** An id of a name that does not reveal the name. */
  idOf(name: string): Uint8Array;
  gate: Gate;
  clock: Clock;
};

/** @param newHash where the stored one was made at a lower cost than today's. */
export type Right = { account: Account; newHash: string | undefined };

export type Checked = {
  /** The account that was found, whether the password was its or not. */
  account: Account | undefined;
  /** Undefined if this is not the password of an account that is enabled. */
  right: Right | undefined;
  /** This attempt was none that the limits are about. */
  giveBack(): Promise<void>;
  /** The attempt was no guess; from now on its network is one that the account is used from. */
  succeed(): Promise<void>;
};

/**
 * Whether a password is the right one, under the limits of failed attempts, which are reserved before the work. It is the
 * same work whether there is such an account or not.
 * @throws AppError RATE_LIMITED as `onLimited` makes it; BUSY.
 */
export type PasswordCheck = (attempt: PasswordAttempt, onLimited: (refused: Refused) => AppError) => Promise<Checked>;

export function createPasswordCheck(parts: PasswordCheckParts): PasswordCheck {
  const { sightings, limiter, gate, clock } = parts;

  return async ({ name, find, password, networks }, onLimited) => {
    const pair = pairOf(parts, name, networks);
    const [account, isKnownPair] = await Promise.all([find(), sightings.has(pair, clock())]);
    const reserved = await limiter.reserve(isKnownPair ? usesOfPair(name, networks) : usesOfOthers(name, networks));
    if ('retryAfterMs' in reserved) throw onLimited(reserved);
    const { giveBack } = reserved;
    try {
      const right = await gate.run(undefined, (hashing) => compare(account, password, hashing));
      const succeed = async (): Promise<void> => {
        await Promise.all([giveBack(), sightings.renew(pair, clock() + PAIR_MS)]);
      };
      return { account, right, giveBack, succeed };
    } catch (error) {
      await giveBack(); // nothing was guessed
      throw error;
    }
  };
}

/** What limits and sightings know an address by: of a bounded length, whatever text it is. */
export function nameOf(email: string): string {
  return hash('sha256', email, 'base64url');
}

export function tooManyAttempts(refused: Refused): AppError {
  return tooMany('Too many log-ins in a short time', refused);
}

/** @returns undefined if this is not the password of an account that may log in. */
async function compare(account: Account | undefined, text: string, hashing: Hash): Promise<Right | undefined> {
  const password = readPassword(text);
  const isRight = await isPassword(password?.bytes ?? NO_PASSWORD, account?.passwordHash, hashing);
  if (!isRight || !password || !account || account.disabledAt !== undefined) return undefined;
  const newHash = isOutdated(account.passwordHash) ? await hashPassword(password.bytes, hashing) : undefined;
  return { account, newHash };
}

/** Names an account and a network, and reveals neither. */
function pairOf({ idOf }: PasswordCheckParts, name: string, { network }: Networks): Uint8Array {
  return hash('sha256', Buffer.from(idOf(`log-in pair ${name} ${network}`)), 'buffer');
}

/** An account from a network that it logged in from: nobody elsewhere can use this up. */
function usesOfPair(name: string, { network }: Networks): Use[] {
  return [{ name: `log-in of pair ${name} ${network}`, limit: PAIR_LIMIT }];
}

function usesOfOthers(name: string, { network, wide }: Networks): Use[] {
  return [
    { name: `log-in from ${network}`, limit: NETWORK_LIMIT },
    ...(wide === undefined ? [] : [{ name: `log-in from ${wide}`, limit: WIDE_LIMIT }]),
    { name: `log-in of ${name}`, limit: ACCOUNT_LIMIT },
  ];
}
