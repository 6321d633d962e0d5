import { execFileSync, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { NO_LIMITS } from '../../../src/limits/limits.ts';
import { type NewSecret, RECEIPT_MS } from '../../../src/secrets/store.ts';
import { PAGE, YOUNGEST } from '../../../src/storage/sqlite/customers/store.ts';
import { openReader } from '../../../src/storage/sqlite/engine/database.ts';
import { createReader } from '../../../src/storage/sqlite/engine/reader.ts';
import { openSqlite } from '../../../src/storage/sqlite/open.ts';
import { openSqliteFence } from '../../../src/storage/sqlite/operator/fence.ts';
import { MIGRATIONS } from '../../../src/storage/sqlite/schema.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { storedBytes } from '../../../src/storage/usage.ts';
import { until } from '../../support/process/program.ts';
import { withMounts } from '../../support/process/tools.ts';
import { SQLITE, temporaryFolder } from '../../support/storage/storage.ts';
import { accountStoreContract } from '../account-store-contract.ts';
import { authVerbsOn, createAccount, newAccount, newMove, newRegistration, newReset } from '../contract/accounts.ts';
import { areUnavailable, verbsOn, writesOf } from '../contract/failures.ts';
import { openInProcess } from '../contract/store-process.ts';
import {
  asWaiting,
  CLIENT,
  COPY_UNTIL,
  type Copy,
  CREATED_AT,
  claimCopy,
  createTraced,
  creator,
  EXPIRES_AT,
  HOUR,
  hasLeft,
  NO_REFUND,
  newCopy,
  newNotify,
  newSecret,
  plain,
  sweepAll,
  type Traced,
  times,
} from '../contract/world.ts';
import { fenceStoreContract } from '../fence-store-contract.ts';
import { limitStoreContract } from '../limit-store-contract.ts';
import { linkStoreContract } from '../link-store-contract.ts';
import { newMail } from '../mail-store-contract.ts';
import { secretStoreContract } from '../secret-store-contract.ts';
import { sinkStoreContract } from '../sink-store-contract.ts';

fenceStoreContract(SQLITE);

sinkStoreContract(SQLITE);

limitStoreContract(SQLITE);

secretStoreContract(SQLITE, rowsIn);

accountStoreContract(SQLITE, rowsIn);

linkStoreContract(SQLITE, rowsIn);

test('the youngest customers, and a page of them, are read from an index, without sorting', async (t) => {
  const { url, open } = await SQLITE.place(t);
  await open();
  t.deepEqual(planIn(url, YOUNGEST), ['SCAN customers USING INDEX customers_youngest']); // backwards, up to the limit
  t.deepEqual(planIn(url, PAGE), ['SEARCH customers USING PRIMARY KEY (id>?)']);
});

test('secrets and records are found by an index of their ids: no large one is read on the way to another', async (t) => {
  const { url, open } = await SQLITE.place(t);
  await open();
  for (const table of ['waiting', 'ended']) {
    t.deepEqual(planIn(url, `SELECT envelope FROM ${table} WHERE id = ?`), [
      `SEARCH ${table} USING INDEX sqlite_autoindex_${table}_1 (id=?)`,
    ]);
  }
});

// By itself, because writing waits for 5 s at most.
test.serial('while another process holds the write lock, reading goes on and writing waits for it', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { secrets: store } = await open();
  const secret = await createTraced(store);
  const unlock = await lockInProcess(t, pathOf(url));
  const writing = Promise.all([store.create(newSecret()), store.reserveTry(secret.id, CREATED_AT)]);
  t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
  // The lock is real and so is its time: long enough for the writes to have met it.
  t.is(await Promise.race([writing, sleep(300, 'waits')]), 'waits');
  unlock();
  t.like(await writing, [undefined, { granted: true }]);
});

test.serial('a write lock that is held too long is told, nothing was done, and writing goes on after it', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const storage = await open();
  const { secrets: store } = storage;
  const secret = await createTraced(store);
  const auth = Object.entries(await authVerbsOn(storage));
  const isRead = /\.(find|findByEmail|findLink|soleRegistration|list|has|hasDue|countWaiting)$/;
  const authWrites = auth.filter(([name]) => !isRead.test(name));
  const unlock = await lockInProcess(t, pathOf(url));
  const startedAt = performance.now();
  const writes = writesOf(verbsOn(store, secret));
  await areUnavailable(t, { ...writes, ...Object.fromEntries(authWrites) });
  t.true(performance.now() - startedAt < 14_000); // the lock's 5 s, and less than what a thread may take that hangs
  unlock();
  t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
  t.deepEqual(await store.reserveTry(secret.id, CREATED_AT), { granted: true, triesLeft: 9 });
});

