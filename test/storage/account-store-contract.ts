import { storedBytes } from '../../src/storage/usage.ts';
import { until } from '../support/process/program.ts';
import type { Engine } from '../support/storage/storage.ts';
import {
  asFound,
  authTest,
  createAccount,
  createSession,
  hashLike,
  MOST,
  NOW,
  newAccount,
  newSession,
} from './contract/accounts.ts';
import { openInProcess } from './contract/store-process.ts';
import { countOf, hasLeft, type RawRecords, times } from './contract/world.ts';

const PROCESSES = 3;

/** Every engine passes this suite: what `AccountStore` promises. */
export function accountStoreContract(engine: Engine, rawRecords: RawRecords): void {
  const test = authTest(engine, 'accounts');

  test('an account comes back as it was given, also when it is opened again', async (t, world) => {
    const [one, admin] = [newAccount(), newAccount({ role: 'admin', profile: '{}', createdAt: NOW + 1 })];
    for (const account of [one, admin]) t.is(await world.accounts.create(account), 'created');
    const areThere = async ({ accounts } = world): Promise<void> => {
      for (const account of [one, admin]) t.deepEqual(await accounts.findByEmail(account.email), asFound(account));
    };
    await areThere();
    await world.close();
    const again = await world.open();
    await areThere({ ...world, ...again });
    for (const unknown of ['', one.email.toUpperCase(), `${one.email} `, 'nobody@example.com']) {
      t.is(await again.accounts.findByEmail(unknown), undefined, unknown);
    }
  });

  test('they are listed by id, page after page', async (t, { accounts }) => {
    t.deepEqual(await accounts.list(undefined, 10), []);
    const all = await times(7, () => createAccount(accounts));
    const expected = all.map((account) => asFound(account)).sort((a, b) => (a.id < b.id ? -1 : 1));
    t.deepEqual(await accounts.list(undefined, 10), expected);
    t.deepEqual(await accounts.list(undefined, 3), expected.slice(0, 3));
    t.deepEqual(await accounts.list(expected[2]?.id, 3), expected.slice(3, 6));
    t.deepEqual(await accounts.list(expected[6]?.id, 3), []);
  });

  test('of one email there is one account, which another creation does not change', async (t, { accounts }) => {
    const account = await createAccount(accounts);
    t.is(await accounts.create(newAccount({ email: account.email, role: 'admin' })), 'taken');
    t.deepEqual(await accounts.list(undefined, 10), [asFound(account)]);
    t.true(await accounts.delete(account.id));
    const next = newAccount({ email: account.email });
    t.is(await accounts.create(next), 'created');
    t.deepEqual(await accounts.list(undefined, 10), [asFound(next)]);
  });

  test('of 30 creations of one email at once exactly one is done', async (t, { accounts, open }) => {
    const other = (await open()).accounts;
    for (let round = 0; round < 5; round++) {
      const [email, all] = [`${round}@example.com`, Array.from({ length: 30 }, () => newAccount())];
      const outcomes = await Promise.all(
        all.map((account, n) => (n % 2 ? accounts : other).create({ ...account, email })),
      );
      t.deepEqual([countOf(outcomes, 'created'), countOf(outcomes, 'taken')], [1, 29]);
      t.is((await accounts.findByEmail(email))?.id, all[outcomes.indexOf('created')]?.id);
    }
    t.is((await accounts.list(undefined, 100)).length, 5);
  });

  test('of those in several processes at once exactly one is done', async (t, { accounts, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    for (let round = 0; round < 5; round++) {
      const emails = Array.from({ length: 5 }, (_, n) => `${round}.${n}@example.com`);
      const outcomes = await Promise.all(
        processes.flatMap((process) => emails.map((email) => process.accounts.create(newAccount({ email })))),
      );
      t.deepEqual([countOf(outcomes, 'created'), countOf(outcomes, 'taken')], [5, 5 * (PROCESSES - 1)]);
    }
    t.is((await accounts.list(undefined, 100)).length, 25);
  });

  test('a deletion at the same time as a creation of its email leaves one account or none', async (t, { accounts }) => {
    await times(20, async () => {
      const account = await createAccount(accounts);
      const next = newAccount({ email: account.email });
      const [isDeleted, outcome] = await Promise.all([accounts.delete(account.id), accounts.create(next)]);
      t.true(isDeleted);
      const found = await accounts.findByEmail(account.email);
      t.deepEqual(found, outcome === 'created' ? asFound(next) : undefined);
      if (outcome === 'taken') t.is(await accounts.create(next), 'created');
    });
  });

  test('a hash is replaced only if it is still the one before; version and sessions stay', async (t, world) => {
    const { accounts, sessions } = world;
    const account = await createAccount(accounts);
    const session = await createSession(sessions, account);
    const to = hashLike();
    t.false(await accounts.rehash(account.id, to, hashLike()));
    t.false(await accounts.rehash(newAccount().id, account.passwordHash, to));
    t.true(await accounts.rehash(account.id, account.passwordHash, to));
    t.deepEqual(await accounts.findByEmail(account.email), asFound(account, { passwordHash: to }));
    t.truthy(await sessions.find(session.credentialHash, NOW));
    const outcomes = await times(20, () => accounts.rehash(account.id, to, hashLike()));
    t.is(countOf(outcomes, true), 1);
  });

  test('another password, disabling and enabling end all sessions and raise the version', async (t, world) => {
    const { accounts, sessions } = world;
    const [account, other] = [await createAccount(accounts), await createAccount(accounts)];
    const kept = await createSession(sessions, other);
    const passwordHash = hashLike();
    const changes = [
      [() => accounts.setPassword(account.id, passwordHash), { passwordHash }],
      [() => accounts.setDisabled(account.id, NOW + 1), { passwordHash, disabledAt: NOW + 1 }],
      [() => accounts.setDisabled(account.id, NOW + 2), { passwordHash, disabledAt: NOW + 2 }],
      [() => accounts.setPassword(account.id, passwordHash), { passwordHash, disabledAt: NOW + 2 }],
      [() => accounts.setDisabled(account.id, undefined), { passwordHash }],
      [() => accounts.setDisabled(account.id, undefined), { passwordHash }],
    ] as const;
    for (const [index, [change, expected]] of changes.entries()) {
      const version = index + 1;
      const before = await accounts.findByEmail(account.email);
      const session = newSession(account, { accountVersion: version });
      t.is(await sessions.create(session, MOST), before?.disabledAt === undefined, `${index}`);
      t.true(await change());
      t.deepEqual(await accounts.findByEmail(account.email), asFound(account, { ...expected, version: version + 1 }));
      t.is(await sessions.find(session.credentialHash, NOW), undefined);
      t.deepEqual(await sessions.list(account.id, NOW), []);
      t.false(await sessions.create(newSession(account, { accountVersion: version }), MOST));
    }
    t.truthy(await sessions.find(kept.credentialHash, NOW));
    const unknown = newAccount().id;
    t.false(await accounts.setPassword(unknown, passwordHash));
    t.false(await accounts.setDisabled(unknown, NOW));
    t.false(await accounts.setDisabled(unknown, undefined));
  });

  test('of a deleted account nothing is left, its sessions have ended', async (t, { accounts, sessions, url }) => {
    const [account, other] = [await createAccount(accounts), await createAccount(accounts)];
    const userAgent = 'a browser of one person';
    const session = await createSession(sessions, account, { userAgent });
    const traces = [account.id, account.email, account.passwordHash, userAgent].map((text) => Buffer.from(text));
    for (const trace of traces)
      t.true(hasLeft(await rawRecords(url), trace), 'there before, so that the test can see it');
    t.true(await accounts.delete(account.id));
    for (const trace of traces) t.false(hasLeft(await rawRecords(url), trace), trace.toString());
    t.is(await accounts.findByEmail(account.email), undefined);
    t.is(await sessions.find(session.credentialHash, NOW), undefined);
    t.deepEqual(await sessions.list(account.id, NOW), []);
    t.false(await sessions.create(newSession(account), MOST));
    t.false(await accounts.delete(account.id));
    t.deepEqual(await accounts.list(undefined, 10), [asFound(other)]);
  });

  test('of 20 deletions at once one is done', async (t, { accounts }) => {
    const { id } = await createAccount(accounts);
    t.is(countOf(await times(20, () => accounts.delete(id)), true), 1);
  });

  test('a deletion at the same time as other changes is done', async (t, { accounts }) => {
    for (let round = 0; round < 20; round++) {
      const account = await createAccount(accounts);
      let isOver = false;
      const others = times(4, async () => {
        while (!isOver) await accounts.setPassword(account.id, hashLike());
      });
      const isDeleted = await accounts.delete(account.id);
      isOver = true;
      await others;
      t.true(isDeleted);
      t.is(await accounts.findByEmail(account.email), undefined);
      t.deepEqual(await accounts.list(undefined, 10), []);
    }
  });

  test('kill -9 of who creates them loses none that was acknowledged', async (t, { accounts, url }) => {
    const writer = await openInProcess(t, url);
    const acknowledged: string[] = [];
    const lanes = times(8, async () => {
      for (;;) {
        const account = newAccount();
        await writer.accounts.create(account);
        if (acknowledged.push(account.email) === 40) await writer.kill();
      }
    });
    await t.throwsAsync(lanes, { message: 'the process ended' });
    t.true(acknowledged.length >= 40);
    for (const email of acknowledged) t.truthy(await accounts.findByEmail(email));
  });

  const limits = { maxBytes: 40 * storedBytes(200) };
  test(
    'accounts count towards everything stored until they are deleted; sessions do not',
    async (t, { accounts, sessions, sightings }) => {
      const profile = JSON.stringify({ first_name: 'x'.repeat(200) });
      const created: string[] = [];
      const create = async (): Promise<string> => {
        const account = newAccount({ profile });
        const outcome = await accounts.create(account);
        if (outcome === 'created') created.push(account.id);
        return outcome;
      };
      while (created.length < 1000 && (await create()) === 'created');
      t.true(created.length >= 20 && created.length < 1000, `${created.length}`);
      await until('no room', async () => (await create()) === 'full');
      const [account] = await accounts.list(undefined, 1);
      t.is(
        await accounts.create(newAccount({ email: account?.email as string })),
        'taken',
        'also where there is no room',
      );
      await times(30, async () => {
        const session = await createSession(sessions, { id: account?.id as string });
        t.true(await sessions.end(session));
      });
      t.true(await sightings.see(Buffer.alloc(32), Buffer.alloc(8), NOW, NOW + 1));
      t.true(await accounts.rehash(account?.id as string, account?.passwordHash as string, hashLike()));
      for (const id of created) t.true(await accounts.delete(id));
      await until('room', async () => (await create()) === 'created');
    },
    limits,
  );
}
