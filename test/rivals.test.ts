import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { startServer, type TestServer } from './support/http/server.ts';
import { ENGINES, type Place } from './support/storage/storage.ts';

// Faults of other projects, as tests of this service. Each title names its source.

type Codes = { status: number; code?: string; secret?: string };

async function read(server: TestServer, key: string, body: object = {}, headers = {}): Promise<Codes> {
  const response = await server.post(`/secrets/${key}`, body, headers);
  return { status: response.status, ...((await response.json()) as object) };
}

function count(answers: readonly Codes[], status: number): number {
  return answers.filter((answer) => answer.status === status).length;
}

/** Every byte that the engine stores, its log of writes included. */
async function bytesAtRest({ url }: Place): Promise<Buffer> {
  if (url.startsWith('sqlite:')) {
    const path = url.slice('sqlite:'.length);
    const files = readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)));
    return Buffer.concat(files.map((name) => readFileSync(join(dirname(path), name))));
  }
  const { BSON, MongoClient } = await import('mongodb');
  const client = new MongoClient(url);
  const documents = [];
  for (const { name } of await client.db().listCollections().toArray()) {
    documents.push(...(await client.db().collection(name).find().toArray()));
  }
  await client.close();
  return Buffer.concat(documents.map((document) => BSON.serialize(document)));
}

