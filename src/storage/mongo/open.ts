import { setTimeout as sleep } from 'node:timers/promises';
import { type Collection, MongoServerError } from 'mongodb';
import type { StoreLimits } from '../../secrets/store.ts';
import type { Storage } from '../storage.ts';
import { createRoom } from './capacity.ts';
import { CLIENT_INDEXES, createClients } from './clients.ts';
import { type Connection, isStandalone, keepConnection } from './engine/connection.ts';
import { hasCode, NAMESPACE_NOT_FOUND } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';
import { createMongoEventStore } from './events.ts';
import { createMongoFenceStore } from './fence.ts';
import { createMongoSecretStore, INDEXES } from './secrets.ts';
import { CLAIMS_INDEXES, createMongoSinkStore } from './sink.ts';

const PREPARE_RETRY_MS = 500;

/**
 * Opens without waiting for the server: calls fail while it is away, and work as soon as it is there. Indexes are made
 * in the background.
 * @param onWarning told what an operator should change about the server.
 * @throws Error when the URL is not valid.
 */
export async function openMongo(
  url: string,
  limits: StoreLimits,
  onWarning: (message: string) => void,
): Promise<Storage> {
  const { current, close } = keepConnection(url);
  const clients = createClients(current, limits);
  const room = createRoom(limits.maxBytes, () => sizeOf(current()));
  const closing = new AbortController();
  const prepared = prepare(current, onWarning, closing.signal);
  return {
    secrets: createMongoSecretStore(() => current().secrets, clients, room),
    events: createMongoEventStore(() => current().secrets),
    fence: createMongoFenceStore(() => current().fence),
    sink: createMongoSinkStore(() => current().claims, room),
    ...translateFailures({
      async ping() {
        await current().database.command({ ping: 1 });
      },
    }),
    async close() {
      closing.abort();
      await clients.settle();
      await close();
      await prepared;
    },
  };
}

/**
 * Connects, looks what kind of server it is and makes the indexes, which any number of processes may do. A call connects
 * by itself only once: if that fails, the driver answers every later one with "Topology is closed", until `connect` is
 * called again.
 */
async function prepare(
  current: () => Connection,
  onWarning: (message: string) => void,
  signal: AbortSignal,
): Promise<void> {
  await untilDone(signal, async () => {
    const { client, database } = current();
    await client.connect();
    const hello = await database.command({ hello: 1 });
    if (isStandalone(hello)) onWarning('MongoDB runs standalone and can lose acknowledged writes: use a replica set');
  });
  let isRefusalTold = false;
  await untilDone(signal, async () => {
    try {
      await current().secrets.createIndexes([...INDEXES]);
      await current().clients.createIndexes([...CLIENT_INDEXES]);
      await current().claims.createIndexes([...CLAIMS_INDEXES]);
    } catch (error) {
      // A server that is away is told of by who needs it; one that refuses an index would go unnoticed.
      if (error instanceof MongoServerError && !isRefusalTold) {
        isRefusalTold = true;
        onWarning(`MongoDB refuses the indexes (error ${error.code}), will be tried again`);
      }
      throw error;
    }
  });
}

/** What counts towards the limit on everything stored. */
async function sizeOf({ secrets, claims }: Connection): Promise<number> {
  const [ofSecrets, ofClaims] = await Promise.all([sizeOfOne(secrets), sizeOfOne(claims)]);
  return ofSecrets + ofClaims;
}

/** In a sharded cluster each shard tells its part. A server that has no such collection yet may call that an error. */
async function sizeOfOne(collection: Pick<Collection, 'aggregate'>): Promise<number> {
  const stats = collection.aggregate([{ $collStats: { storageStats: {} } }], { readConcern: { level: 'local' } });
  try {
    const parts = await stats.toArray();
    return parts.reduce((sum, { storageStats }) => sum + Number(storageStats.size), 0);
  } catch (error) {
    if (hasCode(error, NAMESPACE_NOT_FOUND)) return 0;
    throw error;
  }
}

async function untilDone(signal: AbortSignal, step: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    try {
      return await step();
    } catch {
      await sleep(PREPARE_RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}
