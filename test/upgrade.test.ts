import { copyFileSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BSON, MongoClient } from 'mongodb';
import { parseSecretKey } from '../src/secrets/keys.ts';
import type { Secrets } from '../src/secrets/secrets.ts';
import type { Storage } from '../src/storage/storage.ts';
import { type Fixture, secretsAt, sinkAt, type Told, webhookIn } from './fixtures/fixture.ts';
import { createAccount, createSession } from './storage/contract/accounts.ts';
import { MONGODB, type Place, SQLITE } from './support/storage/storage.ts';

const MINUTE = 60_000;
const FOLDER = new URL('fixtures/', import.meta.url).pathname;

function fixturesOf(engine: string): { name: string; fixture: Fixture }[] {
  return globSync(join(FOLDER, `${engine}-*.json`)).map((path) => ({
    name: basename(path, '.json'),
    fixture: JSON.parse(readFileSync(path, 'utf8')) as Fixture,
  }));
}

for (const { name, fixture } of fixturesOf('sqlite')) {
  SQLITE.test(`a data file of ${name} opens, and everything in it works`, async (t) => {
    const place = await SQLITE.place(t);
    copyFileSync(join(FOLDER, `${name}.db`), place.url.slice('sqlite:'.length));
    await everythingWorks(t, place, fixture);
  });
}

for (const { name, fixture } of fixturesOf('mongodb')) {
  MONGODB.test(`a database of ${name} opens, and everything in it works`, async (t) => {
    const place = await MONGODB.place(t);
    await insert(place.url, fixture.collections ?? {});
    await everythingWorks(t, place, fixture);
  });
}

test('there are fixtures of each engine, with records of every kind in them', (t) => {
  for (const engine of ['sqlite', 'mongodb']) {
    const fixtures = fixturesOf(engine);
    t.deepEqual(
      fixtures.map(({ name }) => name),
      [`${engine}-v1`, `${engine}-v2`, `${engine}-v3`, `${engine}-v4`],
    );
    for (const { fixture } of fixtures) {
      t.true(fixture.secrets.length >= 10);
      const states = new Set(fixture.receipts.map(({ receipt }) => receipt.state));
      t.deepEqual([...states].sort(), ['burned', 'expired', 'read', 'waiting']);
    }
    const newest = fixtures.at(-1)?.fixture;
    t.deepEqual([...new Set(newest?.events?.map(({ type }) => type))].sort(), ['burned', 'expired', 'read']);
    t.true(newest?.secrets.some(({ webhook }) => webhook));
    t.is(newest?.claims?.length, 2);
    t.is(newest?.requests?.length, 2);
    t.true(newest?.secrets.some(({ proof }) => proof));
  }
});

async function everythingWorks(t: ExecutionContext, place: Place, fixture: Fixture): Promise<void> {
  const storage = await place.open();
  let now = fixture.madeAt + 1000;
  const secrets = secretsAt(storage.secrets, fixture.masterKeys, () => now);

  await receiptsTell(t, secrets, fixture);
  await claimsAreThere(t, storage, fixture, now);
  await eachIsReadOnce(t, secrets, fixture);
  await requestsAreOpen(t, secrets, fixture);
  await eachEndIsTold(t, storage, fixture, now);
  for (const { receiptKey, receipt } of fixture.receipts) {
    if (receipt.state === 'waiting') t.like(await secrets.findReceipt(receiptKey), { state: 'read', reads: 1 });
  }

  await newOnesWork(t, secrets);
  await accountsWork(t, storage);
  now += 400 * 24 * 3_600_000;
  t.true((await storage.secrets.sweep(now, 1000, 0)).wiped > 0);
  t.is((await storage.secrets.sweep(now, 1000, 0)).wiped, 0);
  t.is(await storage.sink.sweepClaims(now, 1000), fixture.claims?.length ?? 0);
  for (const { receiptKey } of fixture.receipts) {
    await t.throwsAsync(secrets.findReceipt(receiptKey), { code: 'KEY_NOT_FOUND' });
  }
}

async function receiptsTell(t: ExecutionContext, secrets: Secrets, fixture: Fixture): Promise<void> {
  for (const { receiptKey, receipt } of fixture.receipts) {
    t.deepEqual(JSON.parse(JSON.stringify(await secrets.findReceipt(receiptKey))), receipt);
  }
}

