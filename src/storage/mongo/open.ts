import { setTimeout as sleep } from 'node:timers/promises';
import { type Collection, type Db, MongoClient, MongoServerError, ReadConcern } from 'mongodb';
import type { Storage } from '../open.ts';
import { createMongoSecretStore, INDEXES, type SecretDocument } from './secret-store.ts';
import { translateFailures } from './unavailable.ts';

/** Used when the URL names no database; the driver's own default is `test`. */
const DATABASE = 'hushbox';
const PREPARE_RETRY_MS = 500;

/** A silent server is given up after 4 s, an absent one or a place in the pool after 2; what may be is tried twice. */
const CLIENT_OPTIONS = {
  appName: 'hushbox',
  serverSelectionTimeoutMS: 2_000,
  connectTimeoutMS: 2_000,
  socketTimeoutMS: 4_000,
  maxPoolSize: 50,
  waitQueueTimeoutMS: 2_000,
  promoteBuffers: true,
};

/** What the promises rest on, so that the URL cannot weaken it: set on the database, where it goes before the URL. */
const DURABLE = {
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: 3_000 },
  readConcern: new ReadConcern('majority'),
  readPreference: 'primary',
} as const;

/**
 * Opens without waiting for the server: calls fail while it is away, and work as soon as it is there. Indexes are made
 * in the background.
 * @param onWarning told what an operator should change about the server.
 * @throws Error when the URL is not valid.
 */
export async function openMongo(url: string, onWarning: (message: string) => void): Promise<Storage> {
  const client = createClient(url);
  const database = client.db(namesDatabase(url) ? undefined : DATABASE, DURABLE);
  const secrets = database.collection<SecretDocument>('secrets');
  const closing = new AbortController();
  const prepared = prepare(client, database, secrets, onWarning, closing.signal);
  return {
    secrets: createMongoSecretStore(secrets),
    ...translateFailures({
      async ping() {
        await database.command({ ping: 1 });
      },
    }),
    async close() {
      closing.abort();
      await client.close();
      await prepared;
    },
  };
}

/** The driver's complaints can quote the URL, and with it the password: they are not passed on. */
function createClient(url: string): MongoClient {
  try {
    return new MongoClient(url, CLIENT_OPTIONS);
  } catch (error) {
    throw new Error(`the MongoDB driver does not accept STORAGE_URL (${(error as Error).name})`);
  }
}

function namesDatabase(url: string): boolean {
  return /^[^/]+:\/\/[^/]+\/[^?]/.test(url);
}

/**
 * Connects, looks what kind of server it is and makes the indexes, which any number of processes may do. A call connects
 * by itself only once: if that fails, the driver answers every later one with "Topology is closed", until `connect` is
 * called again. Once connected it repairs itself.
 */
async function prepare(
  client: MongoClient,
  database: Db,
  secrets: Collection<SecretDocument>,
  onWarning: (message: string) => void,
  signal: AbortSignal,
): Promise<void> {
  await untilDone(signal, async () => {
    await client.connect();
    const hello = await database.command({ hello: 1 });
    if (isStandalone(hello)) onWarning('MongoDB runs standalone and can lose acknowledged writes: use a replica set');
  });
  let isRefusalTold = false;
  await untilDone(signal, async () => {
    try {
      await secrets.createIndexes([...INDEXES]);
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

async function untilDone(signal: AbortSignal, step: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    try {
      return await step();
    } catch {
      await sleep(PREPARE_RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}

function isStandalone(hello: { setName?: string; msg?: string }): boolean {
  return hello.setName === undefined && hello.msg !== 'isdbgrid';
}
