import { DatabaseSync, type DatabaseSyncOptions } from 'node:sqlite';

/**
 * Earlier ones can corrupt a file in WAL mode when two connections write and check-point it at the same moment: "The
 * WAL-Reset Bug" in sqlite.org/wal.html.
 */
const OLDEST = [3, 51, 3] as const;
/** SQLite is a part of Node.js. */
const NODE = '24.18.1';

/** Every connection to a file is opened here. @throws Error that says what to install, where SQLite is too old. */
export function connect(location: string | URL, options: DatabaseSyncOptions = {}): DatabaseSync {
  refuseOldSqlite();
  return new DatabaseSync(location, { ...options, timeout: 0 });
}

/** @param version of the SQLite that runs. */
export function refuseOldSqlite(version = process.versions.sqlite): void {
  if (isRecent(version)) return;
  throw new Error(
    `this Node.js has SQLite ${version}, which can corrupt a database (older than ${OLDEST.join('.')}): install Node.js ${NODE} or newer`,
  );
}

function isRecent(version: string | undefined): boolean {
  const parts = version?.split('.').map(Number) ?? [];
  for (const [index, least] of OLDEST.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}
