import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { FenceState, FenceStore } from '../fence/store.ts';
import type { Finding } from '../findings.ts';
import type { SecretRecords } from '../secrets/records.ts';
import type { SecretStore, StoreLimits } from '../secrets/store.ts';
import type { SinkStore } from '../sink/store.ts';
import type { EventStore } from '../webhooks/store.ts';

/** An opened engine: one store for each module that keeps something. */
export type Storage = {
  secrets: SecretStore;
  events: EventStore;
  fence: FenceStore;
  sink: SinkStore;
  /** @throws AppError STORAGE_UNAVAILABLE */
  ping(): Promise<void>;
  close(): Promise<void>;
};

/** What `openStorage` needs to know. */
export type StorageConfig = StorageAddress & Pick<Config, LimitName>;
type LimitName = 'STORAGE_MAX_BYTES' | 'CREATES_PER_MINUTE' | 'CLIENT_MAX_SECRETS' | 'CLIENT_MAX_BYTES';
type StorageAddress = Pick<Config, 'sqlitePath' | 'STORAGE_URL'>;

/** What the operator's commands look through, and put something back into. */
export type Records = SecretRecords & {
  /** What the fence has stored; undefined where nothing was ever marked. */
  findMark(): Promise<FenceState | undefined>;
  close(): Promise<void>;
};

export type StorageEvents = {
  /** The engine can never answer again in this process. */
  onLost(error: Error): void;
  /** What an operator should change about the server. */
  onWarning(message: string): void;
  /** So many writes are about to share one sync. */
  onCommit?(calls: number): void;
};

/**
 * Opens the engine that the URL names; the other one is not even loaded.
 */
export async function openStorage(
  config: StorageConfig,
  { onLost, onWarning, onCommit }: StorageEvents,
): Promise<Storage> {
  const { sqlitePath, STORAGE_URL } = config;
  const limits = limitsOf(config);
  if (sqlitePath) {
    const { openSqlite } = await import('./sqlite/open.ts');
    return openSqlite(sqlitePath, limits, onLost, onCommit);
  }
  const { openMongo } = await import('./mongo/open.ts');
  return openMongo(STORAGE_URL, limits, onWarning);
}

function limitsOf(config: Pick<Config, LimitName>): StoreLimits {
  return {
    maxBytes: config.STORAGE_MAX_BYTES,
    clientCreatesPerMinute: config.CREATES_PER_MINUTE,
    clientMaxSecrets: config.CLIENT_MAX_SECRETS,
    clientMaxBytes: config.CLIENT_MAX_BYTES,
  };
}

/**
 * Opens what is stored beside a service that may be running.
 * @param use `look` makes and changes nothing, in a storage that may be of an older version; `restore` makes what is not
 *   there and brings the storage to this version, as the service does.
 * @throws AppError STORAGE_UNAVAILABLE, or what the engine says, when it cannot be opened.
 */
export async function openRecords(
  { sqlitePath, STORAGE_URL }: StorageAddress,
  use: 'look' | 'restore',
): Promise<Records> {
  if (sqlitePath) {
    const { openSqliteRecords } = await import('./sqlite/records.ts');
    return openSqliteRecords(sqlitePath, use);
  }
  const { openMongoRecords } = await import('./mongo/records.ts');
  return openMongoRecords(STORAGE_URL);
}

/**
 * Looks whether the storage is as the service needs it: changes nothing, makes nothing.
 * @param patienceMs how long a look at a file may take; a server has deadlines of its own.
 */
export async function inspectStorage(
  { sqlitePath, STORAGE_URL }: StorageConfig,
  clock: Clock,
  patienceMs: number,
): Promise<Finding[]> {
  if (sqlitePath) {
    const { inspectSqlite } = await import('./sqlite/inspect.ts');
    return inspectSqlite(sqlitePath, patienceMs);
  }
  const { inspectMongo } = await import('./mongo/inspect.ts');
  return inspectMongo(STORAGE_URL, clock);
}
