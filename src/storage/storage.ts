import type { LinkStore } from '../auth/accounts/links-store.ts';
import type { AccountStore } from '../auth/accounts/store.ts';
import type { SessionStore, SightingStore } from '../auth/sessions/store.ts';
import type { CustomerStore } from '../business/store.ts';
import type { Config } from '../config/config.ts';
import type { FenceState, FenceStore } from '../fence/store.ts';
import type { LimitStore } from '../limits/store.ts';
import type { MailStore } from '../mail/store.ts';
import type { Page, SealedRecord, SecretRecords } from '../secrets/records.ts';
import type { SecretStore } from '../secrets/store.ts';
import type { SinkStore } from '../sink/store.ts';
import type { SigningKeyStore } from '../tokens/access/store.ts';
import type { EventStore } from '../webhooks/store.ts';

/** An opened engine: one store for each module that keeps something. */
export type Storage = {
  secrets: SecretStore;
  events: EventStore;
  mails: MailStore;
  fence: FenceStore;
  limits: LimitStore;
  sink: SinkStore;
  customers: CustomerStore;
  accounts: AccountStore;
  links: LinkStore;
  sessions: SessionStore;
  sightings: SightingStore;
  signingKeys: SigningKeyStore;
  /** @throws AppError STORAGE_UNAVAILABLE when it does not answer, or takes no writes. */
  ping(): Promise<void>;
  close(): Promise<void>;
};

/** The configuration that `openStorage` needs. */
export type StorageConfig = StorageAddress & Pick<Config, LimitName>;
export type LimitName = 'STORAGE_MAX_BYTES' | 'CREATES_PER_MINUTE' | 'CLIENT_MAX_SECRETS' | 'CLIENT_MAX_BYTES';
export type StorageAddress = Pick<Config, 'sqlitePath' | 'STORAGE_URL'>;

/** What the operator's commands look through. */
export type Records = SecretRecords & {
  /** Waiting mail, ordered by id. Empty in a storage that an older version wrote. */
  listMails(page: Page): Promise<readonly SealedRecord[]>;
  /** What the fence has stored; undefined where nothing was ever marked. */
  findMark(): Promise<FenceState | undefined>;
  /** The record of the signing keys, see src/tokens/access/store.ts. */
  readSigningKeys(): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
};

/** A copy of a whole database: its size, and the instant (ms since the epoch) whose state it has. */
export type DatabaseCopy = { bytes: number; takenAt: number };

export type StorageEvents = {
  /** The engine can never answer again in this process. */
  onLost(error: Error): void;
  /** What an operator should change about the server. */
  onWarning(message: string): void;
  /** This many writes are about to share one sync. */
  onCommit?(calls: number): void;
};
