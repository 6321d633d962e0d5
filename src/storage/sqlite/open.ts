import { AppError } from '../../errors.ts';
import type { SecretStore } from '../../secrets/store.ts';
import { openReader } from './database.ts';
import { createFileCheck } from './file-check.ts';
import { openGroupCommit } from './group-commit.ts';
import { createReader } from './reader.ts';
import { createSqliteSecretStore } from './secret-store.ts';

/** What an opened engine offers the rest of the program. */
export async function openSqlite(
  path: string,
  onLost: (error: Error) => void,
): Promise<{ secrets: SecretStore; ping(): Promise<void>; close(): Promise<void> }> {
  const commit = await openGroupCommit(path, onLost);
  const database = openReader(path);
  const reader = createReader(database);
  const checkFile = createFileCheck(path);
  const probe = reader.prepare('SELECT 1');
  return {
    secrets: createSqliteSecretStore(commit, reader),
    async ping() {
      commit.check();
      try {
        checkFile();
      } catch (cause) {
        throw new AppError('STORAGE_UNAVAILABLE', { cause, retryAfterSeconds: 1 });
      }
      await probe();
    },
    async close() {
      database.close();
      await commit.close();
    },
  };
}
