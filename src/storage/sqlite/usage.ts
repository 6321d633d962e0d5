import type { DatabaseSync } from 'node:sqlite';
import {
  createGrantedMs,
  createIntervalMs,
  FULL_RETRY_MS,
  type Refusal,
  type StoreLimits,
  storedBytes,
} from '../../secrets/store.ts';

type Account = { rateFullAt: number; secrets: number; bytes: number; isChanged: boolean };

/**
 * How much is stored, and what of it is whose. The sums are in the database; while a transaction runs they are in memory,
 * read when first asked for and written once before the commit, so that a whole batch pays for them once.
 */
export type Ledger = {
  /** Why a client may not store so much more now. */
  refusalOf(client: Uint8Array | null, bytes: number, now: number, isAdmitted: boolean): Refusal | undefined;
  /** Takes one out of what a client may create in a minute. */
  takeRate(client: Uint8Array, now: number): void;
  /** A waiting secret came, with content of this length; or (-1) is gone. */
  countWaiting(by: 1 | -1, contentBytes: number, client: Uint8Array | null): void;
  /** What is kept of an ended one, its event too, or by others than secrets, has come, or (-1) is gone. */
  countEnded(by: 1 | -1, contentBytes: number): void;
  /** Inside every transaction, before its commit. */
  save(): void;
  /** Before every transaction: others may have written, and the last one may have been rolled back. */
  forget(): void;
};

export function createLedger(database: DatabaseSync, limits: StoreLimits): Ledger {
  const readStored = database.prepare('SELECT bytes FROM stored');
  const saveStored = database.prepare('UPDATE stored SET bytes = ?');
  const readAccount = database.prepare('SELECT rate_full_at, secrets, bytes FROM clients WHERE id = ?');
  const saveAccount = database.prepare(
    `INSERT INTO clients (id, rate_full_at, secrets, bytes) VALUES (?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET rate_full_at = excluded.rate_full_at, secrets = excluded.secrets, bytes = excluded.bytes`,
  );
  const intervalMs = createIntervalMs(limits);
  const grantedMs = createGrantedMs(limits);
  const accounts = new Map<string, Account>();
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

  function accountOf(client: Uint8Array): Account {
    const name = Buffer.from(client.buffer, client.byteOffset, client.byteLength).toString('latin1');
    const known = accounts.get(name);
    if (known) return known;
    const row = readAccount.get(client);
    const account: Account = {
      rateFullAt: (row?.rate_full_at as number | undefined) ?? 0,
      secrets: (row?.secrets as number | undefined) ?? 0,
      bytes: (row?.bytes as number | undefined) ?? 0,
      isChanged: false,
    };
    accounts.set(name, account);
    return account;
  }

  return {
    refusalOf(client, bytes, now, isAdmitted) {
      if (bytesStored() + bytes > limits.maxBytes) return { reason: 'full', retryAfterMs: FULL_RETRY_MS };
      if (!client) return undefined;
      const account = accountOf(client);
      const waitMs = isAdmitted ? 0 : account.rateFullAt - now - grantedMs;
      if (waitMs > 0) return { reason: 'rate', retryAfterMs: waitMs };
      const isOver = account.secrets >= limits.clientMaxSecrets || account.bytes + bytes > limits.clientMaxBytes;
      return isOver ? { reason: 'quota', retryAfterMs: FULL_RETRY_MS } : undefined;
    },
    takeRate(client, now) {
      const account = accountOf(client);
      account.rateFullAt = Math.max(account.rateFullAt, now) + intervalMs;
      account.isChanged = true;
    },
    countWaiting(by, contentBytes, client) {
      const bytes = by * storedBytes(contentBytes);
      count(bytes);
      if (!client) return;
      const account = accountOf(client);
      account.secrets += by;
      account.bytes += bytes;
      account.isChanged = true;
    },
    countEnded(by, contentBytes) {
      count(by * storedBytes(contentBytes));
    },
    save() {
      if (isStoredChanged) saveStored.run(bytesStored());
      for (const [name, { rateFullAt, secrets, bytes, isChanged }] of accounts) {
        if (isChanged) saveAccount.run(Buffer.from(name, 'latin1'), rateFullAt, secrets, bytes);
      }
    },
    forget() {
      accounts.clear();
      stored = undefined;
      isStoredChanged = false;
    },
  };
}
