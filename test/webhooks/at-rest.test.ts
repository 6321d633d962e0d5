import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Document, MongoClient } from 'mongodb';
import { parseSecretKey } from '../../src/secrets/keys.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { findLeaks } from '../support/process/leaks.ts';
import { until } from '../support/process/program.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { findGoneReceiver, type Receiver, startReceiver } from '../support/webhooks/receiver.ts';

type Created = { secret_key: string; receipt_key: string; webhook_secret: string };

/** Everything that is stored, as bytes: a database's files, or each binary and each text of its documents. */
async function dump(url: string): Promise<Buffer> {
  if (url.startsWith('sqlite:')) {
    const folder = dirname(url.slice('sqlite:'.length));
    return Buffer.concat(readdirSync(folder).map((file) => readFileSync(join(folder, file))));
  }
  const client = new MongoClient(url);
  try {
    const collections = await client.db().collections();
    const documents: Document[] = [];
    for (const collection of collections) documents.push(...(await collection.find().toArray()));
    return Buffer.concat(documents.flatMap(bytesIn));
  } finally {
    await client.close();
  }
}

function bytesIn(value: unknown): Buffer[] {
  if (typeof value === 'string') return [Buffer.from(value)];
  if (typeof value !== 'object' || value === null) return [];
  if ('buffer' in value && value.buffer instanceof Uint8Array) return [Buffer.from(value.buffer)];
  return Object.values(value).flatMap(bytesIn);
}

/** What nobody may find in it, in each form it could have. */
function wordsOf({ secret_key: key, webhook_secret: secret }: Created, { url }: Receiver, webhookId = ''): Buffer[] {
  const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const id = webhookId.slice('msg_'.length);
  const fingerprint = createHash('sha256').update(key).digest().subarray(0, 16);
  const words = [url, new URL(url).host, new URL(url).pathname, secret, bytes.toString('hex'), bytes.subarray(0, 16)];
  return [...words, ...(id ? [id, Buffer.from(id, 'base64url')] : []), fingerprint, fingerprint.toString('hex')].map(
    (word) => Buffer.from(word),
  );
}

for (const { name, place: placeOf, test: runs } of ENGINES) {
  const start = async (t: ExecutionContext): Promise<[TestServer, Receiver, () => Promise<Buffer>]> => {
    const place = await placeOf(t);
    const receiver = await startReceiver(t);
    return [await startServer(t, { place, env: { EGRESS_ALLOW: '127.0.0.1' } }), receiver, () => dump(place.url)];
  };
  const create = async (server: TestServer, notify: string): Promise<Created> =>
    (await (await server.post('/generate', { secret: 'some secret', notify })).json()) as Created;

  runs(`${name}: neither address nor secret, nor what the event will say, can be read in the database`, async (t) => {
    const [server, receiver, read] = await start(t);
    receiver.answer = { status: 503 };
    const created = await create(server, receiver.url);
    t.true((await read()).includes(parseSecretKey(created.secret_key)?.id as Buffer)); // what can be found is found
    const findIn = (bytes: Buffer, id?: string): string[] =>
      wordsOf(created, receiver, id)
        .filter((word) => bytes.includes(word))
        .map((word) => word.toString());
    t.deepEqual(findIn(await read()), []);
    await server.post(`/secrets/${created.secret_key}`);
    await until('an attempt', () => receiver.calls.length === 1);
    const id = String(receiver.calls[0]?.headers['webhook-id']);
    await until('its end', () => server.storage.events.hasDue(server.clock.now + 5_000));
    t.deepEqual(findIn(await read(), id), []);
    t.true(wordsOf(created, receiver, id).length > 8);
  });

  runs(`${name}: what is said of deliveries, their failures and refusals names no address, secret or id`, async (t) => {
    const [server, receiver] = await start(t);
    const gone = await findGoneReceiver();
    for (const { status, url } of [
      { status: 204, url: receiver.url },
      { status: 503, url: receiver.url },
      { status: 302, url: receiver.url },
      { status: 410, url: receiver.url },
      { status: 0, url: gone },
      { status: 0, url: gone.replace('http:', 'https:') },
    ]) {
      receiver.answer = { status };
      const before = receiver.calls.length;
      const { secret_key: key } = await create(server, url);
      await server.post(`/secrets/${key}`);
      if (status > 0) await until('an attempt', () => receiver.calls.length > before);
    }
    const failed = /hushbox_webhook_results_total\{result="unreachable"\} 2/;
    await until('the last outcome', () => failed.test(server.metrics()));
    for (const notify of ['https://10.1.2.3/a-path-that-is-secret', 'https://user:password@host.example/secret-path']) {
      const refused = await server.post('/generate', { secret: 'some secret', notify });
      t.true(refused.status === 400 || refused.status === 403);
      const text = await refused.text();
      t.false(/10\.1\.2\.3|password|host\.example|secret-path/.test(text), text);
    }
    t.deepEqual(findLeaks(server.logged() + server.metrics()), []);
  });
}
