import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { BSON, MongoClient } from 'mongodb';
import type { NewAccount } from '../../../src/auth/accounts/store.ts';
import type { NewSession } from '../../../src/auth/sessions/store.ts';
import type { Customer } from '../../../src/business/store.ts';
import { NO_LIMITS, type StoreLimits } from '../../../src/limits/limits.ts';
import { describeError } from '../../../src/ops/log.ts';
import { COLLECTIONS, SECRETS } from '../../../src/storage/mongo/collections.ts';
import { keepConnection } from '../../../src/storage/mongo/engine/connection.ts';
import { translateFailures } from '../../../src/storage/mongo/engine/unavailable.ts';
import { openMongo } from '../../../src/storage/mongo/open.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { many } from '../../support/storage/many.ts';
import { MONGODB } from '../../support/storage/storage.ts';
import { accountStoreContract } from '../account-store-contract.ts';
import {
  authVerbsOn,
  createAccount,
  createSession,
  newAccount,
  newMove,
  newRegistration,
} from '../contract/accounts.ts';
import { areUnavailable, eventVerbsOn, verbsOn } from '../contract/failures.ts';
import {
  asWaiting,
  CLIENT,
  CREATED_AT,
  claimCopy,
  createTraced,
  createUntraced,
  creator,
  EXPIRES_AT,
  MAX_READS,
  NO_REFUND,
  newCopy,
  newNotify,
  newSecret,
  plain,
  receiptOf,
  times,
} from '../contract/world.ts';
import { customerStoreContract, customerVerbsOn, newCustomer } from '../customer-store-contract.ts';
import { fenceStoreContract, fenceVerbsOn } from '../fence-store-contract.ts';
import { limitStoreContract } from '../limit-store-contract.ts';
import { linkStoreContract } from '../link-store-contract.ts';
import { mailStoreContract } from '../mail-store-contract.ts';
import { secretStoreContract } from '../secret-store-contract.ts';
import { sessionStoreContract } from '../session-store-contract.ts';
import { sightingStoreContract } from '../sighting-store-contract.ts';
import { signingKeyStoreContract } from '../signing-key-store-contract.ts';
import { sinkStoreContract, sinkVerbsOn } from '../sink-store-contract.ts';
import { documentsIn, withClient } from './documents.ts';
import { isWrite, type MongoProxy, startMongoProxy, WRITES } from './mongo-proxy.ts';

fenceStoreContract(MONGODB);

sinkStoreContract(MONGODB);

customerStoreContract(MONGODB);

limitStoreContract(MONGODB);

secretStoreContract(MONGODB, async (url) => {
  const documents = await withClient(url, (client) => client.db().collection('secrets').find().toArray());
  return documents.map((document) => Buffer.from(BSON.serialize(document)));
});

accountStoreContract(MONGODB, documentsIn);

linkStoreContract(MONGODB, documentsIn);

sessionStoreContract(MONGODB);

sightingStoreContract(MONGODB);
mailStoreContract(MONGODB);
signingKeyStoreContract(MONGODB);

/** What only looks; and what writes nothing when there is nothing to sweep or to arm. */
const AUTH_READS: ReadonlySet<string> = new Set([
  ...['links.findLink', 'links.soleRegistration', 'links.sweepLinks'],
  ...['links.activate', 'links.resetPassword', 'links.changeEmail'],
  ...['accounts.find', 'accounts.findByEmail', 'accounts.list', 'sessions.find', 'sessions.list', 'sightings.has'],
  ...['mails.hasDue', 'mails.countWaiting', 'mails.sweepMails'],
  ...['sessions.sweepSessions', 'sightings.sweepSightings', 'sessions.armCookie'],
]);
const MAJORITY = { w: 'majority', j: true, wtimeout: 3_000 };

testMongo('opens while the server is away, and works by itself once it is there', async (t, url) => {
  const proxy = await startMongoProxy(t, url);
  await proxy.cut();
  const { secrets: store, ping } = await openAt(t, proxy.url);
  await areUnavailable(t, { ...verbsOn(store, { ...newSecret(), receiptHash: randomBytes(32) }), ping });
  await proxy.heal();
  await eventually(ping);
  const secret = await createTraced(store);
  t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
  await eventually(async () => (await indexesAt(url)).length === 1 + SECRETS.indexes.length);
});

