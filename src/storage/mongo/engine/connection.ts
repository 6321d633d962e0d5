import { setTimeout as sleep } from 'node:timers/promises';
import { type Collection, type Db, type Document, MongoClient, ReadConcern } from 'mongodb';
import type { ClientDocument } from '../clients.ts';
import type { SecretDocument } from '../collections.ts';
import type { FenceDocument } from '../fence.ts';
import type { ClaimsDocument } from '../sink.ts';

/** Used when the URL names no database; the driver's own default is `test`. */
const DATABASE = 'hushbox';
const SECRETS = 'secrets';

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

const LOOK_MS = 2_000;
/** Of 2 s each, when there is nobody. */
const MAX_CONNECTS = 3;
/** Looks in a row that found nobody, before it is asked whether the driver or the server is to blame. */
const MAX_FAILED_LOOKS = 2;

export type Connection = {
  client: MongoClient;
  database: Db;
  secrets: Collection<SecretDocument>;
  /** The same collection. */
  fence: Collection<FenceDocument>;
  clients: Collection<ClientDocument>;
  claims: Collection<ClaimsDocument>;
};

export type KeptConnection = {
  /** The one to use now. */
  current(): Connection;
  close(): Promise<void>;
};

/**
 * Connects when first used, and again when needed. Mostly the driver does so by itself; but after kills of a server its
 * monitor (mongodb 7.8.0) was seen to wait for ever on a connection that was closed, and to find that server never again.
 * So a connection through which nobody answers is replaced as soon as a new one finds somebody.
 * @throws Error when the URL is not valid.
 */
export function keepConnection(url: string): KeptConnection {
  const closing = new AbortController();
  let current = createConnection(url);
  const watched = watch();

  async function watch(): Promise<void> {
    for (let failed = 0; await pause(closing.signal); ) {
      failed = (await answers(current)) ? 0 : failed + 1;
      if (failed >= MAX_FAILED_LOOKS) await replace();
    }
  }

  async function replace(): Promise<void> {
    const fresh = createConnection(url);
    const isBetter = (await answers(fresh)) && !closing.signal.aborted;
    const useless = isBetter ? current : fresh;
    if (isBetter) current = fresh;
    void close(useless); // nobody waits for one that is stuck
  }

  return {
    current: () => current,
    async close() {
      closing.abort();
      await close(current);
      await watched;
    },
  };
}

/**
 * Connects, for a command that asks once: a busy server, or a busy machine, may need more than one attempt.
 * @throws what the driver says to the last one.
 */
export async function connectPatiently({ current }: KeptConnection): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      await current().client.connect();
      return;
    } catch (error) {
      if (attempts === MAX_CONNECTS) throw error;
    }
  }
}

/** The driver's complaints can quote the URL, and with it the password: they are not passed on. */
function createConnection(url: string): Connection {
  try {
    const client = new MongoClient(url, CLIENT_OPTIONS);
    const database = client.db(namesDatabase(url) ? undefined : DATABASE, DURABLE);
    return {
      client,
      database,
      secrets: database.collection(SECRETS),
      fence: database.collection(SECRETS),
      clients: database.collection('clients'),
      claims: database.collection('claims'),
    };
  } catch (error) {
    throw new Error(`the MongoDB driver does not accept STORAGE_URL (${(error as Error).name})`);
  }
}

function namesDatabase(url: string): boolean {
  return /^[^/]+:\/\/[^/]+\/[^?]/.test(url);
}

function answers({ database }: Connection): Promise<boolean> {
  return database.command({ ping: 1 }).then(
    () => true,
    () => false,
  );
}

async function close({ client }: Connection): Promise<void> {
  await client.close().catch(() => {});
}

/** @returns false when it was aborted. */
function pause(signal: AbortSignal): Promise<boolean> {
  return sleep(LOOK_MS, true, { signal, ref: false }).catch(() => false);
}

/** Neither a replica set nor a sharded cluster, by its answer to `hello`. */
export function isStandalone({ setName, msg }: Document): boolean {
  return setName === undefined && msg !== 'isdbgrid';
}