async function eachIsReadOnce(t: ExecutionContext, secrets: Secrets, fixture: Fixture): Promise<void> {
  for (const {
    title,
    secretKey,
    secret,
    expiresAt,
    phrase,
    proof,
    wrongTries = 0,
    idempotencyKey,
  } of fixture.secrets) {
    const isGone = { code: 'KEY_NOT_FOUND' };
    if (idempotencyKey) await t.throwsAsync(secrets.look(secretKey), isGone, title);
    else t.like(await secrets.look(secretKey), { needsPhrase: phrase !== undefined, expiresAt }, title);
    if (phrase) {
      await t.throwsAsync(secrets.read(secretKey, { idempotencyKey }), { code: 'PHRASE_REQUIRED' }, title);
      const wrong = t.throwsAsync(secrets.read(secretKey, { phrase: 'wrong', idempotencyKey }), undefined, title);
      t.like(await wrong, { code: 'WRONG_PHRASE', members: { tries_left: 9 - wrongTries } }, title);
    }
    const times = idempotencyKey ? 4 : 1; // once, or what is left of five
    for (let reads = 0; reads < times; reads++) {
      t.is((await secrets.read(secretKey, { phrase, proof, idempotencyKey })).secret, secret, title);
    }
    await t.throwsAsync(secrets.read(secretKey, { phrase, proof, idempotencyKey }), isGone, title);
  }
}

async function requestsAreOpen(t: ExecutionContext, secrets: Secrets, fixture: Fixture): Promise<void> {
  for (const { requestKey, secretKey, note, expiresAt } of fixture.requests ?? []) {
    t.deepEqual(await secrets.requests.look(requestKey), { note, expiresAt });
    t.deepEqual(await secrets.look(secretKey), { answered: false, note, expiresAt });
    await secrets.requests.answer(requestKey, { secret: 'an answer', sealed: false, receipt: false });
    t.is((await secrets.read(secretKey, {})).secret, 'an answer');
  }
}

/** Those that ended before, those that are read now, and those that expired; each under the id that it always had. */
async function eachEndIsTold(t: ExecutionContext, storage: Storage, fixture: Fixture, now: number): Promise<void> {
  await storage.secrets.sweep(now, 1000, 0);
  const read = fixture.secrets.flatMap(({ secretKey, webhook }): Told[] => {
    const id = parseSecretKey(secretKey)?.id.toString('hex') as string;
    return webhook ? [{ ...webhook, id, type: 'read', occurredAt: now, attempts: 0 }] : [];
  });
  // What somebody held when the fixture was made is held no more by then.
  const options = { limit: 200, perDestination: 200, leaseUntil: now + 2 * MINUTE, without: [] };
  const taken = await storage.events.takeDue(now + MINUTE, options);
  const told = taken.map((event): Told => {
    const { id, type, occurredAt, attempts } = event;
    const webhook = webhookIn(fixture.masterKeys, event);
    return { ...webhook, id: Buffer.from(id).toString('hex'), type, occurredAt, attempts };
  });
  const byId = (one: Told, other: Told): number => (one.id < other.id ? -1 : 1);
  t.deepEqual(told.sort(byId), [...(fixture.events ?? []), ...read].sort(byId));
  await storage.events.finish(taken.map(({ id }) => id));
  t.is((await storage.events.countWaiting()).events, 0);
}

async function claimsAreThere(t: ExecutionContext, storage: Storage, fixture: Fixture, now: number): Promise<void> {
  const { claims = [] } = fixture;
  const sink = sinkAt(storage.sink, () => now);
  t.deepEqual(await sink.list(), claims);
  for (const one of claims) await t.throwsAsync(sink.receive(JSON.stringify(one)), { code: 'TOKEN_REPLAYED' });
}

async function newOnesWork(t: ExecutionContext, secrets: Secrets): Promise<void> {
  const made = await secrets.create({ secret: 'new', phrase: 'phrase', ttlMs: 60_000, receipt: true });
  t.is((await secrets.read(made.secretKey, { phrase: 'phrase' })).secret, 'new');
  t.like(await secrets.findReceipt(made.receiptKey as string), { state: 'read' });
}

/** No format before the seventh has any. */
async function accountsWork(t: ExecutionContext, { accounts, sessions }: Storage): Promise<void> {
  t.deepEqual(await accounts.list(undefined, 1), []);
  const session = await createSession(sessions, await createAccount(accounts));
  t.truthy(await sessions.find(session.credentialHash, session.createdAt));
}

async function insert(url: string, collections: NonNullable<Fixture['collections']>): Promise<void> {
  const client = new MongoClient(url);
  try {
    for (const [name, documents] of Object.entries(collections)) {
      await client
        .db()
        .collection(name)
        .insertMany(documents.map((document) => BSON.EJSON.deserialize(document, { relaxed: false })));
    }
  } finally {
    await client.close();
  }
}