testMongo('a server that goes away is told on every verb, and found again without reopening', async (t, url) => {
  const { proxy, store, ping, ...others } = await openThroughProxy(t, url);
  const { events, fence, sink, customers } = others;
  const authVerbs = await authVerbsOn(others);
  const secret = await createTraced(store);
  await proxy.cut();
  await areUnavailable(t, {
    ...verbsOn(store, secret),
    ...fenceVerbsOn(fence),
    ...sinkVerbsOn(sink),
    ...customerVerbsOn(customers),
    ...eventVerbsOn(events, secret),
    ...authVerbs,
    ping,
  });
  await proxy.heal();
  await eventually(ping);
  t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
  t.deepEqual(await store.reserveTry(secret.id, CREATED_AT), { granted: true, triesLeft: 9 });
});

testMongo('a server that falls silent is told in bounded time, and found again', async (t, url) => {
  const { proxy, store, ping, ...others } = await openThroughProxy(t, url);
  const { events, fence, sink, customers } = others;
  const authVerbs = await authVerbsOn(others);
  const secret = await createTraced(store);
  proxy.stall();
  const startedAt = performance.now();
  await areUnavailable(t, {
    ...verbsOn(store, secret),
    ...fenceVerbsOn(fence),
    ...sinkVerbsOn(sink),
    ...customerVerbsOn(customers),
    ...eventVerbsOn(events, secret),
    ...authVerbs,
    ping,
  });
  t.true(performance.now() - startedAt < 30_000); // all at once; and the driver tries some of them again
  await proxy.heal();
  await eventually(ping);
  t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
});

// Seen after kills of a server under load: the driver's monitor waits on a closed connection and never looks again.
testMongo('a connection that cannot find the server again is replaced by one that can', async (t, url) => {
  const { connect } = MongoClient.prototype;
  const clients: MongoClient[] = [];
  MongoClient.prototype.connect = function (this: MongoClient) {
    if (new URL(url).pathname === `/${this.options.dbName}`) clients.push(this); // others test beside us
    return connect.call(this);
  };
  t.teardown(() => Object.assign(MongoClient.prototype, { connect }));
  const { secrets: store, ping } = await openAt(t, url);
  await eventually(ping);
  const secret = await createTraced(store);
  const [stuck] = clients as [MongoClient];
  Object.assign(stuck, { connect: () => Promise.reject(new Error('stuck')) });
  await stuck.close();
  await areUnavailable(t, { ping });
  await eventually(ping);
  t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
});

testMongo('closing does not wait for a silent server', async (t, url) => {
  const { proxy, store, close } = await openThroughProxy(t, url);
  await createUntraced(store);
  proxy.stall();
  const startedAt = performance.now();
  const waiting = t.throwsAsync(createUntraced(store), { code: 'STORAGE_UNAVAILABLE' });
  await close();
  await waiting;
  t.true(performance.now() - startedAt < 20_000); // the driver may still ask three times for a connection
});

testMongo('a write whose answer is lost is no success, and is not done twice', async (t, url) => {
  const { proxy, store, ping } = await openThroughProxy(t, url);
  const [read, burned, copied, tried] = [
    await createTraced(store),
    await createTraced(store),
    await createTraced(store),
    await createTraced(store),
  ];
  const untraced = await createUntraced(store);
  const reread = { ...(await claimCopy(store, copied)), maxReads: MAX_READS, ...NO_REFUND };
  const fresh = newSecret();
  proxy.swallowAnswers();
  await areUnavailable(t, {
    create: () => store.create(fresh),
    claim: () => store.claim(read.id, CREATED_AT, { copy: newCopy(), ...NO_REFUND }),
    claimUntraced: () => store.claim(untraced.id, CREATED_AT, NO_REFUND),
    reread: () => store.reread(copied.id, CREATED_AT, reread),
    burn: () => store.burn(burned.id, burned.receiptHash, CREATED_AT, 0),
    reserveTry: () => store.reserveTry(tried.id, CREATED_AT),
  });
  await proxy.heal();
  await eventually(ping);
  for (const { id } of [read, untraced]) t.false(await store.claim(id, CREATED_AT, NO_REFUND));
  t.like(await receiptOf(store, read, CREATED_AT), { state: 'read', reads: 1 });
  t.like(await receiptOf(store, copied, CREATED_AT), { state: 'read', reads: 2 });
  t.is(await store.burn(burned.id, burned.receiptHash, CREATED_AT, 0), 'not-waiting');
  t.deepEqual(await store.reserveTry(tried.id, CREATED_AT), { granted: true, triesLeft: 8 });
  t.deepEqual(plain(await store.find(fresh.id, CREATED_AT)), asWaiting(fresh));
});

