import { randomBytes } from 'node:crypto';
import { BIND_MS, type NewSession, type SessionStore } from '../../src/auth/sessions/store.ts';
import type { Engine } from '../support/storage/storage.ts';
import {
  type AuthTest,
  asLiving,
  authTest,
  createAccount,
  createSession,
  ENDS_AT,
  EXPIRES_AT,
  hashLike,
  inRounds,
  MOST,
  NOW,
  newAccount,
  newSession,
  plainly,
  raceOf,
} from './contract/accounts.ts';
import { openInProcess } from './contract/store-process.ts';
import { countOf, MINUTE, times } from './contract/world.ts';

const PROCESSES = 3;

/** Every engine passes this suite: what `SessionStore` promises. */
export function sessionStoreContract(engine: Engine): void {
  contentContract(authTest(engine, 'sessions'));
  lifeContract(authTest(engine, 'sessions'));
  cookieContract(authTest(engine, 'sessions'));
  endContract(authTest(engine, 'sessions'));
  raceContract(authTest(engine, 'races of sessions', true));
  processContract(authTest(engine, 'sessions'));
}

async function isOver(sessions: SessionStore, session: NewSession, now = NOW): Promise<boolean> {
  const found = await sessions.find(session.credentialHash, now);
  const list = await sessions.list(session.accountId, now);
  const changes = [
    await sessions.extend(session, now, EXPIRES_AT),
    await sessions.rotate(session, 0, now, EXPIRES_AT),
    await sessions.offerCookie(session, randomBytes(32), now),
  ];
  return !found && !list.some(({ id }) => id === session.id) && !changes.includes(true);
}

function contentContract(test: AuthTest): void {
  test('a session comes back as it was given, also when it is opened again', async (t, world) => {
    const account = await createAccount(world.accounts, { role: 'admin' });
    const all = [
      newSession(account),
      newSession(account, { userAgent: '', createdAt: NOW - 1, expiresAt: NOW + 1, endsAt: NOW + 1 }),
      newSession(account, { userAgent: 'Mözilla "🔑" \\', keyThumbprint: randomBytes(32).toString('base64url') }),
    ];
    for (const session of all) t.true(await world.sessions.create(session, MOST));
    const areThere = async (sessions: SessionStore): Promise<void> => {
      for (const session of all)
        t.deepEqual(await sessions.find(session.credentialHash, NOW), asLiving(session, account));
      const expected = all.map((session) => asLiving(session, account)).reverse();
      t.deepEqual(await sessions.list(account.id, NOW), expected, 'the newest first');
    };
    await areThere(world.sessions);
    await world.close();
    await areThere((await world.open()).sessions);
  });

  test('an unknown token, and a part of a known one, finds nothing', async (t, { accounts, sessions }) => {
    const { credentialHash } = await createSession(sessions, await createAccount(accounts));
    for (const unknown of [
      randomBytes(32),
      credentialHash.subarray(1),
      Buffer.alloc(0),
      Buffer.concat([credentialHash, credentialHash]),
    ]) {
      t.is(await sessions.find(unknown, NOW), undefined);
    }
    t.deepEqual(await sessions.list(newAccount().id, NOW), []);
  });

  test('only for an account that is there, enabled, and as it was verified', async (t, { accounts, sessions }) => {
    const account = await createAccount(accounts);
    t.false(await sessions.create(newSession(newAccount()), MOST));
    for (const accountVersion of [0, 2]) {
      const session = newSession(account, { accountVersion });
      t.false(await sessions.create(session, MOST));
      t.true(await isOver(sessions, session));
    }
    await accounts.setDisabled(account.id, NOW);
    t.false(await sessions.create(newSession(account, { accountVersion: 2 }), MOST));
    t.deepEqual(await sessions.list(account.id, NOW), []);
  });
}

