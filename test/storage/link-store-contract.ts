import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { NewLink } from '../../src/auth/accounts/links-store.ts';
import type { NewAccount } from '../../src/auth/accounts/store.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { storedBytes } from '../../src/storage/usage.ts';
import { until } from '../support/process/program.ts';
import type { Engine } from '../support/storage/storage.ts';
import {
  type AuthTest,
  asFound,
  authTest,
  createAccount,
  createSession,
  hashLike,
  inRounds,
  MOST,
  NOW,
  newAccount,
  newMove,
  newRegistration,
  newReset,
  newSession,
  raceOf,
} from './contract/accounts.ts';
import { openInProcess } from './contract/store-process.ts';
import { countOf, hasLeft, type RawRecords, times } from './contract/world.ts';

const DAY = 86_400_000;
const END = NOW + DAY;
const PROCESSES = 3;

type Stores = Pick<Storage, 'accounts' | 'links'>;

/** Every engine passes this suite: what `LinkStore` promises. */
export function linkStoreContract(engine: Engine, rawRecords: RawRecords): void {
  activationContract(authTest(engine, 'links'));
  accountContract(authTest(engine, 'links'));
  moveContract(authTest(engine, 'links'));
  endContract(authTest(engine, 'links'), rawRecords);
  raceContract(authTest(engine, 'races of links', true));
  processContract(authTest(engine, 'links'));
}

function newId(): string {
  return randomBytes(16).toString('base64url');
}

async function add<Kind extends NewLink>({ links }: Stores, link: Kind): Promise<Kind> {
  if ((await links.addLink(link, MOST)) !== 'added') throw new Error('not added');
  return link;
}

/** Presses a link, whatever it does. */
function press({ links }: Stores, { kind, tokenHash }: NewLink, now = NOW): Promise<unknown> {
  if (kind === 'activate') return links.activate(tokenHash, newId(), now);
  if (kind === 'reset') return links.resetPassword(tokenHash, hashLike(), now);
  return links.changeEmail(tokenHash, now);
}

/** None of its verbs does anything, and nothing is found. */
async function isGone(t: ExecutionContext, stores: Stores, { tokenHash }: NewLink, now = NOW): Promise<void> {
  const { links } = stores;
  t.is(await links.findLink(tokenHash, now), undefined);
  t.is(await links.activate(tokenHash, newId(), now), undefined);
  t.false(await links.resetPassword(tokenHash, hashLike(), now));
  t.false(await links.changeEmail(tokenHash, now));
}