test.serial('opening waits while another process holds the new file, whatever lock that is', async (t) => {
  const path = join(await temporaryFolder(t), 'hushbox.db');
  const unlock = await lockInProcess(t, path); // before the file is in WAL mode, where SQLite itself would not wait
  const opening = openSqlite(path, NO_LIMITS, { onLost: () => t.fail(), onWarning: () => t.fail() });
  t.is(await Promise.race([opening, sleep(300, 'waits')]), 'waits');
  unlock();
  const { secrets: store, close } = await opening;
  t.teardown(close);
  await t.notThrowsAsync(createTraced(store));
});

test('a look-up waits for a lock that is met already while it is prepared', async (t) => {
  const path = join(await temporaryFolder(t), 'hushbox.db');
  const locker = new DatabaseSync(path);
  locker.exec('CREATE TABLE one (value); INSERT INTO one VALUES (1); BEGIN EXCLUSIVE');
  const look = createReader(openReader(path)).prepare('SELECT value FROM one');
  const looking = look();
  locker.exec('COMMIT');
  t.deepEqual(await looking, [1]);
});

test('what was read, burned or expired is gone from every file of the database after the next sweep', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { secrets: store } = await open();
  const other = await openInProcess(t, url); // while it is open, no end of a connection cleans up
  const sizes = Array.from({ length: 400 }, (_, index) => [64, 300, 1_500, 9_000][index % 4]);
  const secrets = await times(sizes.length, (index) => createTraced(store, { bytes: sizes[index] as number }));
  const kept = await createTraced(other, { expiresAt: EXPIRES_AT + HOUR });
  const copies: Copy[] = [];
  for (const [index, secret] of secrets.entries()) {
    const [end, writer] = [index % 5, index % 2 ? store : other];
    if (end === 0) await writer.claim(secret.id, CREATED_AT, NO_REFUND);
    else if (end === 1) await writer.burn(secret.id, secret.receiptHash, CREATED_AT, 0);
    else if (end === 2) copies.push(await claimCopy(writer, secret));
    // the others expire
  }
  // By another process: closing a file in ours would drop SQLite's locks on it.
  const readFiles = (files: string[]) => execFileSync('cat', files, { maxBuffer: 2 ** 30 });
  const findLeft = () => {
    const bytes = readFiles(filesOf(url));
    return [...secrets, ...copies].filter(({ envelope }) => hasLeft([bytes], envelope.subarray(16, 48)));
  };
  t.true(findLeft().length > 300, 'there before, so that the test can see it');

  await sweepAll(store, EXPIRES_AT + 1000, 50);
  await store.refundTry(Buffer.alloc(24)); // which nobody has, so that nothing is written: answered after the cleaning
  t.is(readFiles([`${pathOf(url)}-wal`]).length, 0);
  // Now and then one: where SQLite moves short rows between pages, it does not wipe the place they came from.
  const left = findLeft();
  t.true(left.length <= 2 && left.every(({ envelope }) => envelope.length < 1_000), `${left.length} are left`);
  t.deepEqual(plain(await store.find(kept.id, EXPIRES_AT)), asWaiting(kept));
  await t.notThrowsAsync(createTraced(other));
});

test('who reads the file for long holds up no sweep and no write; the one after it cleans up', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { secrets: store } = await open();
  const secret = await createTraced(store);
  const walBytes = () => statSync(`${pathOf(url)}-wal`).size;
  const other = new DatabaseSync(pathOf(url), { readOnly: true });
  t.teardown(() => other.close());
  other.exec('BEGIN; SELECT * FROM waiting');
  await store.sweep(CREATED_AT, 100, 0);
  t.deepEqual(await store.reserveTry(secret.id, CREATED_AT), { granted: true, triesLeft: 9 });
  t.true(walBytes() > 0);
  other.exec('COMMIT');
  await store.sweep(CREATED_AT, 100, 0);
  await store.refundTry(newSecret().id); // answered after the cleaning, and writes nothing
  t.is(walBytes(), 0);
});

