import { hash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Gate } from '../../hashing/gate.ts';
import type { Hash } from '../../hashing/hash-queue.ts';
import { type Limiter, per, type Refused, tooMany, type Use } from '../../limits/limiter.ts';
import { parseEmail } from '../../network/email.ts';
import { randomBytes } from '../../sealing/random.ts';
import { readPassword } from '../accounts/password.ts';
import { hashPassword, isOutdated, isPassword } from '../accounts/password-hash.ts';
import type { Account, AccountStore } from '../accounts/store.ts';
import type { OnSessionEvent } from './events.ts';
import { type Proof, type SentProof, verifyProof } from './proofs.ts';
import { isFirst } from './sessions.ts';
import type { NewSession, SessionKind, SessionStore, SightingStore } from './store.ts';
import { createToken, hashSessionId, hashToken } from './tokens.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** How long a network counts as one that an account logs in from. */
const PAIR_MS = 30 * DAY_MS;
const PAIR_LIMIT = per(MINUTE_MS, 10);
const NETWORK_LIMIT = per(MINUTE_MS, 30);
const WIDE_LIMIT = per(MINUTE_MS, 300);
const ACCOUNT_LIMIT = per(HOUR_MS, 100);
const SUCCESS_LIMIT = per(MINUTE_MS, 60);

const ID_BYTES = 16;
const USER_AGENT_MAX = 256;
const NO_PASSWORD = new Uint8Array();

/** Where a request comes from. @param wide of IPv6: the /48 around its network. */
export type Networks = { network: string; wide: string | undefined };

export type Attempt = {
  /** What the client gets: a token, or cookies. */
  kind: SessionKind;
  /** Any text. */
  username: string;
  password: string;
  networks: Networks;
  userAgent: string | undefined;
  /** Of a client that wants a token bound to its key. */
  proof: SentProof | undefined;
  requestId: string;
};

export type LogInParts = {
  accounts: AccountStore;
  sessions: SessionStore;
  sightings: SightingStore;
  limiter: Limiter;
  /** An id of a name that does not reveal the name. */
  idOf(name: string): Uint8Array;
  gate: Gate;
  clock: Clock;
  idleMs: Readonly<Record<SessionKind, number>>;
  maxMs: number;
  /** Sessions that an account may have. */
  most: number;
  /** As for validations: a session that begins at that instant or before would not be good. */
  refusedUntil(): number;
  onEvent: OnSessionEvent;
};

/** @param token of a session of this kind. */
export type Opened = { session: NewSession & Pick<Account, 'email' | 'role'>; token: string };

/**
 * @throws AppError INVALID_CREDENTIALS: the same, after the same work, for an unknown or disabled account and a wrong
 *   password. RATE_LIMITED; BUSY; INVALID_DPOP_PROOF.
 */
export type LogIn = (attempt: Attempt) => Promise<Opened>;

type Right = { account: Account; newHash: string | undefined };

export function createLogIn(parts: LogInParts): LogIn {
  const { accounts, sightings, limiter, gate, clock, onEvent } = parts;

  return async (attempt) => {
    const { username, networks, requestId } = attempt;
    parts.refusedUntil(); // throws while it is unknown
    const proof = await checkProof(attempt, clock());
    const email = parseEmail(username);
    const name = hash('sha256', email ?? username, 'base64url'); // of a bounded length, and limited whatever it is
    const pair = pairOf(parts, name, networks);
    const [account, isKnownPair] = await Promise.all([
      email === undefined ? undefined : accounts.findByEmail(email),
      sightings.has(pair, clock()),
    ]);
    const reserved = await limiter.reserve(isKnownPair ? usesOfPair(name, networks) : usesOfOthers(name, networks));
    if ('retryAfterMs' in reserved) throw limited(reserved, parts, requestId);
    let right: Right | undefined;
    try {
      right = await gate.run(undefined, (hashing) => compare(account, attempt.password, hashing));
    } catch (error) {
      await reserved.giveBack(); // nothing was guessed
      throw error;
    }
    const opened = right && (await openSession(parts, right, attempt, { name, proof, giveBack: reserved.giveBack }));
    if (!opened) {
      onEvent({ type: 'refused', accountId: account?.id }, requestId);
      throw new AppError('INVALID_CREDENTIALS');
    }
    await Promise.all([reserved.giveBack(), sightings.renew(pair, clock() + PAIR_MS)]);
    return opened;
  };
}

/** @throws AppError INVALID_DPOP_PROOF. Whether it was seen before is asked only after the password was right. */
async function checkProof({ proof }: Attempt, now: number): Promise<Proof | undefined> {
  if (!proof) return undefined;
  const verified = await verifyProof(proof, undefined, now);
  if (!verified) throw new AppError('INVALID_DPOP_PROOF');
  return verified;
}

/** @returns undefined if this is not the password of an account that may log in. */
async function compare(account: Account | undefined, text: string, hashing: Hash): Promise<Right | undefined> {
  const password = readPassword(text);
  const isRight = await isPassword(password?.bytes ?? NO_PASSWORD, account?.passwordHash, hashing);
  if (!isRight || !password || !account || account.disabledAt !== undefined) return undefined;
  const newHash = isOutdated(account.passwordHash) ? await hashPassword(password.bytes, hashing) : undefined;
  return { account, newHash };
}

type Known = { name: string; proof: Proof | undefined; giveBack(): Promise<void> };

/** @returns undefined if the account changed since its password was compared. */
async function openSession(
  parts: LogInParts,
  { account, newHash }: Right,
  { kind, userAgent = '', requestId }: Attempt,
  { name, proof, giveBack }: Known,
): Promise<Opened | undefined> {
  const { accounts, sessions, sightings, limiter, clock, idleMs, maxMs, most, onEvent } = parts;
  const reserved = await limiter.reserve([{ name: `log-in success ${name}`, limit: SUCCESS_LIMIT }]);
  if ('retryAfterMs' in reserved) {
    await giveBack();
    throw limited(reserved, parts, requestId);
  }
  if (proof && !(await isFirst(sightings, proof, undefined, clock()))) {
    await giveBack();
    throw new AppError('INVALID_DPOP_PROOF');
  }
  if (newHash !== undefined) await accounts.rehash(account.id, account.passwordHash, newHash);
  const token = createToken();
  const [sessionId, now] = [randomBytes(ID_BYTES).toString('base64url'), clock()];
  const session = {
    id: sessionId,
    accountId: account.id,
    kind,
    credentialHash: kind === 'browser' ? hashSessionId(sessionId) : (hashToken(token) as Buffer),
    accountVersion: account.version,
    createdAt: Math.max(now, parts.refusedUntil() + 1), // the clock may be behind the last refused instant
    expiresAt: now + Math.min(idleMs[kind], maxMs),
    endsAt: now + maxMs,
    userAgent: userAgent.slice(0, USER_AGENT_MAX),
    keyThumbprint: proof?.thumbprint,
  };
  if (!(await sessions.create(session, most))) return undefined;
  onEvent({ type: 'created', accountId: account.id, sessionId }, requestId);
  return { session: { ...session, email: account.email, role: account.role }, token };
}

function limited(refused: Refused, { onEvent }: LogInParts, requestId: string): AppError {
  onEvent({ type: 'limited' }, requestId);
  return tooMany('Too many log-ins in a short time', refused);
}

/** Names an account and a network, and reveals neither. */
function pairOf({ idOf }: LogInParts, name: string, { network }: Networks): Uint8Array {
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