function activationContract(test: AuthTest): void {
  test('a registration becomes the account of its link, once, also when it is opened again', async (t, world) => {
    const link = await add(world, newRegistration({ createdAt: NOW - 5 }));
    const { email, passwordHash, profile } = link;
    await world.close();
    const again = await world.open();
    t.deepEqual(await again.links.findLink(link.tokenHash, NOW), { kind: 'activate', email, createdAt: NOW - 5 });
    t.deepEqual(await again.links.soleRegistration(email, NOW), { email, passwordHash, profile });
    t.is(await again.accounts.findByEmail(email), undefined);
    const id = newId();
    const expected = asFound({ id, email, passwordHash, profile, role: 'member', createdAt: NOW + 9 });
    t.deepEqual(await again.links.activate(link.tokenHash, id, NOW + 9), expected);
    t.deepEqual(await again.accounts.findByEmail(email), expected);
    t.deepEqual(await again.accounts.find(id), expected);
    await isGone(t, again, link);
    t.is(await again.links.soleRegistration(email, NOW), undefined);
  });

  test('each registration of an address stands alone; the first link pressed ends the others', async (t, world) => {
    const { email } = newAccount();
    const all = await times(4, () => add(world, newRegistration({ email })));
    const other = await add(world, newRegistration());
    const pressed = all[2] as (typeof all)[2];
    t.like(await world.links.activate(pressed?.tokenHash as Uint8Array, newId(), NOW), { email });
    t.is((await world.accounts.findByEmail(email))?.passwordHash, pressed?.passwordHash);
    for (const link of all) await isGone(t, world, link);
    t.truthy(await world.links.findLink(other.tokenHash, NOW));
  });

  test('a link is good until its time is over, to the millisecond', async (t, world) => {
    const account = await createAccount(world.accounts);
    for (const make of [() => newRegistration(), () => newReset(account), () => newMove(account, newAccount().email)]) {
      const link = await add(world, make());
      t.truthy(await world.links.findLink(link.tokenHash, END - 1));
      await isGone(t, world, link, END);
      t.truthy(await press(world, link, END - 1), link.kind);
      if (link.kind !== 'activate') await world.accounts.delete(account.id);
      if (link.kind === 'reset') await world.accounts.create(account);
    }
    const { email } = await add(world, newRegistration());
    t.truthy(await world.links.soleRegistration(email, END - 1));
    t.is(await world.links.soleRegistration(email, END), undefined);
  });

  test('an address that an account has meanwhile is not activated, and its account stays', async (t, world) => {
    const link = await add(world, newRegistration());
    const account = await createAccount(world.accounts, { email: link.email });
    await isGone(t, world, link);
    t.deepEqual(await world.accounts.findByEmail(link.email), asFound(account));
    t.true(await world.accounts.delete(account.id));
    await isGone(t, world, link); // its address was an account's
  });

  test('the newest links of an owner and kind stay', async (t, world) => {
    const { links } = world;
    const [{ email }, account] = [newAccount(), await createAccount(world.accounts)];
    const kept = [await add(world, newReset(account)), await add(world, newRegistration())];
    const registrations: NewLink[] = [];
    const moves: NewLink[] = [];
    for (let n = 0; n < 5; n++) {
      registrations.push(newRegistration({ email, createdAt: NOW + n }));
      moves.push(newMove(account, newAccount().email, 1, { createdAt: NOW + n }));
      for (const link of [registrations.at(-1), moves.at(-1)]) t.is(await links.addLink(link as NewLink, 3), 'added');
    }
    for (const all of [registrations, moves]) {
      const found = await Promise.all(all.map(({ tokenHash }) => links.findLink(tokenHash, NOW)));
      t.deepEqual(found.map(Boolean), [false, false, true, true, true]);
    }
    for (const link of kept) t.truthy(await links.findLink(link.tokenHash, NOW));
    t.is(await links.soleRegistration(email, NOW), undefined, 'there are several: each stands alone');
    const sole = newRegistration();
    const again = { ...newRegistration(), email: sole.email, passwordHash: sole.passwordHash, profile: sole.profile };
    for (const link of [sole, again]) t.is(await links.addLink(link, 3), 'added');
    t.like(await links.soleRegistration(sole.email, NOW), { profile: sole.profile }, 'sent again, it is the same');
  });
}