test('with its file gone from the path nothing is written; with the file back writing goes on', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { secrets: store, fence, ping } = await open();
  const stored = [await createTraced(store)];
  const create = async () => stored.push(await createTraced(store));
  renameSync(pathOf(url), `${pathOf(url)}.away`);
  await untilRefused(create);
  const writes = writesOf(verbsOn(store, stored[0] as Traced));
  await areUnavailable(t, { ...writes, ping, advance: () => fence.advance(CREATED_AT, []) });
  t.false(existsSync(pathOf(url)));

  renameSync(`${pathOf(url)}.away`, pathOf(url));
  await create();
  await until('an answer, half a second after the refusal at most', () =>
    ping().then(
      () => true,
      () => false,
    ),
  );
  for (const secret of stored) t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
});

test('with another file in its place nothing is written any more, and the engine says that it is lost', async (t) => {
  const [{ url, open }, other] = [await SQLITE.place(t), await SQLITE.place(t)];
  await (await other.open()).close();
  const losses: Error[] = [];
  const { secrets: store, close } = await openListening(url, losses);
  t.teardown(close);
  const create = () => createTraced(store);
  await create();
  renameSync(pathOf(other.url), pathOf(url));
  await untilRefused(create);
  await areUnavailable(t, { create });
  await until('the loss', () => losses.length > 0);
  t.is(losses.length, 1);
  // Its successor has the new file.
  const { secrets: successor } = await open();
  t.truthy(await createTraced(successor));
});

for (const verb of ['ping', 'look'] as const) {
  test(`with another file in its place, ${verb} alone says so too`, async (t) => {
    const [{ url, open }, other] = [await SQLITE.place(t), await SQLITE.place(t)];
    await (await other.open()).close();
    const losses: Error[] = [];
    const { ping, fence, close } = await openListening(url, losses);
    t.teardown(close);
    const look = { ping, look: fence.look }[verb];
    await look();
    renameSync(pathOf(other.url), pathOf(url));
    await untilRefused(look);
    await areUnavailable(t, { look });
    await until('the loss', () => losses.length > 0);
    t.is(await (await open()).fence.look(), undefined);
  });
}

for (const ending of ['-wal', '-shm']) {
  for (const place of ['nothing', 'another file'] as const) {
    test(`with ${place} in the place of its ${ending} no write is acknowledged, and a new start has the others`, async (t) => {
      const { url, open } = await SQLITE.place(t);
      const losses: Error[] = [];
      const { secrets: store, close } = await openListening(url, losses);
      t.teardown(close);
      const before = await times(20, () => createTraced(store));
      for (const { id } of before) t.truthy(await store.find(id, CREATED_AT)); // so that the reader has the files open too
      renameSync(pathOf(url) + ending, join(await temporaryFolder(t), 'away'));
      if (place === 'another file') writeFileSync(pathOf(url) + ending, '');
      // The very first one, and so on: there is no moment in which one more is lost.
      for (let n = 0; n < 3; n++) await areUnavailable(t, { create: () => createTraced(store) });
      await until('the loss', () => losses.length > 0);
      t.is(losses.length, 1);

      const { secrets: successor } = await open();
      for (const secret of before) t.deepEqual(plain(await successor.find(secret.id, CREATED_AT)), asWaiting(secret));
      t.truthy(await createTraced(successor));
    });
  }

  // By itself: the start waits for 10 s at most, and beside all the others the other process may notice too late.
  test.serial(`without its ${ending} a file that another process has open is not opened a second time`, async (t) => {
    const { url, open } = await SQLITE.place(t);
    const other = await openInProcess(t, url);
    const before = await times(20, () => createTraced(other));
    rmSync(pathOf(url) + ending);
    const opening = open();
    const isOpen = await Promise.race([opening.then(() => true), sleep(700, false)]);
    t.false(isOpen);
    t.false(existsSync(pathOf(url) + ending));
    await areUnavailable(t, { create: () => createTraced(other) }); // it notices, closes and ends
    const { secrets: successor } = await opening;
    for (const secret of before) t.deepEqual(plain(await successor.find(secret.id, CREATED_AT)), asWaiting(secret));
  });
}

test('a loss that shows while the storage closes ends nothing else', async (t) => {
  const { url } = await SQLITE.place(t);
  const losses: Error[] = [];
  const { secrets: store, close } = await openListening(url, losses);
  await createTraced(store);
  renameSync(`${pathOf(url)}-wal`, join(await temporaryFolder(t), 'away'));
  const creating = areUnavailable(t, { create: () => createTraced(store) });
  await Promise.all([close(), creating]);
  t.deepEqual(losses, []);
});

