import { setTimeout as sleep } from 'node:timers/promises';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import type { StoreLimits } from '../../limits/limits.ts';
import type { Storage } from '../storage.ts';
import { createWriteProbe } from '../write-probe.ts';
import { createMongoAccountStore } from './accounts.ts';
import { createCapacity } from './capacity.ts';
import { createClients } from './clients.ts';
import {
  ACCOUNTS,
  ADDRESSES,
  CLAIMS,
  CLIENTS,
  COLLECTIONS,
  CUSTOMERS,
  LIMITS,
  LINKS,
  MAILS,
  SECRETS,
  SESSIONS,
  SIGHTINGS,
  SIGNING_KEYS,
} from './collections.ts';
import { createMongoCustomerStore } from './customers.ts';
import { type Connection, isStandalone, keepConnection } from './engine/connection.ts';
import { hasCode, NAMESPACE_NOT_FOUND } from './engine/error-codes.ts';
import { reasonOf } from './engine/reason.ts';
import { translateFailures } from './engine/unavailable.ts';
import { createMongoEventStore } from './events.ts';
import { createMongoFenceStore } from './fence.ts';
import { createMongoLimitStore } from './limits.ts';
import { createMongoLinkStore } from './links.ts';
import { createMongoMailStore } from './mails.ts';
import { createMongoSecretStore } from './secrets.ts';
import { createMongoSessionStore } from './sessions.ts';
import { createMongoSightingStore } from './sightings.ts';
import { createMongoSigningKeyStore } from './signing-keys.ts';
import { createMongoSinkStore } from './sink.ts';

const PREPARE_RETRY_MS = 500;

/**
 * Opens without waiting for the server: calls fail while it is away, and work as soon as it is there. Indexes are created
 * in the background.
 * @param onWarning gets messages about what an operator should change on the server.
 * @throws Error when the URL is not valid.
 */
export async function openMongo(
  url: string,
  limits: StoreLimits,
  onWarning: (message: string) => void,
): Promise<Storage> {
  const { current, close } = keepConnection(url);
  const database = (): Db => current().database;
  const secrets = () => SECRETS.in(database());
  const accounts = () => ACCOUNTS.in(database());
  const sessions = () => SESSIONS.in(database());
  const addresses = () => ADDRESSES.in(database());
  const links = () => LINKS.in(database());
  const clients = createClients({ clients: () => CLIENTS.in(database()), secrets }, limits);
  const capacity = createCapacity(limits.maxBytes, () => sizeOf(database()));
  const fence = createMongoFenceStore(database);
  const takesWrites = createWriteProbe(fence.touch);
  const { ask } = translateFailures({
    async ask() {
      try {
        await database().command({ ping: 1 });
      } catch (error) {
        // While it never connected, the driver says only "Topology is closed".
        throw new Error(`MongoDB does not answer: ${reasonOf(whyUnconnected ?? error)}`);
      }
    },
  });
  const closing = new AbortController();
  let whyUnconnected: unknown;
  const onConnect = (failure: unknown): void => {
    whyUnconnected = failure;
  };
  const prepared = prepare(current, onWarning, onConnect, closing.signal);
  return {
    secrets: createMongoSecretStore({ secrets, clients, capacity }),
    events: createMongoEventStore(secrets),
    fence,
    sink: createMongoSinkStore(() => CLAIMS.in(database()), capacity),
    customers: createMongoCustomerStore(() => CUSTOMERS.in(database()), capacity),
    mails: createMongoMailStore(() => MAILS.in(database()), capacity),
    limits: createMongoLimitStore(() => LIMITS.in(database())),
    accounts: createMongoAccountStore({ accounts, addresses, sessions, links, capacity }),
    links: createMongoLinkStore({ accounts, addresses, sessions, links, capacity }),
    sessions: createMongoSessionStore({ accounts, sessions }),
    sightings: createMongoSightingStore(() => SIGHTINGS.in(database())),
    signingKeys: createMongoSigningKeyStore(() => SIGNING_KEYS.in(database())),
    async ping() {
      await ask();
      await takesWrites();
    },
    async close() {
      closing.abort();
      await clients.settle();
      await close();
      await prepared;
    },
  };
}

/**
 * Connects, checks the kind of server and creates the indexes, which any number of processes may do. Without `connect`, a
 * call connects only once: if that fails, the driver answers every later call with "Topology is closed".
 */
async function prepare(
  current: () => Connection,
  onWarning: (message: string) => void,
  onConnect: (failure: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  await untilDone(signal, async () => {
    const { client, database } = current();
    await client.connect().then(
      () => onConnect(undefined),
      (error) => {
        onConnect(error);
        throw error;
      },
    );
    const hello = await database.command({ hello: 1 });
    if (isStandalone(hello)) onWarning('MongoDB runs standalone and can lose acknowledged writes: use a replica set');
  });
  let isRefusalReported = false;
  await untilDone(signal, async () => {
    try {
      for (const { name, indexes } of COLLECTIONS) {
        if (indexes.length === 0) continue;
        await current()
          .database.collection(name)
          .createIndexes([...indexes]);
      }
    } catch (error) {
      // An unreachable server is reported by the calls that need it; a refused index would go unnoticed.
      if (error instanceof MongoServerError && !isRefusalReported) {
        isRefusalReported = true;
        onWarning(`MongoDB refuses the indexes (error ${error.code}), will be tried again`);
      }
      throw error;
    }
  });
}

/** The bytes that count towards the limit on everything stored. */
async function sizeOf(database: Db): Promise<number> {
  const counted = COLLECTIONS.filter(({ isCounted }) => isCounted);
  const sizes = await Promise.all(counted.map(({ name }) => sizeOfOne(database.collection(name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** In a sharded cluster each shard reports its part. For a server, a collection that is not there yet may be an error. */
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