function accountContract(test: AuthTest): void {
  test('a reset sets the password, ends all sessions and all other links of the account', async (t, world) => {
    const { accounts, links, sessions } = world;
    const [account, other] = [await createAccount(accounts), await createAccount(accounts)];
    const all = [newReset(account), newReset(account), newMove(account, newAccount().email)];
    for (const link of [...all, newReset(other)]) await add(world, link);
    const own = await createSession(sessions, account);
    const kept = await createSession(sessions, other);
    const found = await links.findLink(all[0]?.tokenHash as Uint8Array, NOW);
    t.deepEqual(found, { kind: 'reset', account: asFound(account), createdAt: NOW });
    const passwordHash = hashLike();
    t.true(await links.resetPassword(all[0]?.tokenHash as Uint8Array, passwordHash, NOW));
    t.deepEqual(await accounts.find(account.id), asFound(account, { passwordHash, version: 2 }));
    t.is(await sessions.find(own.credentialHash, NOW), undefined);
    t.truthy(await sessions.find(kept.credentialHash, NOW));
    for (const link of all) await isGone(t, world, link);
    t.false(await sessions.create(newSession(account), MOST), 'a log-in that was verified before');
  });

  test('a link is good for what it was made for alone', async (t, world) => {
    const account = await createAccount(world.accounts);
    const [activation, reset] = [await add(world, newRegistration()), await add(world, newReset(account))];
    const move = await add(world, newMove(account, newAccount().email));
    const { links } = world;
    for (const { tokenHash } of [reset, move]) t.is(await links.activate(tokenHash, newId(), NOW), undefined);
    for (const { tokenHash } of [activation, move]) t.false(await links.resetPassword(tokenHash, hashLike(), NOW));
    for (const { tokenHash } of [activation, reset]) t.false(await links.changeEmail(tokenHash, NOW));
    t.deepEqual(await world.accounts.list(undefined, 10), [asFound(account)]);
    for (const link of [activation, reset, move]) t.truthy(await links.findLink(link.tokenHash, NOW));
  });

  test('another password ends all but one session, if account and session are as they were', async (t, world) => {
    const { accounts, sessions } = world;
    const account = await createAccount(accounts);
    const { id } = account;
    const [current, other, ended] = await times(3, () => createSession(sessions, account));
    if (!current || !other || !ended) return t.fail();
    await sessions.end(ended);
    const link = await add(world, newReset(account));
    const passwordHash = hashLike();
    t.false(await accounts.changePassword({ id, version: 2 }, current.id, passwordHash));
    t.false(await accounts.changePassword({ id, version: 1 }, ended.id, passwordHash));
    t.false(await accounts.changePassword({ id: newId(), version: 1 }, current.id, passwordHash));
    t.truthy(await world.links.findLink(link.tokenHash, NOW));
    t.true(await accounts.changePassword({ id, version: 1 }, current.id, passwordHash));
    t.deepEqual(await accounts.find(id), asFound(account, { passwordHash, version: 2 }));
    t.deepEqual(
      (await sessions.list(id, NOW)).map((session) => session.id),
      [current.id],
    );
    t.is(await sessions.find(other.credentialHash, NOW), undefined);
    await isGone(t, world, link);
    t.false(await sessions.create(newSession(account), MOST));
    t.true(await accounts.setDisabled(id, NOW));
    t.false(await accounts.changePassword({ id, version: 3 }, current.id, passwordHash));
  });

  test('a profile is replaced if it is as it was', async (t, { accounts }) => {
    const account = await createAccount(accounts);
    t.is(await accounts.setProfile(account.id, '{}', '{"sex":"x"}'), 'other');
    t.is(await accounts.setProfile(newId(), account.profile, '{}'), 'other');
    t.is(await accounts.setProfile(account.id, account.profile, '{"sex":"ж"}'), 'set');
    t.deepEqual(await accounts.find(account.id), asFound(account, { profile: '{"sex":"ж"}' }));
    const outcomes = await times(10, () => accounts.setProfile(account.id, '{"sex":"ж"}', `{"type":"${newId()}"}`));
    t.is(countOf(outcomes, 'set'), 1);
  });
}

function moveContract(test: AuthTest): void {
  test('an account gets another address; links of both addresses and of the account end', async (t, world) => {
    const { accounts, links, sessions } = world;
    const account = await createAccount(accounts);
    const { email } = newAccount();
    const session = await createSession(sessions, account);
    const move = await add(world, newMove(account, email));
    const others = [
      newReset(account),
      newMove(account, newAccount().email),
      newRegistration({ email }),
      newRegistration({ email: account.email }),
    ];
    for (const link of others) await add(world, link);
    const found = await links.findLink(move.tokenHash, NOW);
    t.deepEqual(found, { kind: 'change', account: asFound(account), email, createdAt: NOW });
    t.true(await links.changeEmail(move.tokenHash, NOW));
    const expected = asFound(account, { email, version: 2 });
    t.deepEqual(await accounts.findByEmail(email), expected);
    t.is(await accounts.findByEmail(account.email), undefined);
    t.deepEqual(await accounts.list(undefined, 10), [expected]);
    t.like(await sessions.find(session.credentialHash, NOW), { email });
    for (const link of [move, ...others]) await isGone(t, world, link);
    t.is(await accounts.create(newAccount({ email })), 'taken');
    const next = await createAccount(accounts, { email: account.email });
    t.deepEqual(await accounts.findByEmail(account.email), asFound(next));
    t.true(await accounts.delete(account.id));
    t.is(await accounts.create(newAccount({ email })), 'created');
  });

  test('an address that another account has is not taken, nor is the own one', async (t, world) => {
    const { accounts, links } = world;
    const [account, other] = [await createAccount(accounts), await createAccount(accounts)];
    for (const { email } of [account, other]) {
      const { tokenHash } = await add(world, newMove(account, email));
      t.false(await links.changeEmail(tokenHash, NOW));
    }
    for (const one of [account, other]) t.deepEqual(await accounts.findByEmail(one.email), asFound(one));
    const { tokenHash } = await add(world, newMove(account, newAccount().email));
    t.true(await links.changeEmail(tokenHash, NOW), 'and another one is taken after that');
  });

  test('an account goes to an address and back', async (t, world) => {
    const { accounts, links } = world;
    const account = await createAccount(accounts);
    const there = newAccount().email;
    for (let version = 1; version <= 6; version++) {
      const email = version % 2 ? there : account.email;
      const { tokenHash } = await add(world, newMove(account, email, version));
      t.true(await links.changeEmail(tokenHash, NOW));
      t.deepEqual(await accounts.findByEmail(email), asFound(account, { email, version: version + 1 }));
      t.is(await accounts.findByEmail(version % 2 ? account.email : there), undefined);
    }
  });
}