for (const ending of ['-wal', '-journal']) {
  test(`a ${ending} whose database is away stops the start and stays as it is`, async (t) => {
    const { url, open } = await SQLITE.place(t);
    writeFileSync(pathOf(url) + ending, 'of a database that is elsewhere');
    for (let starts = 0; starts < 2; starts++) {
      await t.throwsAsync(open(), {
        any: true,
        message: new RegExp(`^hushbox.db${ending} holds .* put hushbox.db back`),
      });
      t.false(existsSync(pathOf(url)));
      t.is(readFileSync(pathOf(url) + ending, 'utf8'), 'of a database that is elsewhere');
    }
    writeFileSync(pathOf(url) + ending, '');
    t.truthy(await createTraced((await open()).secrets));
  });
}

test('a damaged first page is noticed by a look alone: nothing more is written, and a warning says so once', async (t) => {
  const { url } = await SQLITE.place(t);
  const [losses, warnings]: [Error[], string[]] = [[], []];
  const { secrets: store, fence, ping, close } = await openListening(url, losses, warnings);
  t.teardown(close);
  const secret = await createTraced(store);
  await store.sweep(CREATED_AT, 100, 0);
  await store.refundTry(newSecret().id); // answered after the WAL was emptied
  await fence.look(); // from now on the first page is in the memory of the reader
  overwrite(pathOf(url), 0, Buffer.alloc(4096, 'damaged '));
  await areUnavailable(t, { look: fence.look });
  const writes = writesOf(verbsOn(store, secret));
  await areUnavailable(t, { ...writes, ping, look: fence.look, advance: () => fence.advance(CREATED_AT, []) });
  t.is(warnings.length, 1);
  t.regex(warnings.join(), /^the database is damaged/);
  t.deepEqual(losses, []);
});

test('a touch of the fence is a write that reaches the disk', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { fence } = await open();
  const writtenAt = () => statSync(`${pathOf(url)}-wal`, { bigint: true }).mtimeNs;
  for (let n = 0; n < 3; n++) {
    const before = writtenAt();
    await sleep(20);
    await fence.touch();
    t.true(writtenAt() > before);
  }
});

test('a step of a sweep ends no more than some 16 MiB, and says that there is more', async (t) => {
  const { open } = await SQLITE.place(t);
  const { secrets: store } = await open();
  const bytes = 1 << 20;
  for (let count = 0; count < 40; count++)
    await store.create({ ...newSecret({ bytes }), receiptHash: randomBytes(32) });
  const steps: object[] = [];
  for (let step = 0; step < 3; step++) steps.push(await store.sweep(EXPIRES_AT + 1_000, 200, 0));
  t.deepEqual(steps, [
    { wiped: 200, expired: 16 },
    { wiped: 200, expired: 16 },
    { wiped: 8, expired: 8 },
  ]);
});

test('copies end in steps of some 16 MiB too, and what comes after them has its turn', async (t) => {
  const { open } = await SQLITE.place(t);
  const { secrets: store } = await open();
  const bytes = 1 << 20;
  for (let count = 0; count < 40; count++) {
    const secret = { ...newSecret({ bytes }), ...(count < 20 && { receiptHash: randomBytes(32) }) };
    await store.create(secret);
    t.true(await store.claim(secret.id, CREATED_AT, { ...NO_REFUND, copy: newCopy(CREATED_AT + 60_000, bytes) }));
  }
  const steps: number[] = [];
  for (let step = 0; step < 3; step++) steps.push((await store.sweep(CREATED_AT + 60_000, 200, 0)).wiped);
  t.deepEqual(steps, [200, 200, 4], 'with a receipt; the rest of these, and without one; the rest');
});

test('damage that a write meets ends all writing too', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const first = await open();
  const secrets = await times(200, () => createTraced(first.secrets, { bytes: 3_000 }));
  await first.close();
  const { size } = statSync(pathOf(url));
  for (let at = 60 * 4096; at < size; at += 4096) overwrite(pathOf(url), at, Buffer.alloc(4096, 'damaged '));

  const warnings: string[] = [];
  const { secrets: store, ping, close } = await openListening(url, [], warnings);
  t.teardown(close);
  const outcomes = await Promise.allSettled(secrets.map(({ id }) => store.claim(id, CREATED_AT, NO_REFUND)));
  t.true(outcomes.some(({ status }) => status === 'rejected'));
  await areUnavailable(t, { create: () => createTraced(store), ping });
  t.is(warnings.length, 1);
});

