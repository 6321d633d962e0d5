import { AppError } from '../../errors.ts';
import type { StoreLimits } from '../../limits/limits.ts';
import type { Storage } from '../storage.ts';
import { openReader } from './engine/database.ts';
import { createFileCheck, FileMoved } from './engine/file-check.ts';
import { openGroupCommit } from './engine/group-commit.ts';
import { createReader } from './engine/reader.ts';
import { createSqliteFenceStore } from './fence/store.ts';
import { createSqliteLimitStore } from './limits/store.ts';
import { createSqliteEventStore } from './outbox/store.ts';
import type { SqliteProcedures } from './procedures.ts';
import { createSqliteSecretStore } from './secrets/store.ts';
import { createSqliteSinkStore } from './sink/store.ts';
import type { ThreadData } from './thread.ts';

const THREAD = new URL('thread.ts', import.meta.url);

/** Opens the file, and creates it if it is missing. */
export async function openSqlite(
  path: string,
  limits: StoreLimits,
  onLost: (error: Error) => void,
  onCommit?: (calls: number) => void,
): Promise<Storage> {
  const thread = { url: THREAD, workerData: { path, limits } satisfies ThreadData };
  const commit = await openGroupCommit<SqliteProcedures>(thread, { onLost, onCommit });
  const database = openReader(path);
  const reader = createReader(database);
  const checkFile = createFileCheck(path);
  const probe = reader.prepare('SELECT 1');
  const fence = createSqliteFenceStore(commit, reader);

  /** Without this, a process that does not write would continue with a file that is gone. */
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
    limits: createSqliteLimitStore(commit),
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
