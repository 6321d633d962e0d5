import { AppError } from '../../errors.ts';
import type { StoreLimits } from '../../limits/limits.ts';
import type { Storage, StorageEvents } from '../storage.ts';
import { createWriteProbe } from '../write-probe.ts';
import { createSqliteAccountStore } from './accounts/store.ts';
import { createSqliteCustomerStore } from './customers/store.ts';
import { resultCode } from './engine/busy.ts';
import { isDamage } from './engine/damage.ts';
import { openReader } from './engine/database.ts';
import { createFileCheck, FileMoved, SQLITE_CANTOPEN } from './engine/file-check.ts';
import { openGroupCommit } from './engine/group-commit.ts';
import { createReader } from './engine/reader.ts';
import { createSqliteFenceStore } from './fence/store.ts';
import { createSqliteLimitStore } from './limits/store.ts';
import { createSqliteLinkStore } from './links/store.ts';
import { createSqliteMailStore } from './mails/store.ts';
import { createSqliteEventStore } from './outbox/store.ts';
import type { SqliteProcedures } from './procedures.ts';
import { createSqliteSecretStore } from './secrets/store.ts';
import { createSqliteSessionStore } from './sessions/store.ts';
import { createSqliteSightingStore } from './sightings/store.ts';
import { createSqliteSigningKeyStore } from './signing-keys/store.ts';
import { createSqliteSinkStore } from './sink/store.ts';
import type { ThreadData } from './thread.ts';

const THREAD = new URL('thread.ts', import.meta.url);

/** Opens the file, and creates it if it is missing. */
export async function openSqlite(
  path: string,
  limits: StoreLimits,
  { onLost, onWarning, onCommit }: StorageEvents,
): Promise<Storage> {
  /** Lost, or closing. */
  let isOver = false;
  let isDamaged = false;
  const thread = { url: THREAD, workerData: { path, limits } satisfies ThreadData };
  const commit = await openGroupCommit<SqliteProcedures>(thread, { onLost: lose, onCommit, onFailure });
  const database = openReader(path);
  const reader = createReader(database, onFailure);
  const checkFile = createFileCheck(path);
  const probe = reader.prepare('SELECT count(*) FROM sqlite_schema');
  const fence = createSqliteFenceStore(commit, reader);
  const takesWrites = createWriteProbe(fence.touch);

  /**
   * Closes first, and the writer last: the last process to close moves the WAL into the database, even one that has lost
   * its name.
   */
  function lose(cause: Error): void {
    if (isOver) return;
    isOver = true;
    commit.refuse('the storage is lost', cause);
    database.close();
    void commit.close().finally(() => onLost(cause));
  }

  function onFailure(cause: Error): void {
    if (resultCode(cause) === SQLITE_CANTOPEN) loseIfMoved();
    if (isDamage(cause)) endWriting(cause);
  }

  /** Whatever is written into a damaged file may be lost: nothing more is, until a start has looked at it. */
  function endWriting(cause: Error): void {
    if (isDamaged) return;
    isDamaged = true;
    commit.refuse('the database is damaged', cause);
    onWarning('the database is damaged: nothing is written any more. Run `hushbox doctor`, and see docs/backup.md');
  }

  /** @returns why the files are not in place, if they are not. */
  function loseIfMoved(): FileMoved | undefined {
    try {
      checkFile();
      return undefined;
    } catch (error) {
      if (!(error instanceof FileMoved)) throw error;
      if (error.isLasting) lose(error);
      return error;
    }
  }

  /** Without this, a process that does not write would continue with files that are gone, or damaged. */
  function look(): void {
    const cause = loseIfMoved();
    if (cause) throw new AppError('STORAGE_UNAVAILABLE', { cause, retryAfterSeconds: 1 });
    database.exec('PRAGMA shrink_memory'); // the next look-up reads its pages again, the first page included
  }

  return {
    secrets: createSqliteSecretStore(commit, reader),
    sink: createSqliteSinkStore(commit, reader),
    customers: createSqliteCustomerStore(commit, reader),
    events: createSqliteEventStore(commit, reader),
    mails: createSqliteMailStore(commit, reader),
    limits: createSqliteLimitStore(commit),
    accounts: createSqliteAccountStore(commit, reader),
    links: createSqliteLinkStore(commit, reader),
    sessions: createSqliteSessionStore(commit, reader),
    sightings: createSqliteSightingStore(commit, reader),
    signingKeys: createSqliteSigningKeyStore(commit, reader),
    fence: {
      ...fence,
      async look() {
        look();
        return fence.look();
      },
    },
    async ping() {
      commit.check();
      look();
      await probe();
      await takesWrites();
    },
    async close() {
      if (!isOver) database.close();
      isOver = true;
      await commit.close();
    },
  };
}