test('a file takes what it may to the byte, and all of the room comes back', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const one = storedBytes(1500);
  const { secrets: store } = await open({ maxBytes: 30 * one });
  const create = () =>
    store.create({ ...newSecret({ bytes: 1500 }), receiptHash: randomBytes(32), creator: creator() });
  for (let round = 0; round < 3; round++) {
    const outcomes = await times(50, create);
    t.is(outcomes.filter((refusal) => refusal === undefined).length, 30);
    t.deepEqual(sumsIn(url), { stored: 30 * one, clients: [{ secrets: 30, bytes: 30 * one }] });
    await sweepAll(store, EXPIRES_AT + 1000);
    t.deepEqual(sumsIn(url), { stored: 30 * storedBytes(0), clients: [] });
    await sweepAll(store, EXPIRES_AT + RECEIPT_MS);
    t.deepEqual(sumsIn(url), { stored: 0, clients: [] });
  }
});

test('the sums are those of the tables, whatever happened and in whatever order', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { secrets: store, events } = await open({ clientMaxSecrets: 25 });
  const second = await openInProcess(t, url, [], { clientMaxSecrets: 25 });
  const clients = [undefined, Buffer.alloc(16, 'a'), Buffer.alloc(16, 'b')];
  const sizes = [1, 64, 768, 769, 5_000, 70_000];
  await times(400, async (n) => {
    const [one, other] = n % 2 ? [store, second] : [second, store];
    const receiptHash = n % 5 < 2 ? randomBytes(32) : undefined;
    const secret = {
      ...newSecret({ bytes: sizes[n % 6] as number, ...(n % 4 === 1 && { notify: newNotify(n) }) }),
      receiptHash,
      creator: clients[n % 3] && creator(clients[n % 3]),
    };
    if (n % 50 === 7) await Promise.allSettled([store.create(secret), store.create(secret)]);
    else if (await one.create(secret)) return;
    const copy = n % 4 < 2 ? newCopy(undefined, sizes[(n + 2) % 6]) : undefined;
    if (n % 7 < 4) await Promise.all([one, other].map((by) => by.claim(secret.id, CREATED_AT, { copy, ...NO_REFUND })));
    const reread = { claimTag: copy?.claimTag ?? randomBytes(32), maxReads: 2, ...NO_REFUND };
    if (n % 3 === 0) await other.reread(secret.id, CREATED_AT, reread);
    const refusedUntil = n % 11 === 3 ? CREATED_AT : 0;
    if (n % 11 < 5 && receiptHash) await one.burn(secret.id, receiptHash, CREATED_AT, refusedUntil);
    if (n % 9 < 5) await Promise.all([events, second].map((by) => by.finish([secret.id])));
    if (n % 40 === 0) await other.sweep(COPY_UNTIL, 7, 0);
  });
  const isRight = () => t.deepEqual(sumsIn(url), sumsOfTables(url));
  isRight();
  t.true(sumsIn(url).stored > 100_000 && sumsIn(url).clients.length === 2);
  t.true((await events.countWaiting()).events > 5);
  for (const now of [COPY_UNTIL, EXPIRES_AT + 1000, EXPIRES_AT + RECEIPT_MS]) {
    await sweepAll(store, now);
    isRight();
  }
  t.deepEqual(sumsIn(url), { stored: 0, clients: [] });
});