// What a replica set answers when the majority did not confirm in time: the stand-in is none and never does.
testMongo('a write that too few members confirmed is no success', async (t, url) => {
  const { proxy, store, ...others } = await openThroughProxy(t, url);
  const { events, fence, sink, customers } = others;
  const authWrites = Object.entries(await authVerbsOn(others)).filter(([name]) => !AUTH_READS.has(name));
  const secrets = await times(6, () => createTraced(store));
  const [first, second, third, fourth, fifth] = secrets as [Traced, Traced, Traced, Traced, Traced];
  const untraced = await createUntraced(store);
  const reread = { ...(await claimCopy(store, third)), maxReads: MAX_READS, ...NO_REFUND };
  const told = { ...newSecret({ notify: newNotify() }), receiptHash: randomBytes(32) };
  await store.create(told);
  await store.claim(told.id, CREATED_AT, NO_REFUND);
  const { takeDue, finish, postpone } = eventVerbsOn(events, told);
  const customer = newCustomer();
  await customers.createCustomer(customer);
  const writeConcernError = { code: 64, codeName: 'WriteConcernTimeout', errmsg: 'waiting for replication timed out' };
  proxy.editAnswers((command, answer) => (isWrite(command) ? { ...answer, writeConcernError } : undefined));
  await areUnavailable(t, { takeDue });
  for (const [name, write] of authWrites) await areUnavailable(t, { [name]: write });
  await areUnavailable(t, {
    firstAdvance: () => fence.advance(CREATED_AT, []),
    keepClaims: sinkVerbsOn(sink).keepClaims,
    createCustomer: customerVerbsOn(customers).createCustomer,
    updateCustomer: () => customers.updateCustomer(customer.id, { name: 'x' }, CREATED_AT),
    deleteCustomer: () => customers.deleteCustomer(customer.id),
    create: () => store.create(newSecret()),
    claim: () => store.claim(first.id, CREATED_AT, NO_REFUND),
    claimUntraced: () => store.claim(untraced.id, CREATED_AT, NO_REFUND),
    reserveTry: () => store.reserveTry(second.id, CREATED_AT),
    refundTry: () => store.refundTry(second.id),
    reread: () => store.reread(third.id, CREATED_AT, reread),
    burn: () => store.burn(fourth.id, fourth.receiptHash, CREATED_AT, 0),
    burnKnown: () => store.burn(fifth.id, fifth.receiptHash, EXPIRES_AT, 0),
    sweep: () => store.sweep(EXPIRES_AT + 1000, 100, 0),
    postpone,
  });
  await areUnavailable(t, { advance: () => fence.advance(CREATED_AT, []), finish });
});

testMongo('what a server says about a document does not reach the log', async (t, url) => {
  const { proxy, store } = await openThroughProxy(t, url);
  const secret = await createTraced(store);
  const quoted = Buffer.from(secret.id).toString('base64');
  const errmsg = `E11000 duplicate key error dup key: { _id: BinData(0, "${quoted}") }`;
  proxy.editAnswers((command) => {
    if (command.aggregate) return undefined; // how much is stored, before an insert
    return command.insert
      ? { ok: 1, n: 0, writeErrors: [{ index: 0, code: 11000, errmsg }] }
      : { ok: 0, code: 2, errmsg };
  });
  const calls = { ...verbsOn(store, secret), create: () => store.create(newSecret()) };
  for (const [name, call] of Object.entries(calls)) {
    const error = await t.throwsAsync(call, { code: 'STORAGE_UNAVAILABLE' }, name);
    const logged = JSON.stringify(describeError(error));
    t.false(logged.includes(quoted), name);
    t.regex(logged, name === 'create' ? /MongoDB error 11000/ : /MongoDB error 2/);
  }
});

testMongo('the URL cannot weaken what the promises rest on', async (t, url) => {
  const proxy = await startMongoProxy(t, url);
  const weak = 'w=0&journal=false&wtimeoutMS=1&readConcernLevel=local';
  const { secrets: store, ping, ...others } = await openAt(t, `${proxy.url}?${weak}`);
  const { events, fence, sink, customers } = others;
  await eventually(ping);
  const authVerbs = await authVerbsOn(others);
  const secret = await createTraced(store);
  for (const call of Object.values({
    ...verbsOn(store, secret),
    ...fenceVerbsOn(fence),
    ...sinkVerbsOn(sink),
    ...customerVerbsOn(customers),
    ...eventVerbsOn(events, secret),
    ...authVerbs,
  }))
    await call();
  await store.sweep(EXPIRES_AT + 1000, 100, 0);
  await eventually(async () => proxy.commands.some(({ createIndexes }) => createIndexes));
  for (const command of proxy.commands) {
    if (isWrite(command)) t.deepEqual(command.writeConcern, MAJORITY);
    if (command.find) t.deepEqual(command.readConcern, { level: 'majority' });
    const isForSize = JSON.stringify(command.pipeline)?.includes('$collStats'); // which takes no other
    if (command.aggregate) t.deepEqual(command.readConcern, { level: isForSize ? 'local' : 'majority' });
  }
  for (const name of [...WRITES, 'find'])
    t.true(
      proxy.commands.some((command) => name in command),
      name,
    );
});