function endContract(test: AuthTest, rawRecords: RawRecords): void {
  test('what an operator does to an account ends its links', async (t, world) => {
    const { accounts } = world;
    const changes: ((account: NewAccount) => Promise<boolean>)[] = [
      ({ id }) => accounts.setPassword(id, hashLike()),
      ({ id }) => accounts.setDisabled(id, NOW),
      ({ id }) => accounts.setDisabled(id, undefined),
      ({ id }) => accounts.delete(id),
      ({ id }) => accounts.delete(id, 1),
    ];
    for (const change of changes) {
      const account = await createAccount(accounts);
      const all = [newReset(account), newMove(account, newAccount().email), newRegistration({ email: account.email })];
      for (const link of all) await add(world, link);
      t.true(await change(account));
      for (const link of all) await isGone(t, world, link);
      for (const link of all.slice(0, 2))
        await isGone(t, world, await add(world, { ...link, tokenHash: randomBytes(32) }));
    }
    const account = await createAccount(accounts);
    t.false(await accounts.delete(account.id, 2));
    t.deepEqual(await accounts.find(account.id), asFound(account));
  });

  test('of a deleted account no link is left', async (t, { accounts, links, url }) => {
    const account = await createAccount(accounts);
    const [registration, { email }] = [newRegistration({ email: account.email }), newAccount()];
    for (const link of [registration, newMove(account, email)]) await links.addLink(link, MOST);
    const traces = [email, registration.passwordHash].map((text) => Buffer.from(text));
    for (const trace of traces) t.true(hasLeft(await rawRecords(url), trace), 'there, so that the test can see it');
    t.true(await accounts.delete(account.id));
    for (const trace of traces) t.false(hasLeft(await rawRecords(url), trace));
  });

  test('those whose time is over are removed, in steps, and no others', async (t, world) => {
    const { links } = world;
    const over = await times(5, () => add(world, newRegistration({ expiresAt: NOW + 1 })));
    const kept = await add(world, newRegistration({ expiresAt: NOW + 2 }));
    t.is(await links.sweepLinks(NOW, 10), 0);
    t.is(await links.sweepLinks(NOW + 1, 3), 3);
    t.is(await links.sweepLinks(NOW + 1, 3), 2);
    t.is(await links.sweepLinks(NOW + 1, 3), 0);
    for (const { tokenHash } of over) t.is(await links.findLink(tokenHash, NOW), undefined);
    t.truthy(await links.findLink(kept.tokenHash, NOW + 1));
  });

  const limits = { maxBytes: 40 * storedBytes(200) };
  test(
    'links count towards everything stored until they end, and what they create has room',
    async (t, world) => {
      const { links, accounts } = world;
      const profile = JSON.stringify({ first_name: 'x'.repeat(200) });
      const added: NewLink[] = [];
      const fill = async (): Promise<string> => {
        const link = newRegistration({ profile });
        const outcome = await links.addLink(link, MOST);
        if (outcome === 'added') added.push(link);
        return outcome;
      };
      while (added.length < 1000 && (await fill()) === 'added');
      t.true(added.length >= 20 && added.length < 1000, `${added.length}`);
      await until('no room', async () => (await fill()) === 'full');
      for (const link of added) t.truthy(await press(world, link));
      const pressed = added.length;
      await until('still no room', async () => (await fill()) === 'full');
      for (const { id } of await accounts.list(undefined, 1000)) {
        if (await accounts.delete(id)) continue;
      }
      await until('room', async () => (await fill()) === 'added');
      t.is(await links.sweepLinks(END, 1000), added.length - pressed);
      const before = added.length;
      while (added.length < before + 10 && (await fill()) === 'added');
      t.is(added.length, before + 10);
    },
    limits,
  );
}

