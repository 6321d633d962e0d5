import { setTimeout as sleep } from 'node:timers/promises';
import { type Db, MongoClient, MongoError, MongoServerError } from 'mongodb';
import { DATABASE, type MongoAccess, USER } from './keys.ts';

const CLIENT_OPTIONS = { serverSelectionTimeoutMS: 2_000, connectTimeoutMS: 2_000, socketTimeoutMS: 10_000 };
const RETRY_MS = 300;
const REPLICA_SET = 'hushbox';

/** Error codes of MongoDB. */
const COMMAND_NOT_FOUND = 59;
const NO_REPLICATION_ENABLED = 76;
const NOT_YET_INITIALIZED = 94;
const REFUSALS: readonly number[] = [COMMAND_NOT_FOUND, NO_REPLICATION_ENABLED, NOT_YET_INITIALIZED];
/** The state of a member that takes writes. */
const PRIMARY = 1;

export type PrepareOptions = {
  /** The server with its port, by the name under which it joins its replica set. */
  host: string;
  access: MongoAccess;
  /** When to give up. */
  signal: AbortSignal;
  say(message: string): void;
};

/**
 * Waits for the server, initiates a replica set of one, creates the user of the service with access to one database (or
 * sets its password), and logs in as the service does. Each step may have been done before.
 * @throws Error of the last attempt, when time is up.
 */
export async function prepareMongo(options: PrepareOptions): Promise<void> {
  const { access, signal } = options;
  await repeat(signal, () => withClient(access.rootUrl, (client) => keepReplicaSet(client.db('admin'), options)));
  await repeat(signal, () => withClient(access.rootUrl, (client) => keepUser(client.db(DATABASE), access.password)));
  await repeat(signal, () => withClient(access.serviceUrl, (client) => client.db().command({ ping: 1 })));
}

/** A server that has just started, or has just become a primary, refuses for a while, with various errors. */
async function repeat(signal: AbortSignal, step: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (signal.aborted || !(error instanceof MongoError)) throw error;
      await sleep(RETRY_MS);
    }
  }
}

async function withClient(url: string, use: (client: MongoClient) => Promise<unknown>): Promise<void> {
  const client = new MongoClient(url, CLIENT_OPTIONS);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

async function keepReplicaSet(admin: Db, { host, signal, say }: PrepareOptions): Promise<void> {
  for (;;) {
    const { refusal, state } = await askForStatus(admin);
    if (state === PRIMARY) return;
    if (refusal === COMMAND_NOT_FOUND || refusal === NO_REPLICATION_ENABLED) {
      return say('MongoDB has no replica set here and runs standalone: it can lose acknowledged writes');
    }
    if (refusal === NOT_YET_INITIALIZED) {
      await admin.command({ replSetInitiate: { _id: REPLICA_SET, members: [{ _id: 0, host }] } });
      say('MongoDB is a replica set now');
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}

type Status = { state?: number; refusal?: number };

async function askForStatus(admin: Db): Promise<Status> {
  try {
    return { state: (await admin.command({ replSetGetStatus: 1 })).myState };
  } catch (error) {
    if (error instanceof MongoServerError && REFUSALS.includes(Number(error.code)))
      return { refusal: Number(error.code) };
    throw error;
  }
}

async function keepUser(database: Db, password: string): Promise<void> {
  const { users = [] } = await database.command({ usersInfo: USER });
  if (users.length > 0) await database.command({ updateUser: USER, pwd: password });
  else await database.command({ createUser: USER, pwd: password, roles: [{ role: 'readWrite', db: DATABASE }] });
}