testMongo('no write can insert where it means to change, and none is part of a transaction', async (t, url) => {
  const { proxy, store, ...others } = await openThroughProxy(t, url);
  const { events, fence, sink, customers } = others;
  const authVerbs = await authVerbsOn(others);
  const secret = await createTraced(store);
  for (const call of Object.values({
    ...verbsOn(store, secret),
    ...fenceVerbsOn(fence),
    ...sinkVerbsOn(sink),
    ...customerVerbsOn(customers),
    ...eventVerbsOn(events, secret),
    ...authVerbs,
  }))
    await call();
  for (const command of proxy.commands) {
    const updates = [command, ...(Array.isArray(command.updates) ? command.updates : [])];
    t.true(updates.every(({ upsert }) => !upsert));
    t.is(command.startTransaction, undefined);
  }
});

testMongo('of customers, only those are looked at that are returned', async (t, url) => {
  const { proxy, customers } = await openThroughProxy(t, url);
  await eventually(
    async () => (await withClient(url, (client) => client.db().collection('customers').indexes())).length === 2,
  );
  const all = Array.from({ length: 200 }, (_, n) => newCustomer({ dob: `2000-01-${10 + (n % 20)}` }));
  await many(all.length, (n) => customers.createCustomer(all[n] as Customer));
  const before = proxy.commands.length;
  const found = [await customers.youngestCustomers(10), await customers.listCustomers(all[100]?.id, 10)];
  t.deepEqual(
    found.map(({ length }) => length),
    [10, 10],
  );
  for (const { find, filter, sort, limit, hint } of proxy.commands.slice(before).filter((command) => command.find)) {
    const command = { find, filter, sort, limit, ...(hint !== undefined && { hint }) };
    const { executionStats } = await withClient(url, (client) =>
      client.db().command({ explain: command, verbosity: 'executionStats' }),
    );
    if (executionStats === undefined)
      t.log('this server does not count: FerretDB'); // it sorts all for the youngest
    else t.is(executionStats.totalDocsExamined, 10);
  }
});

testMongo('any number of processes make the same indexes, on an empty and on an old database', async (t, url) => {
  await times(8, () => openAt(t, url, (warning) => t.log(warning)));
  await eventually(async () => (await indexesAt(url)).length === 1 + SECRETS.indexes.length);
  await times(3, async () => createTraced((await openAt(t, url)).secrets));
  const indexes = (await indexesAt(url)).map(({ key, expireAfterSeconds, partialFilterExpression }) => ({
    key,
    expireAfterSeconds,
    partialFilterExpression,
  }));
  const isEvent = { 'event.dueAt': { $exists: true } };
  const none = { expireAfterSeconds: undefined, partialFilterExpression: undefined };
  t.deepEqual(indexes, [
    { ...none, key: { _id: 1 } },
    { ...none, key: { removeAt: 1 }, expireAfterSeconds: 30 },
    { ...none, key: { visibleUntil: 1 }, partialFilterExpression: { receiptHash: { $exists: true } } },
    { ...none, key: { visibleUntil: 1, state: 1 }, partialFilterExpression: { notify: { $exists: true } } },
    { ...none, key: { 'answer.until': 1 }, partialFilterExpression: { 'answer.until': { $exists: true } } },
    { ...none, key: { client: 1 }, partialFilterExpression: { client: { $exists: true } } },
    { ...none, key: { 'event.dueAt': 1, 'event.at': 1 }, partialFilterExpression: isEvent },
    { ...none, key: { 'notify.destination': 1, 'event.dueAt': 1 }, partialFilterExpression: isEvent },
  ]);
  for (const { name, indexes: listed } of COLLECTIONS) {
    if (listed.length === 0) continue;
    const namesAt = async () =>
      (await withClient(url, (client) => client.db().collection(name).indexes())).map((index) => index.name).sort();
    const expected = ['_id_', ...listed.map((index) => index.name)].sort();
    await eventually(async () => (await namesAt()).length === expected.length);
    t.deepEqual(await namesAt(), expected, name);
  }
});