function raceContract(test: AuthTest): void {
  test('links of one address pressed at once create one account, of one of them', async (t, world) => {
    const { accounts, links } = world;
    await inRounds(world.rounds, async (round) => {
      const { email } = newAccount();
      const all = await times(2, () => add(world, newRegistration({ email })));
      const [one, two] = all as [(typeof all)[0], (typeof all)[0]];
      const outcomes = await raceOf(
        round,
        () => links.activate(one.tokenHash, newId(), NOW),
        () => links.activate(one.tokenHash, newId(), NOW),
        () => links.activate(two.tokenHash, newId(), NOW),
      );
      const created = outcomes.filter((account) => account !== undefined);
      t.is(created.length, 1);
      t.deepEqual(await accounts.findByEmail(email), created[0]);
      const winner = outcomes[2] ? two : one;
      t.is(created[0]?.passwordHash, winner.passwordHash);
      for (const link of all) t.is(await links.findLink(link.tokenHash, NOW), undefined);
    });
    t.pass();
  });

  test('a reset at the same time as a log-in and a change: no session of before is left', async (t, world) => {
    const { accounts, links, sessions } = world;
    await inRounds(world.rounds, async (round) => {
      const account = await createAccount(accounts);
      const [current, next] = [await createSession(sessions, account), newSession(account)];
      const reset = await add(world, newReset(account));
      const [byReset, byChange] = [hashLike(), hashLike()];
      const [isReset, isAgain, isLoggedIn, isChanged] = await raceOf(
        round,
        () => links.resetPassword(reset.tokenHash, byReset, NOW),
        () => links.resetPassword(reset.tokenHash, byReset, NOW),
        () => sessions.create(next, MOST),
        () => accounts.changePassword({ id: account.id, version: 1 }, current.id, byChange),
      );
      t.is([isReset, isAgain, isChanged].filter(Boolean).length, 1, 'each needs the account as it was');
      const found = await accounts.find(account.id);
      t.deepEqual(found, asFound(account, { passwordHash: isChanged ? byChange : byReset, version: 2 }));
      t.is(await sessions.find(next.credentialHash, NOW), undefined, `${isLoggedIn}`);
      t.is((await sessions.find(current.credentialHash, NOW)) !== undefined, isChanged);
      t.is(await links.findLink(reset.tokenHash, NOW), undefined);
    });
    t.pass();
  });

  test('one address wanted by two accounts and a registration is given once', async (t, world) => {
    const { accounts, links } = world;
    await inRounds(world.rounds, async (round) => {
      const { email } = newAccount();
      const [one, two] = [await createAccount(accounts), await createAccount(accounts)];
      const moves = [await add(world, newMove(one, email)), await add(world, newMove(two, email))] as const;
      const registration = await add(world, newRegistration({ email }));
      const outcomes = await raceOf(
        round,
        () => links.changeEmail(moves[0].tokenHash, NOW),
        () => links.changeEmail(moves[1].tokenHash, NOW),
        () => links.activate(registration.tokenHash, newId(), NOW),
        () => links.changeEmail(moves[0].tokenHash, NOW),
      );
      t.is(outcomes.filter(Boolean).length, 1);
      const has = await accounts.findByEmail(email);
      t.truthy(has);
      for (const [account, isMoved] of [
        [one, outcomes[0] || outcomes[3]],
        [two, outcomes[1]],
      ] as const) {
        t.is((await accounts.find(account.id))?.email, isMoved ? email : account.email);
        t.is((await accounts.findByEmail(account.email))?.id, isMoved ? undefined : account.id);
      }
    });
    t.pass();
  });

  test('a change of address at the same time as a reset or a deletion is done before it or not at all', async (t, world) => {
    const { accounts, links } = world;
    await inRounds(world.rounds, async (round) => {
      const { email } = newAccount();
      const [one, two] = [await createAccount(accounts), await createAccount(accounts)];
      const moves = [
        await add(world, newMove(one, email)),
        await add(world, newMove(two, newAccount().email)),
      ] as const;
      const reset = await add(world, newReset(one));
      const [isMoved, isReset, , isDeleted] = await raceOf(
        round,
        () => links.changeEmail(moves[0].tokenHash, NOW),
        () => links.resetPassword(reset.tokenHash, hashLike(), NOW),
        () => links.changeEmail(moves[1].tokenHash, NOW),
        () => accounts.delete(two.id),
      );
      t.is([isMoved, isReset].filter(Boolean).length, 1);
      t.is((await accounts.findByEmail(isMoved ? email : one.email))?.id, one.id);
      t.is(await accounts.findByEmail(isMoved ? one.email : email), undefined);
      t.true(isDeleted);
      for (const free of [two.email, moves[1].email]) {
        t.is(await accounts.findByEmail(free), undefined);
        t.is(await accounts.create(newAccount({ email: free })), 'created');
      }
    });
    t.pass();
  });
}

