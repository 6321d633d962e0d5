import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import type { Finding } from '../findings.ts';
import type { StoreLimits } from '../limits/limits.ts';
import type { LimitName, Records, Storage, StorageAddress, StorageConfig, StorageEvents } from './storage.ts';

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
 * Opens the records beside a service that may be running. Creates and changes nothing; the storage may be of an older
 * version.
 * @throws AppError STORAGE_UNAVAILABLE, or the engine's own error, when it cannot be opened.
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
 * Looks whether the storage is as the service needs it: changes nothing, makes nothing.
 * @param patienceMs how long a look at a file may take; a server has deadlines of its own.
 */
export async function inspectStorage(
  { sqlitePath, STORAGE_URL }: StorageConfig,
  clock: Clock,
  patienceMs: number,
): Promise<Finding[]> {
  if (sqlitePath) {
    const { inspectSqlite } = await import('./sqlite/operator/inspect.ts');
    return inspectSqlite(sqlitePath, patienceMs);
  }
  const { inspectMongo } = await import('./mongo/operator/inspect.ts');
  return inspectMongo(STORAGE_URL, clock);
}