for (const { name, test, place } of ENGINES) {
  const start = async (t: ExecutionContext): Promise<TestServer> => startServer(t, { place: await place(t) });

  /** Two servers on one storage, as two hosts would be. */
  async function startTwo(t: ExecutionContext): Promise<[TestServer, TestServer]> {
    const shared = await place(t);
    const masterKeys: [Buffer] = [randomBytes(32)];
    const first = await startServer(t, { place: shared, masterKeys });
    return [first, await startServer(t, { place: shared, masterKeys, clock: first.clock })];
  }

  test(`${name}: several instances never serve one secret twice (cryptgeon README; yopass#2652, onetimesecret#3615, GHSA-92r4-rpw3-7cwm, CVE-2026-87816)`, async (t) => {
    const servers = await startTwo(t);
    for (let round = 0; round < 8; round++) {
      const { secret_key } = await servers[0].create({ secret: `s${round}` });
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, index) => read(servers[index % 2 ? 1 : 0], secret_key)),
      );
      t.is(count(answers, 200), 1);
      t.is(count(answers, 404), 39);
      t.is(answers.find(({ status }) => status === 200)?.secret, `s${round}`);
    }
  });

  test(`${name}: slow hashing opens no window for a second reader (umputun/secrets LoadMessage, Bitwarden server#6786)`, async (t) => {
    const servers = await startTwo(t);
    const { secret_key } = await servers[0].create({ secret: 's', phrase: 'right' });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => read(servers[index % 2 ? 1 : 0], secret_key, { phrase: 'right' })),
    );
    t.deepEqual([count(answers, 200), count(answers, 404)], [1, 19]);
  });

  test(`${name}: parallel guesses over several instances share one budget (umputun/secrets: 40 of 40 evaluated; CVE-2026-61458: counted by process and address)`, async (t) => {
    const servers = await startTwo(t);
    const { secret_key } = await servers[0].create({ secret: 's', phrase: 'right' });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        read(servers[index % 2 ? 1 : 0], secret_key, { phrase: `pin ${index}` }),
      ),
    );
    t.deepEqual([count(answers, 403), count(answers, 429)], [10, 30]);
  });

  test(`${name}: neither a wrong phrase nor running out of tries destroys the secret (PrivateBin#620, snappass get_password, crypt.fyi fc)`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's', phrase: 'right' });
    for (let tries = 0; tries < 30; tries++) await read(server, secret_key, { phrase: 'wrong' });
    server.clock.advance({ hours: 1 });
    t.is((await read(server, secret_key, { phrase: 'right' })).secret, 's');
  });

  test(`${name}: leaving the phrase out does not skip it (scrt-link-v2, onetimesecret#525)`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's', phrase: 'right' });
    for (const body of [{}, { phrase: '' }]) t.is((await read(server, secret_key, body)).code, 'PHRASE_REQUIRED');
    t.is((await read(server, secret_key, { phrase: 'right' })).secret, 's');
  });

  test(`${name}: link previews and prefetchers read nothing (enclosed, snappass#125, Luzifer/ots GETDEL, PrivateBin#1185)`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's' });
    for (const agent of ['Slackbot-LinkExpanding 1.0', 'Mozilla/5.0', 'facebookexternalhit/1.1']) {
      for (const accept of ['*/*', 'text/html']) {
        t.is((await server.get(`/secrets/${secret_key}`, { 'user-agent': agent, accept })).status, 200);
      }
    }
    t.is((await read(server, secret_key)).secret, 's');
  });

  test(`${name}: a lifetime is never negative, zero, text or endless (GHSA-h5fq-653g-gxrm, GHSA-6ppq-9x26-5r92, snappass ttl -5 and "abc")`, async (t) => {
    const server = await start(t);
    for (const ttl of [-1, 0, 'abc', { minutes: -5 }, { minutes: 0 }, { minutes: 'abc' }, { days: 8 }, {}, null]) {
      const response = await server.post('/generate', { secret: 's', ttl });
      t.deepEqual(
        [response.status, ((await response.json()) as Codes).code],
        [400, 'INVALID_REQUEST'],
        JSON.stringify(ttl),
      );
    }
  });

  test(`${name}: a secret that was read leaves nothing behind (Hemmelig views = 0, scrt-link-v2: seven days, PasswordPusher until its job)`, async (t) => {
    const shared = await place(t);
    const server = await startServer(t, { place: shared });
    const { secret_key, receipt_key } = await server.create({ secret: 's', receipt: true });
    const found = await server.storage.secrets.find(idOf(receipt_key), server.clock.now);
    const { envelope } = found as { envelope: Uint8Array };
    t.is((await read(server, secret_key)).status, 200);
    if (name === 'mongodb') t.false((await bytesAtRest(shared)).includes(Buffer.from(envelope)));
    else {
      // The write-ahead log keeps old pages, sealed, until they are overwritten, so the file is searched after closing.
      await server.storage.close();
      t.false((await bytesAtRest(shared)).includes(Buffer.from(envelope)));
    }
  });

  test(`${name}: the storage holds no secret, phrase or key, also for a secret that looks like an envelope (onetimesecret audit F4, H-1; PasswordPusher)`, async (t) => {
    const shared = await place(t);
    const masterKey = randomBytes(32);
    const server = await startServer(t, { place: shared, masterKeys: [masterKey] });
    const mine = 'an-idempotency-key-of-mine';
    const words = ['{"v":1,"iv":"AAAA","ciphertext":"Xyzzy"}', 'Plugh-phrase'];
    const [secret, phrase] = words as [string, string];
    const plain = await server.create({ secret });
    const copied = await server.create({ secret, phrase, receipt: true });
    t.is((await read(server, copied.secret_key, { phrase }, { 'idempotency-key': mine })).secret, secret);
    const bytes = await bytesAtRest(shared);
    t.true(bytes.length > 0);
    const keys = [plain.secret_key, copied.secret_key, copied.receipt_key.slice('receipt_'.length)];
    for (const word of [...words, mine, ...keys]) t.false(bytes.includes(word), word);
    for (const key of keys) t.false(bytes.includes(Buffer.from(key, 'base64url').subarray(-24)));
    t.false(bytes.includes(masterKey));
    t.is((await read(server, plain.secret_key)).secret, secret);
  });

  test(`${name}: a create that was not stored is never answered with a link (sup3rS3cret: 200 with an empty token)`, async (t) => {
    const server = await start(t);
    await server.storage.close();
    const response = await server.post('/generate', { secret: 's' });
    t.is(response.status, 503);
    t.truthy(response.headers.get('retry-after'));
    const answer = (await response.json()) as Record<string, unknown>;
    t.is(answer.code, 'STORAGE_UNAVAILABLE');
    t.false('secret_key' in answer);
  });

  test(`${name}: a reader whose connection broke gets it again (lost by yopass, onetimesecret adr-019, Luzifer/ots)`, async (t) => {
    const server = await start(t);
    const { secret_key } = await server.create({ secret: 's' });
    const mine = { 'idempotency-key': randomBytes(16).toString('hex') };
    const controller = new AbortController();
    const lost = fetch(`${server.base}/secrets/${secret_key}`, {
      method: 'POST',
      headers: mine,
      signal: controller.signal,
    });
    await lost.then(() => controller.abort());
    t.is((await read(server, secret_key, {}, mine)).secret, 's');
  });
}

/** A receipt key begins with the record's id. */
function idOf(receiptKey: string): Uint8Array {
  return Buffer.from(receiptKey.slice('receipt_'.length), 'base64url').subarray(0, 24);
}
