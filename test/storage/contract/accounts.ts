import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { LinkStore, NewLink } from '../../../src/auth/accounts/links-store.ts';
import type { Account, AccountStore, NewAccount } from '../../../src/auth/accounts/store.ts';
import type { NewSession, Session, SessionStore, SightingStore } from '../../../src/auth/sessions/store.ts';
import type { StoreLimits } from '../../../src/limits/limits.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import type { Engine } from '../../support/storage/storage.ts';
import { mailVerbsOn, newMail } from '../mail-store-contract.ts';
import { CREATED_AT, HOUR, MINUTE, type RawRecords } from './world.ts';

/** An empty storage, open, and ways to look at it from outside. */
export type AuthWorld = {
  accounts: AccountStore;
  links: LinkStore;
  sessions: SessionStore;
  sightings: SightingStore;
  storage: Storage;
  url: string;
  /** Rounds of a race. */
  rounds: number;
  open(limits?: Partial<StoreLimits>): Promise<Storage>;
  close(): Promise<void>;
};
export type AuthTest = (
  title: string,
  run: (t: ExecutionContext, world: AuthWorld) => Promise<void>,
  limits?: Partial<StoreLimits>,
) => void;
export type AuthContract = (engine: Engine, rawRecords: RawRecords) => void;

export const NOW = CREATED_AT;
export const EXPIRES_AT = NOW + 30 * MINUTE;
export const ENDS_AT = NOW + 12 * HOUR;

/** `RACE_ROUNDS_MONGODB=1000` for a longer run. */
const ROUNDS = { sqlite: 1000, mongodb: Number(process.env.RACE_ROUNDS_MONGODB ?? 30) };
/** How many rounds run at once. */
const LANES = { sqlite: 20, mongodb: 5 };

/** @param isAlone one after the other, and not beside tests that measure time. */
export function authTest(engine: Engine, subject: string, isAlone = false): AuthTest {
  const test = isAlone ? engine.test.serial : engine.test;
  return (title, run, limits) =>
    test(`${engine.name}: ${subject}: ${title}`, async (t) => {
      const { url, open } = await engine.place(t);
      const storage = await open(limits);
      const { accounts, links, sessions, sightings, close } = storage;
      await run(t, { accounts, links, sessions, sightings, storage, url, rounds: ROUNDS[engine.name], open, close });
    });
}

/** Runs all rounds, some at once. */
export async function inRounds(rounds: number, race: (round: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < rounds) await race(next++);
  };
  await Promise.all(Array.from({ length: rounds > 500 ? LANES.sqlite : LANES.mongodb }, lane));
}

/** Begins them together, in another order each round. @returns their results in the order given. */
export async function raceOf<Results extends readonly unknown[]>(
  round: number,
  ...runs: { [Index in keyof Results]: () => Promise<Results[Index]> }
): Promise<Results> {
  const results: Promise<unknown>[] = [];
  for (let index = 0; index < runs.length; index++) {
    const turn = (index + (round >> 1)) % runs.length;
    results[turn] = (runs[turn] as () => Promise<unknown>)();
    if (round % 2) await sleep(Math.random() * 8); // about as long as MongoDB takes for its steps
  }
  return (await Promise.all(results)) as unknown as Results;
}

export function newAccount(wish: Partial<NewAccount> = {}): NewAccount {
  const id = randomBytes(16).toString('base64url');
  return {
    id,
    email: `${id.toLowerCase()}@example.com`,
    passwordHash: hashLike(),
    role: 'member',
    profile: '{"first_name":"Роман \\u0000 🔑"}',
    createdAt: NOW,
    ...wish,
  };
}

export function hashLike(): string {
  return `$argon2id$v=19$m=19456,t=2,p=1$${randomBytes(16).toString('base64')}$${randomBytes(32).toString('base64')}`;
}

export async function createAccount(accounts: AccountStore, wish?: Partial<NewAccount>): Promise<NewAccount> {
  const account = newAccount(wish);
  const outcome = await accounts.create(account);
  if (outcome !== 'created') throw new Error(outcome);
  return account;
}

/** As it is found. */
export function asFound(account: NewAccount, changes: Partial<Account> = {}): Account {
  return { ...account, version: 1, disabledAt: undefined, ...changes };
}

export function newSession({ id }: Pick<NewAccount, 'id'>, wish: Partial<NewSession> = {}): NewSession {
  return {
    id: randomBytes(16).toString('base64url'),
    accountId: id,
    kind: 'token',
    credentialHash: randomBytes(32),
    accountVersion: 1,
    createdAt: NOW,
    expiresAt: EXPIRES_AT,
    endsAt: ENDS_AT,
    userAgent: 'curl/8.5.0',
    keyThumbprint: undefined,
    ...wish,
  };
}

export const MOST = 100;

const DAY = 24 * HOUR;

type Registering = Extract<NewLink, { kind: 'activate' }>;
type Resetting = Extract<NewLink, { kind: 'reset' }>;
type Moving = Extract<NewLink, { kind: 'change' }>;

