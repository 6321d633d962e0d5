import type { Config } from '../config.ts';
import type { SecretStore } from '../secrets/store.ts';

/** An opened engine: one store for each module that keeps something. */
export type Storage = {
  secrets: SecretStore;
  /** @throws AppError STORAGE_UNAVAILABLE */
  ping(): Promise<void>;
  close(): Promise<void>;
};

/**
 * Opens the engine that the URL names; the other one is not even loaded.
 * @param onLost called when the engine can never answer again in this process.
 * @param onWarning told what an operator should change about the server.
 */
export async function openStorage(
  { sqlitePath, STORAGE_URL }: Pick<Config, 'sqlitePath' | 'STORAGE_URL'>,
  onLost: (error: Error) => void,
  onWarning: (message: string) => void,
): Promise<Storage> {
  if (sqlitePath) {
    const { openSqlite } = await import('./sqlite/open.ts');
    return openSqlite(sqlitePath, onLost);
  }
  const { openMongo } = await import('./mongo/open.ts');
  return openMongo(STORAGE_URL, onWarning);
}