function lifeContract(test: AuthTest): void {
  test('it lives to the last millisecond, and nothing revives it', async (t, { accounts, sessions }) => {
    const account = await createAccount(accounts);
    const session = await createSession(sessions, account);
    t.truthy(await sessions.find(session.credentialHash, EXPIRES_AT - 1));
    t.is((await sessions.list(account.id, EXPIRES_AT - 1)).length, 1);
    t.true(await isOver(sessions, session, EXPIRES_AT));
    t.false(await sessions.extend(session, EXPIRES_AT, EXPIRES_AT + MINUTE));
    t.false(await sessions.extend(session, EXPIRES_AT + 1, EXPIRES_AT + MINUTE));
    t.deepEqual(await sessions.find(session.credentialHash, EXPIRES_AT - 1), asLiving(session, account));
    t.true(await sessions.extend(session, EXPIRES_AT - 1, EXPIRES_AT + MINUTE));
    t.truthy(await sessions.find(session.credentialHash, EXPIRES_AT + MINUTE - 1));
    t.true(await isOver(sessions, session, EXPIRES_AT + MINUTE));
  });

  test('an extension counts and is noted, and reaches the end of its time at most', async (t, world) => {
    const { accounts, sessions } = world;
    const account = await createAccount(accounts);
    const session = await createSession(sessions, account);
    const times = [
      [NOW + 1, EXPIRES_AT + 1, EXPIRES_AT + 1],
      [NOW + 2, ENDS_AT - 1, ENDS_AT - 1],
      [NOW + 3, ENDS_AT + 1, ENDS_AT],
      [NOW + 4, EXPIRES_AT, EXPIRES_AT],
    ] as const;
    for (const [index, [usedAt, wished, expiresAt]] of times.entries()) {
      t.true(await sessions.extend(session, usedAt, wished));
      const expected = asLiving(session, account, { usedAt, expiresAt, refreshes: index + 1 });
      t.deepEqual(await sessions.find(session.credentialHash, NOW), expected);
    }
    const other = await createAccount(accounts);
    t.false(await sessions.extend({ id: session.id, accountId: other.id }, NOW, EXPIRES_AT));
    t.false(await sessions.extend({ id: newAccount().id, accountId: account.id }, NOW, EXPIRES_AT));
  });

  test('a generation of refresh tokens is followed by one other, once, while the session lives', async (t, world) => {
    const { accounts, sessions } = world;
    const account = await createAccount(accounts);
    const session = await createSession(sessions, account, { kind: 'browser' });
    t.true(await sessions.rotate(session, 0, NOW + 1, EXPIRES_AT + 1));
    const first = { generation: 1, rotatedAt: NOW + 1, usedAt: NOW + 1, expiresAt: EXPIRES_AT + 1, refreshes: 1 };
    t.deepEqual(await sessions.find(session.credentialHash, NOW), asLiving(session, account, first));
    for (const from of [0, 2, -1]) t.false(await sessions.rotate(session, from, NOW + 2, EXPIRES_AT));
    t.deepEqual(await sessions.find(session.credentialHash, NOW), asLiving(session, account, first));
    t.true(await sessions.extend(session, NOW + 3, EXPIRES_AT));
    const extended = { ...first, usedAt: NOW + 3, expiresAt: EXPIRES_AT, refreshes: 2 };
    t.deepEqual(await sessions.find(session.credentialHash, NOW), asLiving(session, account, extended));
    t.false(await sessions.rotate(session, 1, EXPIRES_AT, EXPIRES_AT + MINUTE));
    t.true(await sessions.rotate(session, 1, EXPIRES_AT - 1, ENDS_AT + 1));
    t.like(await sessions.find(session.credentialHash, NOW), { generation: 2, expiresAt: ENDS_AT });
    const won = await times(20, () => sessions.rotate(session, 2, NOW, EXPIRES_AT));
    t.is(countOf(won, true), 1);
    const other = await createAccount(accounts);
    t.false(await sessions.rotate({ id: session.id, accountId: other.id }, 3, NOW, EXPIRES_AT));
    await sessions.end(session);
    t.true(await isOver(sessions, session));
  });

  test('of an account the newest stay; those that have expired take no place', async (t, { accounts, sessions }) => {
    const account = await createAccount(accounts);
    const add = async (most: number, wish: Partial<NewSession> = {}): Promise<NewSession> => {
      const session = newSession(account, wish);
      t.true(await sessions.create(session, most));
      return session;
    };
    const living = async (now: number): Promise<string[]> => (await sessions.list(account.id, now)).map(({ id }) => id);
    const [first, second] = [await add(3), await add(3)];
    const short = await add(3, { expiresAt: NOW + 1 });
    t.deepEqual(await living(NOW), [short.id, second.id, first.id]);
    const fourth = await add(3, { createdAt: NOW + 1 });
    t.deepEqual(await living(NOW + 1), [fourth.id, second.id, first.id]);
    const fifth = await add(3, { createdAt: NOW - MINUTE }); // by a clock that is behind
    t.deepEqual(await living(NOW + 1), [fifth.id, fourth.id, second.id]);
    t.true(await isOver(sessions, first));
    t.false(await sessions.end(first));
    const sixth = await add(1);
    t.deepEqual(await living(NOW), [sixth.id]);
    for (const ended of [short, second, fourth, fifth]) t.true(await isOver(sessions, ended));
  });
}

