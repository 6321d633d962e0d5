import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { FenceControl } from '../fence/store.ts';
import type { StoreLimits } from '../limits/limits.ts';
import type { Inspection } from './inspection.ts';
import type {
  DatabaseCopy,
  LimitName,
  Records,
  Storage,
  StorageAddress,
  StorageConfig,
  StorageEvents,
} from './storage.ts';

/**
 * Opens the engine that the URL names; the other one is not even loaded.
 */
export async function openStorage(config: StorageConfig, events: StorageEvents): Promise<Storage> {
  const { sqlitePath, STORAGE_URL } = config;
  const limits = limitsOf(config);
  if (sqlitePath) {
    const { openSqlite } = await import('./sqlite/open.ts');
    return openSqlite(sqlitePath, limits, events);
  }
  const { openMongo } = await import('./mongo/open.ts');
  return openMongo(STORAGE_URL, limits, events.onWarning);
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
 * Opens the stored records for looking, while a service may be running. The storage may be of an older version. Creates
 * and changes nothing.
 * @throws AppError STORAGE_UNAVAILABLE, or the engine's error, when the storage cannot be opened.
 */
export async function openRecords({ sqlitePath, STORAGE_URL }: StorageAddress): Promise<Records> {
  if (sqlitePath) {
    const { openSqliteRecords } = await import('./sqlite/operator/records.ts');
    return openSqliteRecords(sqlitePath);
  }
  const { openMongoRecords } = await import('./mongo/operator/records.ts');
  return openMongoRecords(STORAGE_URL);
}

/**
 * Opens the fence's record for an operator's decision, while a service may be running. Creates nothing.
 * @throws AppError STORAGE_UNAVAILABLE, or the engine's error, when the storage cannot be opened.
 */
export async function openFence({ sqlitePath, STORAGE_URL }: StorageAddress): Promise<FenceControl> {
  if (sqlitePath) {
    const { openSqliteFence } = await import('./sqlite/operator/fence.ts');
    return openSqliteFence(sqlitePath);
  }
  const { openMongoFence } = await import('./mongo/operator/fence.ts');
  return openMongoFence(STORAGE_URL);
}

/**
 * Copies the whole SQLite database into one file, while a service may be running.
 * @throws Error that says why, in a sentence or as an error of the file system.
 */
export async function copyDatabase(sqlitePath: string, file: string, clock: Clock): Promise<DatabaseCopy> {
  const { copySqlite } = await import('./sqlite/operator/backup.ts');
  return copySqlite(sqlitePath, file, clock);
}

/**
 * Collects what the doctor judges. Changes nothing, creates nothing.
 * @param patienceMs how long a look at a file may take; a server has its own deadlines.
 * @throws Error when the URL is not valid.
 */
export async function inspectStorage(
  { sqlitePath, STORAGE_URL }: StorageConfig,
  clock: Clock,
  patienceMs: number,
): Promise<Inspection> {
  if (sqlitePath) {
    const { inspectSqlite } = await import('./sqlite/operator/inspect.ts');
    return inspectSqlite(sqlitePath, patienceMs);
  }
  const { inspectMongo } = await import('./mongo/operator/inspect.ts');
  return inspectMongo(STORAGE_URL, clock);
}
