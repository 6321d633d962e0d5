import type { DatabaseSync } from 'node:sqlite';
import type { StoreLimits } from '../../limits/limits.ts';
import { storedBytes } from '../usage.ts';
import { createWriteBack } from './engine/write-back.ts';

type Account = { secrets: number; bytes: number };

/**
 * How much is stored, and the part of it that counts for each client. The sums are in the database; while a transaction
 * runs they are in memory.
 */
export type Usage = {
  /** Whether these bytes would exceed the limit on everything stored. */
  isFull(bytes: number): boolean;
  /** Whether so many more bytes, with a place or in one that was taken before, would exceed the client's quota. */
  isOverQuota(client: Uint8Array, bytes: number, places: 0 | 1): boolean;
  /** A waiting secret with content of this length was added, or (-1) is gone. */
  countWaiting(by: 1 | -1, contentBytes: number, client: Uint8Array | null): void;
  /** Any other record was added, or (-1) is gone. */
  countOther(by: 1 | -1, contentBytes: number): void;
  /** At the start of each transaction. */
  forget(): void;
  /** At the end of each transaction. */
  save(): void;
};

export function createUsage(database: DatabaseSync, limits: StoreLimits): Usage {
  const readStored = database.prepare('SELECT bytes FROM stored');
  const saveStored = database.prepare('UPDATE stored SET bytes = ?');
  const readAccount = database.prepare('SELECT secrets, bytes FROM clients WHERE id = ?');
  const deleteAccount = database.prepare('DELETE FROM clients WHERE id = ?');
  const saveAccount = database.prepare(
    `INSERT INTO clients (id, secrets, bytes) VALUES (?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET secrets = excluded.secrets, bytes = excluded.bytes`,
  );
  const accounts = createWriteBack<Account>(
    (client) => (readAccount.get(client) as Account | undefined) ?? { secrets: 0, bytes: 0 },
    (client, { secrets, bytes }) => {
      if (secrets === 0) deleteAccount.run(client);
      else saveAccount.run(client, secrets, bytes);
    },
  );
  let stored: number | undefined;
  let isStoredChanged = false;

  function bytesStored(): number {
    stored ??= readStored.get()?.bytes as number;
    return stored;
  }

  function count(bytes: number): void {
    stored = bytesStored() + bytes;
    isStoredChanged = true;
  }

  return {
    isFull(bytes) {
      return bytesStored() + bytes > limits.maxBytes;
    },
    isOverQuota(client, bytes, places) {
      const account = accounts.get(client);
      const isWithoutPlace = places > 0 && account.secrets >= limits.clientMaxSecrets;
      return isWithoutPlace || account.bytes + bytes > limits.clientMaxBytes;
    },
    countWaiting(by, contentBytes, client) {
      const bytes = by * storedBytes(contentBytes);
      count(bytes);
      if (!client) return;
      const account = accounts.get(client);
      accounts.set(client, { secrets: account.secrets + by, bytes: account.bytes + bytes });
    },
    countOther(by, contentBytes) {
      count(by * storedBytes(contentBytes));
    },
    forget() {
      accounts.forget();
      stored = undefined;
      isStoredChanged = false;
    },
    save() {
      if (isStoredChanged) saveStored.run(bytesStored());
      accounts.save();
    },
  };
}
