import { AppError } from '../../errors.ts';
import type { StoreLimits } from '../../secrets/store.ts';
import type { Storage } from '../storage.ts';
import { openReader } from './engine/database.ts';
import { createFileCheck, FileMoved } from './engine/file-check.ts';
import { openGroupCommit } from './engine/group-commit.ts';
import { createReader } from './engine/reader.ts';
import { createSqliteFenceStore } from './fence/store.ts';
import { createSqliteEventStore } from './outbox/store.ts';
import { createSqliteSecretStore } from './secrets/store.ts';
import { createSqliteSinkStore } from './sink/store.ts';

/** Opens the file, and makes it where there is none. */
export async function openSqlite(
  path: string,
  limits: StoreLimits,
  onLost: (error: Error) => void,
  onCommit?: (calls: number) => void,
): Promise<Storage> {
  const commit = await openGroupCommit(path, limits, onLost, onCommit);
  const database = openReader(path);
  const reader = createReader(database);
  const checkFile = createFileCheck(path);
  const probe = reader.prepare('SELECT 1');
  const fence = createSqliteFenceStore(commit, reader);

  /** A process that does not write would else go on with the file that was there. */
  function mustBeInPlace(): void {
    try {
      checkFile();
    } catch (cause) {
      if (cause instanceof FileMoved && cause.isReplaced) onLost(cause);
      throw new AppError('STORAGE_UNAVAILABLE', { cause, retryAfterSeconds: 1 });
    }
  }

  return {
    secrets: createSqliteSecretStore(commit, reader),
    sink: createSqliteSinkStore(commit, reader),
    events: createSqliteEventStore(commit, reader),
    fence: {
      ...fence,
      async look() {
        mustBeInPlace();
        return fence.look();
      },
    },
    async ping() {
      commit.check();
      mustBeInPlace();
      await probe();
    },
    async close() {
      database.close();
      await commit.close();
    },
  };
}