function cookieContract(test: AuthTest): void {
  test('a cookie is offered again and again until it is armed', async (t, { accounts, sessions }) => {
    const account = await createAccount(accounts);
    const session = await createSession(sessions, account);
    const [one, other] = [randomBytes(32), randomBytes(32)];
    const cookieOf = async () => plainly(await sessions.find(session.credentialHash, NOW))?.cookie;
    t.false(await sessions.armCookie(session, one));
    t.true(await sessions.offerCookie(session, one, NOW));
    t.deepEqual(await cookieOf(), { hash: one, offeredAt: NOW, isArmed: false });
    t.true(await sessions.offerCookie(session, other, NOW + 5));
    t.deepEqual(await cookieOf(), { hash: other, offeredAt: NOW, isArmed: false });
    t.false(await sessions.armCookie(session, one));
    t.false(await sessions.armCookie({ id: session.id, accountId: newAccount().id }, other));
    t.deepEqual(await cookieOf(), { hash: other, offeredAt: NOW, isArmed: false });
    for (let n = 0; n < 2; n++) t.true(await sessions.armCookie(session, other));
    t.false(await sessions.armCookie(session, one));
    t.false(await sessions.offerCookie(session, one, NOW + 6));
    t.deepEqual(await cookieOf(), { hash: other, offeredAt: NOW, isArmed: true });
  });

  test('exactly ten seconds after the first one, or before it, no other is offered', async (t, {
    accounts,
    sessions,
  }) => {
    const account = await createAccount(accounts);
    const session = await createSession(sessions, account);
    const [one, last] = [randomBytes(32), randomBytes(32)];
    t.true(await sessions.offerCookie(session, one, NOW));
    t.true(await sessions.offerCookie(session, one, NOW - BIND_MS + 1));
    t.true(await sessions.offerCookie(session, last, NOW + BIND_MS - 1));
    for (const late of [NOW + BIND_MS, NOW - BIND_MS]) t.false(await sessions.offerCookie(session, one, late));
    t.false(await sessions.armCookie(session, one));
    t.true(await sessions.armCookie(session, last));
    t.true(await sessions.extend(session, NOW, EXPIRES_AT));
    const cookie = { hash: last, offeredAt: NOW, isArmed: true };
    t.deepEqual(plainly((await sessions.list(account.id, NOW))[0])?.cookie, cookie);
  });
}

function endContract(test: AuthTest): void {
  test('an end is for ever, everywhere, and of that session alone', async (t, { accounts, sessions, open }) => {
    const other = (await open()).sessions;
    const account = await createAccount(accounts);
    const [ended, kept] = [await createSession(sessions, account), await createSession(sessions, account)];
    t.false(await sessions.end({ id: ended.id, accountId: newAccount().id }));
    t.truthy(await other.find(ended.credentialHash, NOW));
    t.true(await sessions.end(ended));
    for (const store of [other, sessions]) {
      t.true(await isOver(store, ended));
      t.false(await store.armCookie(ended, randomBytes(32)));
      t.truthy(await store.find(kept.credentialHash, NOW));
    }
    t.false(await other.end(ended));
    const expired = await createSession(sessions, account);
    t.true(await sessions.end(expired), 'expired or not: no instant is asked for');
  });

  test('of 20 ends at once one is done', async (t, { accounts, sessions }) => {
    const session = await createSession(sessions, await createAccount(accounts));
    t.is(countOf(await times(20, () => sessions.end(session)), true), 1);
  });

  test('all of an account end, or all but one', async (t, { accounts, sessions }) => {
    const [account, other] = [await createAccount(accounts), await createAccount(accounts)];
    const foreign = await createSession(sessions, other);
    const all = [];
    for (let n = 0; n < 5; n++) all.push(await createSession(sessions, account));
    const [first, second, kept, ...rest] = all as [NewSession, NewSession, NewSession, ...NewSession[]];
    await sessions.endAll(account.id, kept.id);
    t.deepEqual(await sessions.list(account.id, NOW), [asLiving(kept, account)]);
    for (const session of [first, second, ...rest]) t.true(await isOver(sessions, session));
    await sessions.endAll(account.id, foreign.id);
    t.true(await isOver(sessions, kept));
    const next = await createSession(sessions, account);
    await sessions.endAll(account.id, undefined);
    t.true(await isOver(sessions, next));
    await sessions.endAll(newAccount().id, undefined);
    t.truthy(await sessions.find(foreign.credentialHash, NOW));
  });

  test('a sweep takes those that have expired, so many and no more', async (t, { accounts, sessions }) => {
    const account = await createAccount(accounts);
    const kept = await createSession(sessions, account, { expiresAt: EXPIRES_AT + 1 });
    const all = await times(25, () => createSession(sessions, account));
    t.is(await sessions.sweepSessions(EXPIRES_AT - 1, 10), 0);
    const swept: number[] = [];
    for (let round = 0; round < 4; round++) swept.push(await sessions.sweepSessions(EXPIRES_AT, 10));
    t.deepEqual(swept, [10, 10, 5, 0]);
    t.deepEqual(await sessions.list(account.id, NOW), [asLiving(kept, account)]);
    t.false(await sessions.end(all[0] as NewSession));
    t.true(await isOver(sessions, all[1] as NewSession));
  });
}

