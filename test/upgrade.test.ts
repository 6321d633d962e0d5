import { copyFileSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BSON, MongoClient } from 'mongodb';
import type { Secrets } from '../src/secrets/secrets.ts';
import { type Fixture, secretsAt } from './fixtures/fixture.ts';
import { MONGODB, type Place, SQLITE } from './support/storage.ts';

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

test('there is a fixture of each engine, with secrets of every kind in it', (t) => {
  for (const engine of ['sqlite', 'mongodb']) {
    const [first] = fixturesOf(engine);
    t.true((first?.fixture.secrets.length ?? 0) >= 10);
    const states = new Set(first?.fixture.receipts.map(({ receipt }) => receipt.state));
    t.deepEqual([...states].sort(), ['burned', 'expired', 'read', 'waiting']);
  }
});

async function everythingWorks(t: ExecutionContext, place: Place, fixture: Fixture): Promise<void> {
  const storage = await place.open();
  let now = fixture.madeAt + 1000;
  const secrets = secretsAt(storage.secrets, fixture.masterKeys, () => now);

  await receiptsTell(t, secrets, fixture);
  await eachIsReadOnce(t, secrets, fixture);
  for (const { receiptKey, receipt } of fixture.receipts) {
    if (receipt.state === 'waiting') t.like(await secrets.findReceipt(receiptKey), { state: 'read', reads: 1 });
  }

  await newOnesWork(t, secrets);
  now += 400 * 24 * 3_600_000;
  t.true((await storage.secrets.sweep(now, 1000, 0)).wiped > 0);
  t.is((await storage.secrets.sweep(now, 1000, 0)).wiped, 0);
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
  for (const { title, secretKey, secret, expiresAt, phrase, wrongTries = 0, idempotencyKey } of fixture.secrets) {
    const isGone = { code: 'KEY_NOT_FOUND' };
    if (idempotencyKey) await t.throwsAsync(secrets.look(secretKey), isGone, title);
    else t.deepEqual(await secrets.look(secretKey), { needsPhrase: phrase !== undefined, expiresAt }, title);
    if (phrase) {
      await t.throwsAsync(secrets.read(secretKey, { idempotencyKey }), { code: 'PHRASE_REQUIRED' }, title);
      const wrong = t.throwsAsync(secrets.read(secretKey, { phrase: 'wrong', idempotencyKey }), undefined, title);
      t.like(await wrong, { code: 'WRONG_PHRASE', members: { tries_left: 9 - wrongTries } }, title);
    }
    const times = idempotencyKey ? 4 : 1; // once, or what is left of five
    for (let reads = 0; reads < times; reads++) {
      t.is(await secrets.read(secretKey, { phrase, idempotencyKey }), secret, title);
    }
    await t.throwsAsync(secrets.read(secretKey, { phrase, idempotencyKey }), isGone, title);
  }
}

async function newOnesWork(t: ExecutionContext, secrets: Secrets): Promise<void> {
  const made = await secrets.create({ secret: 'new', phrase: 'phrase', ttlMs: 60_000, receipt: true });
  t.is(await secrets.read(made.secretKey, { phrase: 'phrase' }), 'new');
  t.like(await secrets.findReceipt(made.receiptKey as string), { state: 'read' });
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