test('the sums are those of the tables whatever happens to accounts', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { accounts, links } = await open();
  const profileOf = (n: number): string => JSON.stringify({ name: 'ж'.repeat(40 * n) });
  const registered = await times(20, async (n) => {
    const link = newRegistration({ profile: profileOf(n) });
    for (const one of [link, newRegistration({ email: link.email })]) await links.addLink(one, 20);
    if (n < 15) await links.activate(link.tokenHash, newAccount().id, CREATED_AT);
    return link;
  });
  const all = await times(20, (n) => createAccount(accounts, { profile: profileOf(n) }));
  for (const [n, account] of all.entries()) {
    const move = newMove(account, `ж${n}@example.com`);
    for (const link of [newReset(account), newReset(account), move]) await links.addLink(link, 1);
    if (n % 2) t.true(await links.changeEmail(move.tokenHash, CREATED_AT));
    else t.is(await accounts.setProfile(account.id, account.profile, profileOf(60 - n)), 'set');
  }
  t.deepEqual(sumsIn(url), sumsOfTables(url));
  await times(20, (n) => accounts.create(newAccount({ email: all[n]?.email as string })));
  for (const { id } of all.slice(5)) t.true(await accounts.setPassword(id, 'another'));
  for (const { id } of [...all.slice(10), ...all.slice(15)]) await accounts.delete(id);
  t.deepEqual(sumsIn(url), sumsOfTables(url));
  t.true(sumsIn(url).stored > 10 * storedBytes(0));
  for (const { id } of await accounts.list(undefined, 100)) await accounts.delete(id);
  t.deepEqual(sumsIn(url), sumsOfTables(url));
  t.is(await links.sweepLinks(registered[0]?.expiresAt as number, 100), 10);
  t.is(sumsIn(url).stored, 0);
});

test('the sums are those of the tables whatever happens to mail, also where a restore removes it', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { mails, fence } = await open();
  const all = [1, 64, 768, 769, 5_000, 70_000].map((bytes) => newMail({ sealed: randomBytes(bytes) }));
  for (const mail of all) t.is(await mails.add(mail), 'added');
  await mails.finish(all.slice(0, 2).map(({ id }) => id));
  await mails.finish(all.slice(0, 1).map(({ id }) => id));
  t.deepEqual(sumsIn(url), sumsOfTables(url));
  t.true(sumsIn(url).stored > 70_000);
  const { databaseId } = await fence.advance(CREATED_AT, []);
  const restored = [{ databaseId, mark: CREATED_AT + HOUR }];
  await Promise.all([mails.add(newMail()), fence.advance(CREATED_AT + 1, restored), mails.add(newMail())]);
  t.deepEqual(sumsIn(url), sumsOfTables(url));
  await fence.advance(CREATED_AT + 2, [{ databaseId, mark: CREATED_AT + 9 * HOUR }]);
  t.deepEqual([sumsIn(url).stored, (await mails.countWaiting()).events], [0, 0]);

  for (const mail of all) await mails.add(mail);
  const operator = await openSqliteFence(pathOf(url));
  await operator.decide('refuse all', CREATED_AT + 3, []);
  await operator.close();
  t.deepEqual([sumsIn(url).stored, (await mails.countWaiting()).events], [0, 0]);
});

test('a file of the first version is counted when it is opened', async (t) => {
  const { url, open } = await SQLITE.place(t);
  copyFileSync(fileURLToPath(new URL('../../fixtures/sqlite-v1.db', import.meta.url)), pathOf(url));
  await (await open()).close();
  t.deepEqual(sumsIn(url), sumsOfTables(url));
  t.true(sumsIn(url).stored > 5_000);
});

test('who opens a file that another process brings to the newest version waits until that is done', async (t) => {
  const { url, open } = await SQLITE.place(t);
  copyFileSync(fileURLToPath(new URL('../../fixtures/sqlite-v1.db', import.meta.url)), pathOf(url));
  const unlock = await lockInProcess(t, pathOf(url));
  const opening = open();
  await sleep(11_000); // longer than for any other lock
  unlock();
  t.truthy(await createTraced((await opening).secrets));
});