function raceContract(test: AuthTest): void {
  test('log-out, look-up and extension: what has ended never lives again', async (t, world) => {
    const [one, other] = [world.sessions, (await world.open()).sessions];
    const account = await createAccount(world.accounts);
    await inRounds(world.rounds, async (round) => {
      const session = newSession(account);
      if (!(await one.create(session, MOST))) return t.fail();
      const [first, second] = await raceOf<[boolean, boolean, boolean, boolean, unknown]>(
        round,
        () => one.end(session),
        () => other.end(session),
        () => other.extend(session, NOW, EXPIRES_AT),
        () => one.extend(session, NOW + 1, EXPIRES_AT),
        () => other.find(session.credentialHash, NOW),
      );
      if (first === second) t.fail(`round ${round}: not one end`);
      const late = [await one.extend(session, NOW, ENDS_AT), await other.extend(session, NOW, ENDS_AT)];
      if (
        late.includes(true) ||
        (await other.find(session.credentialHash, NOW)) ||
        (await one.find(session.credentialHash, NOW))
      ) {
        t.fail(`round ${round}`);
      }
    });
    t.deepEqual(await one.list(account.id, NOW), []);
  });

  test('log-out and rotations: one successor at most, and what has ended never lives again', async (t, world) => {
    const [one, other] = [world.sessions, (await world.open()).sessions];
    const account = await createAccount(world.accounts);
    let rotated = 0;
    await inRounds(world.rounds, async (round) => {
      const session = newSession(account, { kind: 'browser' });
      if (!(await one.create(session, MOST))) return t.fail();
      const [isEnded, ...wins] = await raceOf<[boolean, boolean, boolean, boolean]>(
        round,
        () => one.end(session),
        () => one.rotate(session, 0, NOW, EXPIRES_AT),
        () => other.rotate(session, 0, NOW, EXPIRES_AT),
        () => other.extend(session, NOW, EXPIRES_AT),
      );
      const winners = Number(wins[0]) + Number(wins[1]);
      rotated += winners;
      const late = [await one.rotate(session, 0, NOW, ENDS_AT), await other.rotate(session, 1, NOW, ENDS_AT)];
      const found = [await one.find(session.credentialHash, NOW), await other.find(session.credentialHash, NOW)];
      if (!isEnded || winners > 1 || late.includes(true) || found.some(Boolean)) t.fail(`round ${round}`);
    });
    t.log(`${rotated} of ${world.rounds} were rotated before`);
    t.pass();
  });

  const changes = {
    'a change of password': (id: string, { accounts }: Changed) => accounts.setPassword(id, hashLike()),
    disabling: (id: string, { accounts }: Changed) => accounts.setDisabled(id, NOW),
    deletion: (id: string, { accounts }: Changed) => accounts.delete(id),
  };
  type Changed = { accounts: Parameters<typeof createAccount>[0] };
  for (const [title, change] of Object.entries(changes)) {
    test(`a log-in that was verified before ${title} leaves no session`, async (t, world) => {
      const other = await world.open();
      let created = 0;
      await inRounds(world.rounds, async (round) => {
        const account = await createAccount(world.accounts);
        const all = [newSession(account), newSession(account)] as const;
        const [, isCreated] = await raceOf<[boolean, boolean, boolean]>(
          round,
          () => change(account.id, world),
          () => other.sessions.create(all[0], MOST),
          () => world.sessions.create(all[1], MOST),
        );
        created += Number(isCreated);
        for (const { credentialHash } of all) {
          if (await other.sessions.find(credentialHash, NOW)) t.fail(`round ${round}`);
        }
        if ((await world.sessions.list(account.id, NOW)).length > 0) t.fail(`round ${round}`);
      });
      t.log(`${created} of ${world.rounds} log-ins came before`);
      t.pass();
    });
  }

  test('a log-in and a new hash of the same password do not disturb each other', async (t, world) => {
    const other = await world.open();
    await inRounds(world.rounds, async (round) => {
      const account = await createAccount(world.accounts);
      const [session, to] = [newSession(account), hashLike()];
      const outcomes = await raceOf<[boolean, boolean]>(
        round,
        () => other.sessions.create(session, MOST),
        () => world.accounts.rehash(account.id, account.passwordHash, to),
      );
      if (!outcomes.every(Boolean) || !(await world.sessions.find(session.credentialHash, NOW)))
        t.fail(`round ${round}`);
      if ((await other.accounts.findByEmail(account.email))?.passwordHash !== to) t.fail(`round ${round}`);
    });
    t.pass();
  });

  test('of log-ins at once of which one may live exactly one lives once all have answered', async (t, world) => {
    const other = await world.open();
    const account = await createAccount(world.accounts);
    for (let round = 0; round < world.rounds; round++) {
      const all = Array.from({ length: 4 }, () => newSession(account));
      const store = (n: number): SessionStore => (n % 2 ? other : world).sessions;
      const outcomes = await Promise.all(all.map((session, n) => store(n + round).create(session, 1)));
      const found = await Promise.all(all.map(({ credentialHash }, n) => store(n).find(credentialHash, NOW)));
      const living = await store(round).list(account.id, NOW);
      const ids = found.flatMap((session) => session?.id ?? []);
      if (!outcomes.every(Boolean) || ids.length !== 1 || living.length !== 1 || living[0]?.id !== ids[0]) {
        t.fail(`round ${round}`);
      }
    }
    t.pass();
  });

  test('a cookie is armed or replaced, never both', async (t, world) => {
    const other = (await world.open()).sessions;
    const account = await createAccount(world.accounts);
    let armed = 0;
    await inRounds(world.rounds, async (round) => {
      const session = newSession(account);
      await world.sessions.create(session, MOST);
      const [one, next] = [randomBytes(32), randomBytes(32)];
      await world.sessions.offerCookie(session, one, NOW);
      const [isArmed, isReplaced] = await raceOf<[boolean, boolean]>(
        round,
        () => world.sessions.armCookie(session, one),
        () => other.offerCookie(session, next, NOW + 1),
      );
      armed += Number(isArmed);
      const cookie = plainly(await other.find(session.credentialHash, NOW))?.cookie;
      const hash = isArmed ? one : next;
      if (isArmed === isReplaced || cookie?.isArmed !== isArmed || !hash.equals(cookie.hash)) t.fail(`round ${round}`);
      await other.end(session);
    });
    t.log(`${armed} of ${world.rounds} were armed`);
    t.pass();
  });
}