testMongo('an index that is refused is told, once, and the store works without it', async (t, url) => {
  await withClient(url, (client) => client.db().collection('secrets').createIndex({ removeAt: 1 }, { name: 'other' }));
  const refusals: string[] = [];
  const { secrets: store, ping } = await openAt(t, url, (warning) => {
    if (!warning.includes('standalone')) refusals.push(warning);
  });
  await eventually(ping);
  await eventually(async () => refusals.length === 1);
  t.regex(refusals[0] ?? '', /refuses the indexes \(error \d+\)/);
  const secret = await createTraced(store);
  t.true(await store.claim(secret.id, CREATED_AT, NO_REFUND));
  t.is((await store.sweep(EXPIRES_AT, 10, 0)).wiped, 0);
});

testMongo('what a client has is counted anew when it would be refused, once nothing is under way', async (t, url) => {
  const { secrets: store } = await openAt(t, url, undefined, { clientMaxSecrets: 3 });
  const create = (now: number) => store.create({ ...newSecret(), creator: creator(CLIENT, now) });
  for (let left = 3; left > 0; left--) t.is(await create(CREATED_AT), undefined);
  // As the TTL index removes what is over: it tells nobody.
  await withClient(url, (client) => client.db().collection('secrets').deleteMany({}));
  t.like(await create(CREATED_AT + 29_999), { reason: 'quota' });
  t.is(await create(CREATED_AT + 30_000), undefined);
  t.is(await create(CREATED_AT + 30_000), undefined);
  t.is(await create(CREATED_AT + 30_000), undefined);
  t.like(await create(CREATED_AT + 30_000), { reason: 'quota' });
  t.like(await create(CREATED_AT + 90_000), { reason: 'quota' });
});

testMongo('an account whose creation a crash broke off is not there, and its address is free', async (t, url) => {
  const { proxy, accounts, ping } = await openThroughProxy(t, url);
  const [first, second, third] = [newAccount(), newAccount(), newAccount()];
  for (const [account, isLast] of [
    [first, ({ insert }) => insert === 'accounts'],
    [second, ({ insert }) => insert === 'addresses'],
  ] as [NewAccount, (command: BSON.Document) => boolean][]) {
    proxy.swallowAnswers(isLast);
    await areUnavailable(t, { create: () => accounts.create(account) });
    await proxy.heal();
    await eventually(ping);
    t.is(await accounts.findByEmail(account.email), undefined);
  }
  t.deepEqual(await accounts.list(undefined, 10), []);
  const unfinished = await withClient(url, (client) => client.db().collection('accounts').find().toArray());
  for (const { removeAt, createdAt } of unfinished) t.is(removeAt.getTime() - createdAt, 3_600_000);
  t.is(unfinished.length, 2);

  t.is(await accounts.create({ ...third, email: first.email }), 'created');
  t.is(await accounts.create(newAccount({ email: second.email })), 'taken', 'until the database removes it');
  await withClient(url, (client) => client.db().collection<{ _id: string }>('accounts').deleteOne({ _id: second.id }));
  t.is(await accounts.create(newAccount({ email: second.email })), 'created');
});

type IsLast = (command: BSON.Document) => boolean;

/** Who takes an address is given up then. */
const GIVEN_UP = CREATED_AT + 10_000;

/** Runs something whose last step is done, but not answered. */
async function breakOff(t: ExecutionContext, world: ThroughProxy, isLast: IsLast, run: () => Promise<unknown>) {
  world.proxy.swallowAnswers(isLast);
  await areUnavailable(t, { run });
  await world.proxy.heal();
  await eventually(world.ping);
}

const STEPS_OF_ACTIVATION: Record<string, IsLast> = {
  'the account': ({ insert }) => insert === 'accounts',
  'its address': ({ insert }) => insert === 'addresses',
  'its end': ({ update }) => update === 'accounts',
  'the end of links': (command) => command.delete === 'links',
};
for (const [step, isLast] of Object.entries(STEPS_OF_ACTIVATION)) {
  testMongo(`an activation that a crash broke off after ${step} can be repeated, or was done`, async (t, url) => {
    const world = await openThroughProxy(t, url);
    const { accounts, links } = world;
    const link = newRegistration();
    await links.addLink(link, 20);
    await breakOff(t, world, isLast, () => links.activate(link.tokenHash, newAccount().id, CREATED_AT));
    const isUsed = (await accounts.findByEmail(link.email)) !== undefined;
    t.is((await links.findLink(link.tokenHash, GIVEN_UP)) === undefined, isUsed);
    t.is((await links.activate(link.tokenHash, newAccount().id, GIVEN_UP)) === undefined, isUsed);
    t.is((await accounts.findByEmail(link.email))?.passwordHash, link.passwordHash);
  });
}