test('a file from before the index of ids takes its own size again while it is brought to the newest version', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const envelopes = Array.from({ length: 100 }, (_, index) => randomBytes(index % 2 === 0 ? 300 : 100_000));
  const rows = [...envelopes.entries()].map(([index, envelope]) => ({
    id: `X'${hexOf(index)}'`,
    hex: envelope.toString('hex'),
  }));
  const waiting = rows.map(({ id, hex }) => `(${id}, 1, 2, 3, 4, X'05', X'06', X'07', X'08', X'${hex}')`);
  const ended = rows.map(({ id, hex }) => `(${id}, 'read', 1, 2, 3, 4, 5, 6, 7, X'08', X'09', 10, X'${hex}')`);
  const [waitingColumns, endedColumns] = [
    'id, created_at, expires_at, tries, tries_full_at, receipt, client, notify, destination, envelope',
    'id, state, created_at, expires_at, ended_at, due_at, tries, tries_full_at, reads, receipt, claim_tag, copy_until, envelope',
  ];
  alter(
    pathOf(url),
    `${MIGRATIONS.slice(0, 12).join('')}
     PRAGMA user_version = 12;
     INSERT INTO waiting (${waitingColumns}) VALUES ${waiting};
     INSERT INTO ended (${endedColumns}) VALUES ${ended}`,
  );
  const rowsOf = () => [
    allIn(url, `SELECT ${waitingColumns} FROM waiting ORDER BY id`),
    allIn(url, `SELECT ${endedColumns} FROM ended ORDER BY id`),
  ];
  const [before, bytes] = [rowsOf(), statSync(pathOf(url)).size];
  await open();
  t.deepEqual(rowsOf(), before);
  t.true(statSync(`${pathOf(url)}-wal`).size < 1.2 * bytes);
  t.true((allIn(url, 'PRAGMA page_count')[0]?.page_count as number) * 4096 < 1.2 * bytes);
});

test('a file from before the table of limits keeps the rate of each client', async (t) => {
  const { url, open } = await SQLITE.place(t);
  alter(
    pathOf(url),
    `${MIGRATIONS.slice(0, 5).join('')}
     PRAGMA user_version = 5;
     INSERT INTO clients (id, rate_full_at, secrets, bytes)
     VALUES (x'${'63'.repeat(16)}', ${CREATED_AT + 60_000}, 0, 0), (x'${'6f'.repeat(16)}', 0, 1, 300)`,
  );
  const { secrets } = await open({ clientCreatesPerMinute: 2 });
  t.deepEqual(await secrets.admit(CLIENT, CREATED_AT), { reason: 'rate', retryAfterMs: 15_000 });
  t.is(await secrets.admit(CLIENT, CREATED_AT + 15_000), undefined);
  t.is(await secrets.admit(Buffer.alloc(16, 'o'), CREATED_AT), undefined);
  t.deepEqual(sumsIn(url).clients, [{ secrets: 1, bytes: 300 }]);
});

test('a file of a newer version is refused and left as it is', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const storage = await open();
  await createTraced(storage.secrets);
  await storage.close();
  alter(pathOf(url), 'PRAGMA user_version = 4711; CREATE TABLE waiting_room (id)');
  const before = readFileSync(pathOf(url));
  await t.throwsAsync(open(), { any: true, message: /newer version/ });
  t.deepEqual(readFileSync(pathOf(url)), before);
});

test('a file that is no database is refused and left as it is', async (t) => {
  const path = join(await temporaryFolder(t), 'notes.txt');
  writeFileSync(path, 'Not a database, and dear to somebody. '.repeat(1000));
  const before = readFileSync(path);
  await t.throwsAsync(openSqlite(path, NO_LIMITS, { onLost: () => t.fail(), onWarning: () => t.fail() }), {
    any: true,
    message: /not a database/,
  });
  t.deepEqual(readFileSync(path), before);
});

withMounts('a full disk is told, loses nothing, and writing goes on once there is room', async (t) => {
  const folder = await temporaryFolder(t);
  // In a mount namespace of the child's own, which ends with it.
  const inSmallDisk = `mount -t tmpfs -o size=8m none '${folder}' && exec "$@"`;
  const wrapper = ['unshare', '-m', 'sh', '-c', inSmallDisk, 'sh'];
  const store = await openInProcess(t, `sqlite:${join(folder, 'hushbox.db')}`, wrapper);
  const stored: NewSecret[] = await times(10, () => createTraced(store));
  const create = async (): Promise<void> => {
    const secret = newSecret({ bytes: 20_000 });
    await store.create(secret);
    stored.push(secret);
  };
  const areThere = async (): Promise<void> => {
    for (const secret of stored) t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
  };

  const filler = join('/proc', String(store.pid), 'root', folder, 'filler');
  t.throws(() => writeFileSync(filler, Buffer.alloc(16 * 1024 * 1024)), { code: 'ENOSPC' });
  // Until then the journal may have room of its own; nothing the disk refuses may be taken for stored.
  await Promise.allSettled(Array.from({ length: 400 }, create));
  await areUnavailable(t, { create });
  await areUnavailable(t, { create, another: create, large: () => store.create(newSecret({ bytes: 9_000_000 })) });
  await areThere();

  rmSync(filler);
  await times(3, create);
  await areThere();
});