function processContract(test: AuthTest): void {
  test('every process sees an end with its next look', async (t, { accounts, sessions, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const account = await createAccount(accounts);
    await times(20, async (n) => {
      const session = newSession(account);
      const [creator, ender, ...others] = processes.map((_, at) => processes[(at + n) % PROCESSES]?.sessions);
      t.true(await creator?.create(session, MOST));
      for (const store of [sessions, ender, ...others]) t.truthy(await store?.find(session.credentialHash, NOW));
      t.true(await ender?.end(session));
      for (const store of [sessions, creator, ...others]) {
        t.is(await store?.find(session.credentialHash, NOW), undefined);
        t.false(await store?.extend(session, NOW, EXPIRES_AT));
      }
    });
  });

  test('kill -9 of who logs in and out revives nothing that was ended, loses nothing acknowledged', async (t, world) => {
    const account = await createAccount(world.accounts);
    for (let kill = 1; kill <= 3; kill++) {
      const writer = await openInProcess(t, world.url);
      const [living, ended]: [NewSession[], NewSession[]] = [[], []];
      const lanes = times(8, async (lane) => {
        for (;;) {
          const session = newSession(account);
          await writer.sessions.create(session, 100_000);
          if (lane % 2 === 0 && living.push(session)) continue;
          await writer.sessions.extend(session, NOW, EXPIRES_AT + 1);
          await writer.sessions.end(session);
          if (ended.push(session) === kill * 15) await writer.kill();
        }
      });
      await t.throwsAsync(lanes, { message: 'the process ended' });
      for (const { credentialHash } of ended) t.is(await world.sessions.find(credentialHash, NOW), undefined);
      for (const { credentialHash } of living) t.truthy(await world.sessions.find(credentialHash, NOW));
    }
  });
}