const STEPS_OF_CHANGE: Record<string, IsLast> = {
  'its beginning': ({ findAndModify }) => findAndModify === 'accounts',
  'the new address': ({ insert }) => insert === 'addresses',
  'the end of links': (command) => command.delete === 'links',
  'the account': ({ update }) => update === 'accounts',
  'the old address': (command) => command.delete === 'addresses',
};
for (const [step, isLast] of Object.entries(STEPS_OF_CHANGE)) {
  testMongo(`a change of address that a crash broke off after ${step} can be repeated, or was done`, async (t, url) => {
    const world = await openThroughProxy(t, url);
    const { accounts, links } = world;
    const account = await createAccount(accounts);
    const move = newMove(account, newAccount().email);
    for (const link of [move, newRegistration({ email: move.email })]) await links.addLink(link, 20);
    await breakOff(t, world, isLast, () => links.changeEmail(move.tokenHash, CREATED_AT));
    const isMoved = (await accounts.find(account.id))?.email === move.email;
    t.is(await links.changeEmail(move.tokenHash, GIVEN_UP), !isMoved);
    t.is((await accounts.findByEmail(move.email))?.id, account.id);
    t.is(await accounts.findByEmail(account.email), undefined);
    t.is(await accounts.create(newAccount({ email: account.email, createdAt: GIVEN_UP })), 'created');
    t.is(await accounts.create(newAccount({ email: move.email, createdAt: GIVEN_UP })), 'taken');
  });
}

testMongo('an address that was not taken to the end because of a crash is free after a while', async (t, url) => {
  const world = await openThroughProxy(t, url);
  const { accounts, links } = world;
  const [account, wanted] = [await createAccount(accounts), newAccount()];
  const move = newMove(account, wanted.email);
  await links.addLink(move, 20);
  const isLast: IsLast = ({ insert }) => insert === 'addresses';
  await breakOff(t, world, isLast, () => links.changeEmail(move.tokenHash, CREATED_AT));
  t.is(await accounts.create({ ...wanted, createdAt: GIVEN_UP - 1 }), 'taken', 'its account may still take it');
  t.is(await accounts.create({ ...wanted, createdAt: GIVEN_UP }), 'created');
  t.false(await links.changeEmail(move.tokenHash, GIVEN_UP));
  t.is((await accounts.findByEmail(account.email))?.id, account.id);
});

testMongo('what a crash leaves of a deletion is removed by the next look at that address', async (t, url) => {
  const { proxy, accounts, sessions, ping } = await openThroughProxy(t, url);
  const account = await createAccount(accounts);
  const session = await createSession(sessions, account);
  proxy.swallowAnswers((command) => command.delete === 'accounts');
  await areUnavailable(t, { delete: () => accounts.delete(account.id) });
  await proxy.heal();
  await eventually(ping);
  t.is(await sessions.find(session.credentialHash, CREATED_AT), undefined);
  t.is(await accounts.findByEmail(account.email), undefined);
  t.deepEqual(await withClient(url, (client) => client.db().collection('addresses').find().toArray()), []);
  t.is(await accounts.create(newAccount({ email: account.email })), 'created');
});

testMongo(
  'a session whose account does not name it does not live, nor does one without its document',
  async (t, url) => {
    const { accounts, sessions } = await openAt(t, url);
    await eventually(async () => accounts.list(undefined, 1));
    const account = await createAccount(accounts);
    const [unnamed, gone, kept] = await times(3, () => createSession(sessions, account));
    await withClient(url, async (client) => {
      const named = client.db().collection<{ _id: string; sessions: string[] }>('accounts');
      await named.updateOne({ _id: account.id }, { $pull: { sessions: unnamed?.id as string } });
      await client.db().collection('sessions').deleteOne({ id: gone?.id });
    });
    for (const session of [unnamed, gone]) {
      t.is(await sessions.find(session?.credentialHash as Uint8Array, CREATED_AT), undefined);
      t.false(await sessions.extend(session as NewSession, CREATED_AT, CREATED_AT + 1));
      t.false(await sessions.offerCookie(session as NewSession, randomBytes(32), CREATED_AT));
      t.false(await sessions.end(session as NewSession));
    }
    t.deepEqual(
      (await sessions.list(account.id, CREATED_AT)).map(({ id }) => id),
      [kept?.id],
    );
  },
);