/** A storage whose losses and warnings are noted. */
function openListening(url: string, losses: Error[], warnings: string[] = []): Promise<Storage> {
  return openSqlite(pathOf(url), NO_LIMITS, {
    onLost: (error) => losses.push(error),
    onWarning: (warning) => warnings.push(warning),
  });
}

/** Fails unless a write is refused within a second, and the time that a busy machine takes. */
async function untilRefused(write: () => Promise<unknown>): Promise<void> {
  const isRefused = () =>
    write().then(
      () => false,
      () => true,
    );
  await until('a refusal', isRefused, 1_500);
}

async function rowsIn(url: string): Promise<Buffer[]> {
  const database = new DatabaseSync(pathOf(url), { readOnly: true });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const recordTables = tables.filter(({ name }) => name !== 'fence' && name !== 'stored');
    const rows = recordTables.flatMap(({ name }) => database.prepare(`SELECT * FROM "${name}"`).all());
    return rows.map((row) => Buffer.concat(Object.values(row).map(bytesOf)));
  } finally {
    database.close();
  }
}

type Sums = { stored: number; clients: { secrets: number; bytes: number }[] };

/** What is kept as sums. */
function sumsIn(url: string): Sums {
  const database = new DatabaseSync(pathOf(url), { readOnly: true });
  const stored = database.prepare('SELECT bytes FROM stored').get()?.bytes as number;
  const clients = database.prepare('SELECT secrets, bytes FROM clients WHERE secrets > 0 ORDER BY id').all();
  database.close();
  return { stored, clients: clients.map(({ secrets, bytes }) => ({ secrets, bytes })) as Sums['clients'] };
}

/** What they should be. */
function sumsOfTables(url: string): Sums {
  const database = new DatabaseSync(pathOf(url), { readOnly: true });
  const waitingLength = 'length(envelope) + coalesce(length(notify) + length(destination), 0)';
  database.function('stored_bytes', (length) => storedBytes(Number(length)));
  const stored = database
    .prepare(
      `SELECT coalesce(sum(stored_bytes(length)), 0) AS bytes FROM (
         SELECT ${waitingLength} AS length FROM waiting
         UNION ALL SELECT coalesce(length(envelope), 0) FROM ended
         UNION ALL SELECT length(notify) + length(destination) FROM events
         UNION ALL SELECT length(sealed) FROM mails
         UNION ALL SELECT octet_length(email) + octet_length(profile) FROM accounts
         UNION ALL SELECT octet_length(email) + octet_length(coalesce(profile, '')) FROM links)`,
    )
    .get()?.bytes as number;
  const clients = database
    .prepare(
      `SELECT count(*) AS secrets, sum(stored_bytes(${waitingLength})) AS bytes
       FROM waiting WHERE client IS NOT NULL GROUP BY client ORDER BY client`,
    )
    .all();
  database.close();
  return { stored, clients: clients.map(({ secrets, bytes }) => ({ secrets, bytes })) as Sums['clients'] };
}

async function lockInProcess(t: ExecutionContext, path: string): Promise<() => void> {
  const child = fork(fileURLToPath(new URL('../contract/lock-child.ts', import.meta.url)), [path]);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return () => child.send('unlock');
}

function hexOf(index: number): string {
  return index.toString(16).padStart(32, '0');
}

function allIn(url: string, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(pathOf(url), { readOnly: true });
  const rows = database.prepare(sql).all();
  database.close();
  return rows;
}

function planIn(url: string, sql: string): unknown[] {
  const database = new DatabaseSync(pathOf(url), { readOnly: true });
  const values = Array.from(sql.matchAll(/\?/g), () => 1);
  const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values);
  database.close();
  return plan.map(({ detail }) => detail);
}

function alter(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

/** By another process: closing a file in ours would drop SQLite's locks on it. */
function overwrite(path: string, at: number, bytes: Buffer): void {
  const args = [`of=${path}`, 'bs=1', `seek=${at}`, 'oflag=seek_bytes', 'conv=notrunc', 'status=none'];
  execFileSync('dd', args.with(1, `bs=${bytes.length}`), { input: bytes });
}

function pathOf(url: string): string {
  return url.slice('sqlite:'.length);
}

function filesOf(url: string): string[] {
  return ['', '-wal', '-shm'].map((suffix) => pathOf(url) + suffix);
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(value instanceof Uint8Array ? value : String(value));
}
