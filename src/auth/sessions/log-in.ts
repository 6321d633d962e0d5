import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import { type Limiter, per, type Refused } from '../../limits/limiter.ts';
import { parseEmail } from '../../network/email.ts';
import { randomBytes } from '../../sealing/random.ts';
import { type Networks, nameOf, type PasswordCheck, type Right, tooManyAttempts } from '../accounts/password-check.ts';
import type { Account, AccountStore } from '../accounts/store.ts';
import type { OnSessionEvent } from './events.ts';
import { type Proof, type SentProof, verifyProof } from './proofs.ts';
import { isFirst } from './sessions.ts';
import type { NewSession, SessionKind, SessionStore, SightingStore } from './store.ts';
import { createToken, hashSessionId, hashToken } from './tokens.ts';

const MINUTE_MS = 60_000;
const SUCCESS_LIMIT = per(MINUTE_MS, 60);

const ID_BYTES = 16;
const USER_AGENT_MAX = 256;

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
  checkPassword: PasswordCheck;
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

export function createLogIn(parts: LogInParts): LogIn {
  const { accounts, clock, checkPassword, onEvent } = parts;

  return async (attempt) => {
    const { username, password, networks, requestId } = attempt;
    parts.refusedUntil(); // throws while it is unknown
    const proof = await checkProof(attempt, clock());
    const email = parseEmail(username);
    const name = nameOf(email ?? username);
    const find = async (): Promise<Account | undefined> =>
      email === undefined ? undefined : accounts.findByEmail(email);
    const checked = await checkPassword({ name, find, password, networks }, (refused) =>
      limited(refused, parts, requestId),
    );
    const { account, right, giveBack } = checked;
    const opened =
      right &&
      (await openSession(parts, right, attempt, { name, proof }).catch(async (error) => {
        await giveBack(); // the password was right
        throw error;
      }));
    if (!opened) {
      onEvent({ type: 'refused', accountId: account?.id }, requestId);
      throw new AppError('INVALID_CREDENTIALS');
    }
    await checked.succeed();
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

type Known = { name: string; proof: Proof | undefined };

/** @returns undefined if the account changed since its password was compared. */
async function openSession(
  parts: LogInParts,
  { account, newHash }: Right,
  { kind, userAgent = '', requestId }: Attempt,
  { name, proof }: Known,
): Promise<Opened | undefined> {
  const { accounts, sessions, sightings, limiter, clock, idleMs, maxMs, most, onEvent } = parts;
  const reserved = await limiter.reserve([{ name: `log-in success ${name}`, limit: SUCCESS_LIMIT }]);
  if ('retryAfterMs' in reserved) throw limited(reserved, parts, requestId);
  if (proof && !(await isFirst(sightings, proof, undefined, clock()))) throw new AppError('INVALID_DPOP_PROOF');
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
  return tooManyAttempts(refused);
}