testMongo('the step that ends sessions is one with the change of the account', async (t, url) => {
  const { accounts, sessions } = await openAt(t, url);
  await eventually(async () => accounts.list(undefined, 1));
  const ends: Record<string, (session: NewSession) => Promise<unknown>> = {
    setPassword: ({ accountId }) => accounts.setPassword(accountId, 'another'),
    setDisabled: ({ accountId }) => accounts.setDisabled(accountId, undefined),
    end: (session) => sessions.end(session),
    endAll: ({ accountId }) => sessions.endAll(accountId, undefined),
    delete: ({ accountId }) => accounts.delete(accountId),
  };
  for (const [title, end] of Object.entries(ends)) {
    const session = await createSession(sessions, await createAccount(accounts));
    await withClient(url, async (client) => {
      const documents = client.db().collection('sessions');
      const document = await documents.findOne({ id: session.id });
      await end(session);
      await documents.insertOne(document as BSON.Document); // as if the process had ended before its removal
    });
    t.is(await sessions.find(session.credentialHash, CREATED_AT), undefined, title);
  }
});

testMongo('a client is counted anew every five seconds at most', async (t, url) => {
  const { proxy, store } = await openThroughProxy(t, url, { clientMaxSecrets: 1 });
  const create = (now: number) => store.create({ ...newSecret(), creator: creator(CLIENT, now) });
  t.is(await create(CREATED_AT), undefined);
  const counts = () => proxy.commands.filter(({ pipeline }) => JSON.stringify(pipeline)?.includes('$group')).length;
  for (const [afterMs, expected] of [
    [30_000, 1],
    [34_999, 1],
    [35_000, 2],
  ] as const) {
    t.like(await create(CREATED_AT + afterMs), { reason: 'quota' });
    t.is(counts(), expected);
  }
});

testMongo('the place for a secret that the server refuses is free again', async (t, url) => {
  const { proxy, store } = await openThroughProxy(t, url, { clientMaxSecrets: 1 });
  const create = () => store.create({ ...newSecret(), creator: creator() });
  proxy.editAnswers(({ insert }) => (insert === 'secrets' ? { ok: 0, code: 14031, errmsg: 'disk full' } : undefined));
  t.like(await t.throwsAsync(create), { code: 'STORAGE_UNAVAILABLE', isNotWritten: true });
  await proxy.heal();
  t.is(await create(), undefined);
  t.like(await create(), { reason: 'quota' });
});

testMongo('a place whose secret may be stored after all stays taken', async (t, url) => {
  const { proxy, store, ping } = await openThroughProxy(t, url, { clientMaxSecrets: 1 });
  t.is(await store.create({ ...newSecret(), creator: creator(Buffer.alloc(16, 'o')) }), undefined); // all is known by now
  proxy.swallowAnswers(({ insert }) => insert === 'secrets');
  const create = () => store.create({ ...newSecret(), creator: creator() });
  await areUnavailable(t, { create });
  await store.find(newSecret().id, CREATED_AT); // had it been given back, that would have been on its way before
  await proxy.heal();
  await eventually(ping);
  t.like(await create(), { reason: 'quota' });
});

for (const [kind, member, isWarned] of [
  ['a standalone server', {}, true],
  ['a member of a replica set', { setName: 'rs0' }, false],
  ['a mongos', { msg: 'isdbgrid' }, false],
] as const) {
  testMongo(`${kind} is ${isWarned ? '' : 'not '}warned about`, async (t, url) => {
    const proxy = await startMongoProxy(t, url);
    proxy.editAnswers(({ hello }, answer) => (hello ? { ...answer, ...member } : undefined));
    const warnings: string[] = [];
    await openAt(t, proxy.url, (warning) => warnings.push(warning));
    await eventually(async () => proxy.commands.some(({ createIndexes }) => createIndexes));
    t.is(warnings.filter((warning) => warning.includes('standalone')).length, isWarned ? 1 : 0);
  });
}

