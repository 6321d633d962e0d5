import { setTimeout as sleep } from 'node:timers/promises';
import { type Db, type Document, MongoClient, ReadConcern } from 'mongodb';

/** Used when the URL names no database; the driver's own default is `test`. */
const DATABASE = 'hushbox';

/**
 * Calls give up on a silent server after 4 s, on an absent one or a full pool after 2 s. The driver retries once where it
 * may. What the URL says goes first.
 */
const DEFAULTS = {
  appName: 'hushbox',
  serverSelectionTimeoutMS: 2_000,
  connectTimeoutMS: 2_000,
  socketTimeoutMS: 4_000,
  maxPoolSize: 50,
  waitQueueTimeoutMS: 2_000,
};

/** The promises rest on these. They are set on the database, where they override the URL. */
const DURABLE = {
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: 3_000 },
  readConcern: new ReadConcern('majority'),
  readPreference: 'primary',
} as const;

const LOOK_MS = 2_000;
/** 2 s each while no server answers, unless the URL sets another wait. */
const MAX_CONNECTS = 3;
/** After so many failed looks in a row, a new connection shows whether the driver or the server is to blame. */
const MAX_FAILED_LOOKS = 2;

export type Connection = {
  client: MongoClient;
  database: Db;
};

export type KeptConnection = {
  /** The connection to use now. */
  current(): Connection;
  close(): Promise<void>;
};

/**
 * Connects when first used, and again when needed. Usually the driver does that; but after kills of a server its monitor
 * (mongodb 7.8.0) was seen to wait for ever on a closed connection, and never to find that server again. So a connection
 * without answers is replaced as soon as a new one gets an answer.
 * @throws Error when the URL is not valid.
 */
export function keepConnection(url: string): KeptConnection {
  const closing = new AbortController();
  let current = createConnection(url);
  let fresh: Connection | undefined;
  const watched = watch();

  async function watch(): Promise<void> {
    for (let failed = 0; await pause(closing.signal); ) {
      failed = (await answers(current)) ? 0 : failed + 1;
      if (failed >= MAX_FAILED_LOOKS && !closing.signal.aborted) await replace();
    }
  }

  async function replace(): Promise<void> {
    fresh = createConnection(url);
    const isBetter = (await answers(fresh)) && !closing.signal.aborted;
    const useless = isBetter ? current : fresh;
    if (isBetter) current = fresh;
    fresh = undefined;
    void close(useless); // no caller waits for a stuck one
  }

  return {
    current: () => current,
    async close() {
      closing.abort();
      await Promise.all([close(current), fresh && close(fresh)]); // which ends what it waits for
      await watched;
    },
  };
}

/**
 * Connects, for a command that runs once: a busy server, or a busy machine, may need more than one attempt.
 * @throws the driver's error of the last attempt.
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

/** The driver's errors can quote the URL, and with it the password: they are not passed on. */
function createConnection(url: string): Connection {
  try {
    const client = new MongoClient(url, { ...defaultsFor(url), promoteBuffers: true });
    return { client, database: client.db(namesDatabase(url) ? undefined : DATABASE, DURABLE) };
  } catch (error) {
    throw new Error(`the MongoDB driver does not accept STORAGE_URL (${(error as Error).name})`);
  }
}

/** An option given to the driver beside the URL would override the URL's, where upper and lower case are the same. */
function defaultsFor(url: string): Partial<typeof DEFAULTS> {
  const [, ...query] = url.split('?');
  const given = [...new URLSearchParams(query.join('?')).keys()].map((name) => name.toLowerCase());
  return Object.fromEntries(Object.entries(DEFAULTS).filter(([name]) => !given.includes(name.toLowerCase())));
}

function namesDatabase(url: string): boolean {
  return /^[^/]+:\/\/[^/?]+\/[^?]/.test(url);
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
