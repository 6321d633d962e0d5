import { randomUUID } from 'node:crypto';
import type { Db, Document } from 'mongodb';
import type { Clock } from '../../../clock.ts';
import type { Inspection, MongoFact } from '../../inspection.ts';
import { COLLECTIONS, SECRETS } from '../collections.ts';
import { type Connection, connectPatiently, isStandalone, keepConnection } from '../engine/connection.ts';
import { hasCode, NAMESPACE_NOT_FOUND } from '../engine/error-codes.ts';
import { codeOf, reasonOf } from '../engine/reason.ts';

/** Looks at the server through its own connection. Changes nothing, and creates neither database nor collection. */
export async function inspectMongo(url: string, clock: Clock): Promise<Inspection> {
  const connection = keepConnection(url);
  const { current, close } = connection;
  try {
    await connectPatiently(connection);
    return { engine: 'mongodb', facts: await inspectServer(current(), clock) };
  } catch (error) {
    return { engine: 'mongodb', facts: [{ type: 'no-answer', reason: reasonOf(error) }] };
  } finally {
    await close();
  }
}

async function inspectServer(connection: Connection, clock: Clock): Promise<MongoFact[]> {
  const { database } = connection;
  const askedAt = clock();
  const hello = await database.command({ hello: 1 });
  const roundTripMs = clock() - askedAt;
  const { localTime } = hello;
  const offsetMs = localTime instanceof Date ? localTime.getTime() - (askedAt + roundTripMs / 2) : undefined;
  return [
    { type: 'server', topology: topologyOf(hello) },
    { type: 'clock', offsetMs, roundTripMs },
    await inspectIndexes(database),
    await inspectWrites(connection),
  ];
}

function topologyOf(hello: Document): (MongoFact & { type: 'server' })['topology'] {
  if (isStandalone(hello)) return 'standalone';
  return hello.msg === 'isdbgrid' ? 'sharded cluster' : 'replica set';
}

async function inspectIndexes(database: Db): Promise<MongoFact> {
  const found = await Promise.all(
    COLLECTIONS.map(async ({ name, indexes }) => {
      const there = await indexesOf(database, name);
      const missing = indexes.filter(
        ({ key }) => !there.some((index) => JSON.stringify(index.key) === JSON.stringify(key)),
      );
      return { isThere: there.length > 0, collection: name, names: missing.map((index) => String(index.name)) };
    }),
  );
  const missing = found.filter(({ names }) => names.length > 0).map(({ collection, names }) => ({ collection, names }));
  return { type: 'indexes', isNew: !found.some(({ isThere }) => isThere), missing };
}

/** Every collection has an index on `_id`: without any, the collection is not there. */
async function indexesOf(database: Db, name: string): Promise<Document[]> {
  try {
    return await database.collection(name).indexes();
  } catch (error) {
    if (hasCode(error, NAMESPACE_NOT_FOUND)) return [];
    throw error;
  }
}

/** A write that matches no document is confirmed like any other, and leaves nothing behind. */
async function inspectWrites({ database }: Connection): Promise<MongoFact> {
  const startedAt = performance.now();
  try {
    await SECRETS.in(database).deleteOne({ _id: Buffer.from(randomUUID()) });
    return { type: 'write', ms: performance.now() - startedAt };
  } catch (error) {
    return { type: 'no-write', code: codeOf(error) };
  }
}