testMongo('a URL that names no database means hushbox', async (t, url) => {
  const proxy = await startMongoProxy(t, url);
  proxy.editAnswers(() => ({ ok: 0, code: 13, errmsg: 'not allowed' })); // goes no further
  for (const ending of ['', '/', '/?retryReads=true']) {
    const before = proxy.commands.length;
    const { close } = await openAt(t, `mongodb://${new URL(proxy.url).host}${ending}`);
    await eventually(async () => proxy.commands.length > before);
    await close();
  }
  t.true(proxy.commands.every(({ $db }) => $db === 'hushbox'));
});

testMongo('however many look at a secret at once, it is not on its way for each of them', async (t, url) => {
  const { proxy, store } = await openThroughProxy(t, url);
  const secret = await createTraced(store, { bytes: 1_000_000 });
  const before = proxy.commands.length;
  const looks = Array.from({ length: 50 }, () => store.find(secret.id, CREATED_AT));
  for (const found of await Promise.all(looks)) t.deepEqual(plain(found), asWaiting(secret));
  t.is(proxy.commands.slice(before).filter(({ find }) => find === 'secrets').length, 2);
});

test('how long to wait, and for how many connections, is ours to say unless the URL does', async (t) => {
  const optionsAt = async (url: string): Promise<MongoClient['options']> => {
    const { current, close } = keepConnection(url); // connects to nothing
    await close();
    return current().client.options;
  };
  const ours = { socketTimeoutMS: 4_000, waitQueueTimeoutMS: 2_000, connectTimeoutMS: 2_000, maxPoolSize: 50 };
  const all = { ...ours, serverSelectionTimeoutMS: 2_000, promoteBuffers: true };
  t.like(await optionsAt('mongodb://localhost/x'), all);
  const some = await optionsAt(
    'mongodb://a:1,b:2/x?sockettimeoutms=9000&appName=a?b&maxPoolSize=7&promoteBuffers=false',
  );
  t.like(some, { ...all, socketTimeoutMS: 9_000, maxPoolSize: 7, appName: 'a?b' });
  const waits = 'waitQueueTimeoutMS=1&connectTimeoutMS=2&serverSelectionTimeoutMS=3';
  const others = await optionsAt(`mongodb://localhost/x?${waits}`);
  t.like(others, { ...all, waitQueueTimeoutMS: 1, connectTimeoutMS: 2, serverSelectionTimeoutMS: 3 });
});

test('a URL that the driver refuses is not quoted', async (t) => {
  for (const url of ['mongodb://user:sesame/open@host/db', 'mongodb://sesame:99999/', 'mongodb://h/?sesame=1']) {
    const error = await t.throwsAsync(openMongo(url, NO_LIMITS, () => {}));
    t.false(JSON.stringify(describeError(error)).includes('sesame'));
  }
});

test('more calls than can wait are refused at once', async (t) => {
  const { wait } = translateFailures({ wait: () => new Promise<void>(() => {}) });
  for (let calls = 0; calls < 10_000; calls++) void wait();
  await areUnavailable(t, { wait });
});

type Traced = Awaited<ReturnType<typeof createTraced>>;

function testMongo(title: string, run: (t: ExecutionContext, url: string) => Promise<void>): void {
  MONGODB.test(title, async (t) => run(t, (await MONGODB.place(t)).url));
}

async function openAt(
  t: ExecutionContext,
  url: string,
  onWarning: (message: string) => void = () => {},
  limits: Partial<StoreLimits> = {},
): Promise<Storage> {
  const storage = await openMongo(url, { ...NO_LIMITS, ...limits }, onWarning);
  t.teardown(storage.close);
  return storage;
}

type ThroughProxy = { proxy: MongoProxy; store: Storage['secrets'] } & Omit<Storage, 'secrets'>;

async function openThroughProxy(
  t: ExecutionContext,
  url: string,
  limits?: Partial<StoreLimits>,
): Promise<ThroughProxy> {
  const proxy = await startMongoProxy(t, url);
  const { secrets: store, ...others } = await openAt(t, proxy.url, undefined, limits);
  await eventually(others.ping);
  return { proxy, store, ...others };
}

function indexesAt(url: string): Promise<BSON.Document[]> {
  return withClient(url, (client) => client.db().collection('secrets').indexes());
}

/** The server and the driver have clocks of their own: asks until it is so, for at most 20 s. */
async function eventually(isSo: () => Promise<unknown>): Promise<void> {
  for (let looks = 1; ; looks++) {
    const outcome = await isSo().catch((error: Error) => error);
    if (outcome !== false && !(outcome instanceof Error)) return;
    if (looks === 200) throw new Error('it never was so', { cause: outcome });
    await sleep(100);
  }
}