function processContract(test: AuthTest): void {
  test('of presses in several processes at once exactly one counts', async (t, world) => {
    const { accounts, links, sessions } = world;
    const processes = await times(PROCESSES, () => openInProcess(t, world.url));
    for (let round = 0; round < 10; round++) {
      const account = await createAccount(accounts);
      const session = await createSession(sessions, account);
      const registrations = await times(PROCESSES, (n) =>
        add(world, newRegistration({ email: `${round}@example.com`, createdAt: NOW + n })),
      );
      const [reset, move] = [
        await add(world, newReset(account)),
        await add(world, newMove(account, newAccount().email)),
      ];
      const all = await Promise.all(
        processes.map(async (process, n) => [
          await process.links.activate(registrations[round % 2 ? n : 0]?.tokenHash as Uint8Array, newId(), NOW),
          await (n % 2
            ? process.links.resetPassword(reset.tokenHash, hashLike(), NOW)
            : process.links.changeEmail(move.tokenHash, NOW)),
        ]),
      );
      t.is(all.filter(([activated]) => activated).length, 1);
      t.is(all.filter(([, changed]) => changed).length, 1);
      t.like(await accounts.find(account.id), { version: 2 });
      const isReset = (await accounts.find(account.id))?.email === account.email;
      t.is((await sessions.find(session.credentialHash, NOW)) === undefined, isReset);
      for (const { tokenHash } of registrations) t.is(await links.findLink(tokenHash, NOW), undefined);
    }
  });

  test('kill -9 in the middle of presses leaves each link unused, or used once', async (t, world) => {
    const { accounts, links } = world;
    const writer = await openInProcess(t, world.url);
    const all = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const account = await createAccount(accounts);
        return {
          account,
          registration: await add(world, newRegistration()),
          move: await add(world, newMove(account, newAccount().email)),
        };
      }),
    );
    let presses = 0;
    const killed = all.map(async ({ registration, move }) => {
      await writer.links.activate(registration.tokenHash, newId(), NOW);
      await writer.links.changeEmail(move.tokenHash, NOW);
      if (++presses === 10) await writer.kill();
    });
    await Promise.allSettled(killed);
    const later = NOW + 60_000; // who died in the middle is given up
    for (const { account, registration, move } of all) {
      const isActivated = (await accounts.findByEmail(registration.email)) !== undefined;
      t.is((await links.activate(registration.tokenHash, newId(), later)) !== undefined, !isActivated);
      t.is((await accounts.findByEmail(registration.email))?.passwordHash, registration.passwordHash);
      const isMoved = (await accounts.find(account.id))?.email === move.email;
      t.is(await links.changeEmail(move.tokenHash, later), !isMoved);
      t.is((await accounts.findByEmail(move.email))?.id, account.id);
      t.is(await accounts.findByEmail(account.email), undefined);
      t.is(await accounts.create(newAccount({ email: account.email, createdAt: later })), 'created');
    }
  });
}