export function newRegistration(wish: Partial<Registering> = {}): Registering {
  const { email, passwordHash, profile } = newAccount();
  return { kind: 'activate', email, passwordHash, profile, ...newToken(), ...wish };
}

/** @param version of the account. */
export function newReset({ id }: Pick<NewAccount, 'id'>, version = 1, wish: Partial<Resetting> = {}): Resetting {
  return { kind: 'reset', account: { id, version }, ...newToken(), ...wish };
}

export function newMove(
  { id }: Pick<NewAccount, 'id'>,
  email: string,
  version = 1,
  wish: Partial<Moving> = {},
): Moving {
  return { kind: 'change', account: { id, version }, email, ...newToken(), ...wish };
}

function newToken(): Pick<NewLink, 'tokenHash' | 'createdAt' | 'expiresAt'> {
  return { tokenHash: randomBytes(32), createdAt: NOW, expiresAt: NOW + DAY };
}

export async function createSession(
  sessions: SessionStore,
  account: Pick<NewAccount, 'id'>,
  wish?: Partial<NewSession>,
): Promise<NewSession> {
  const session = newSession(account, wish);
  if (!(await sessions.create(session, MOST))) throw new Error('not created');
  return session;
}

/** As it is found, without what engines may choose: the class of its bytes. */
export function asLiving(
  { credentialHash: _, accountVersion: __, ...session }: NewSession,
  { email, role }: Pick<NewAccount, 'email' | 'role'>,
  changes: Partial<Session> = {},
): Session {
  const { createdAt } = session;
  const start = { usedAt: createdAt, refreshes: 0, generation: 0, rotatedAt: createdAt, cookie: undefined };
  return { ...session, email, role, ...start, ...changes };
}

export function plainly(session: Session | undefined): Session | undefined {
  if (!session?.cookie) return session;
  return { ...session, cookie: { ...session.cookie, hash: Buffer.from(session.cookie.hash) } };
}

/** Every verb, on an account and a session that are there. */
export async function authVerbsOn(
  storage: Pick<Storage, 'accounts' | 'links' | 'sessions' | 'sightings' | 'mails'>,
): Promise<Record<string, () => Promise<unknown>>> {
  const { accounts, links, sessions, sightings, mails } = storage;
  const mail = newMail();
  await mails.add(mail);
  const account = await createAccount(accounts);
  const session = await createSession(sessions, account);
  return {
    ...named('accounts', {
      create: () => accounts.create(newAccount()),
      find: () => accounts.find(account.id),
      findByEmail: () => accounts.findByEmail(account.email),
      list: () => accounts.list(undefined, 100),
      rehash: () => accounts.rehash(account.id, account.passwordHash, hashLike()),
      setPassword: () => accounts.setPassword(account.id, hashLike()),
      changePassword: () => accounts.changePassword({ id: account.id, version: 1 }, session.id, hashLike()),
      setProfile: () => accounts.setProfile(account.id, account.profile, '{}'),
      setDisabled: () => accounts.setDisabled(account.id, NOW),
      delete: () => accounts.delete(account.id),
    } satisfies Record<keyof AccountStore, unknown>),
    ...named('sessions', {
      create: () => sessions.create(newSession(account), MOST),
      find: () => sessions.find(session.credentialHash, NOW),
      rotate: () => sessions.rotate(session, 0, NOW, EXPIRES_AT),
      extend: () => sessions.extend(session, NOW, EXPIRES_AT),
      offerCookie: () => sessions.offerCookie(session, randomBytes(32), NOW),
      armCookie: () => sessions.armCookie(session, randomBytes(32)),
      list: () => sessions.list(account.id, NOW),
      end: () => sessions.end(session),
      endAll: () => sessions.endAll(account.id, undefined),
      sweepSessions: () => sessions.sweepSessions(NOW, 100),
    } satisfies Record<keyof SessionStore, unknown>),
    ...named('links', {
      addLink: () => links.addLink(newRegistration(), MOST),
      findLink: () => links.findLink(randomBytes(32), NOW),
      soleRegistration: () => links.soleRegistration(account.email, NOW),
      activate: () => links.activate(randomBytes(32), newAccount().id, NOW),
      resetPassword: () => links.resetPassword(randomBytes(32), hashLike(), NOW),
      changeEmail: () => links.changeEmail(randomBytes(32), NOW),
      sweepLinks: () => links.sweepLinks(NOW, 100),
    } satisfies Record<keyof LinkStore, unknown>),
    ...named('sightings', {
      see: () => sightings.see(randomBytes(32), randomBytes(16), NOW, EXPIRES_AT),
      renew: () => sightings.renew(randomBytes(32), EXPIRES_AT),
      has: () => sightings.has(randomBytes(32), NOW),
      sweepSightings: () => sightings.sweepSightings(NOW, 100),
    } satisfies Record<keyof SightingStore, unknown>),
    ...named('mails', mailVerbsOn(mails, mail)),
  };
}

function named(store: string, verbs: Record<string, () => Promise<unknown>>): Record<string, () => Promise<unknown>> {
  return Object.fromEntries(Object.entries(verbs).map(([verb, run]) => [`${store}.${verb}`, run]));
}
