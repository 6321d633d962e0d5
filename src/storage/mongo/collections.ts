import type { Collection, Db, Document, IndexDescription } from 'mongodb';
import type { LinkKind } from '../../auth/accounts/links-store.ts';
import type { NewAccount } from '../../auth/accounts/store.ts';
import type { Session } from '../../auth/sessions/store.ts';
import type { FenceState } from '../../fence/store.ts';
import type { NewMail } from '../../mail/store.ts';
import type { Notify } from '../../secrets/store.ts';
import type { EventType } from '../../webhooks/store.ts';

/**
 * One document for each secret, from its creation until no part of it is needed. Whatever must be atomic is one update
 * or deletion of that one document, so that neither transactions nor a second unique index are needed.
 */
export type SecretDocument = {
  _id: Uint8Array;
  /** "expired" is never written: it is a waiting secret, or an open request, whose time is over. */
  state: 'requested' | 'waiting' | 'read' | 'burned';
  createdAt: number;
  expiresAt: number;
  endedAt?: number;
  /** How many tries count as wrong, and `fullAt` of the budget: see src/limits/limits.ts. */
  tries: number;
  triesFullAt: number;
  reads: number;
  receiptHash?: Uint8Array;
  /** While the request is open, and as long as its answer is remembered. */
  requestHash?: Uint8Array;
  /** By what the same answer can be recognised until when. */
  answer?: { tag: Uint8Array; until: number };
  /** While it waits: its client, and what it takes of that client's quota. */
  client?: Uint8Array;
  bytes?: number;
  /** Sealed content, of the secret, of the copy for rereading or of the request, and until when it may be seen: present or absent together. */
  envelope?: Uint8Array;
  visibleUntil?: number;
  /** Only with a copy. */
  claimTag?: Uint8Array;
  /** Where the end is reported: present until the last event is finished. */
  notify?: Notify;
  /** From the end or the answer on, only with `notify`: its event. */
  event?: StoredEvent;
  /** The event of a secret that ended while that of its answer waits: it becomes `event` when that one is finished. */
  next?: StoredEvent;
  /** When the whole document may go. */
  removeAt: Date;
};

export type StoredEvent = { type: EventType; at: number; dueAt: number; attempts: number };

/** In an update of a secret's document: the members to remove with its content. */
export const CONTENT = { envelope: '', visibleUntil: '', claimTag: '', client: '', bytes: '' } as const;

/**
 * Lies in the collection of the secrets, so that a restore of that collection alone brings it back too. No look-up and no
 * sweep of secrets finds it, because it has none of their fields.
 */
export type FenceDocument = FenceState & { _id: 'fence' };

/** What a client has taken of its limits. */
export type ClientDocument = {
  _id: Uint8Array;
  /** `fullAt` of its rate: see src/limits/limits.ts. */
  rateFullAt: number;
  /** Of its waiting secrets; never less than there are, but more after a crash between two steps. */
  secrets: number;
  bytes: number;
  takenAt: number;
  countedAt: number;
  /** From then on no secret of this client is waiting, and nothing of its rate is taken. */
  removeAt: Date;
};

/** What was taken of a limit: see src/limits/limits.ts. */
export type LimitDocument = { _id: Uint8Array; fullAt: number; removeAt: Date };

export type ClaimsDocument = { _id: Uint8Array; receivedAt: number; claims: string; removeAt: Date };

/** `_id` is the customer's id. */
export type CustomerDocument = { _id: string; name: string; dob: string; updatedAt: number };

export type AccountDocument = Omit<NewAccount, 'id'> & {
  _id: string;
  version: number;
  disabledAt?: number;
  /** The ids of the sessions that were not ended, the newest last; some may have expired. */
  sessions: string[];
  /** Only until its creation is finished. */
  removeAt?: Date;
  /** While it takes another address: that address, and until when no other account may take it. */
  next?: { email: string; until: number };
};

/**
 * Which account has an email address, or takes it. @param claim another one each time that an account that has the
 * document takes the address once more, so that whoever found it useless before removes it no longer.
 */
export type AddressDocument = { _id: string; account: string; claim?: string };

/** `_id` is the hash of its token, `owner` see `ownerOf`; `removeAt` is when it expires. */
export type LinkDocument = {
  _id: Uint8Array;
  kind: LinkKind;
  owner: string;
  email: string;
  accountVersion?: number;
  passwordHash?: string;
  profile?: string;
  createdAt: number;
  removeAt: Date;
};

/** Documents of an older version do not have these. */
type OfBrowsers = Pick<Session, 'kind' | 'generation' | 'rotatedAt'>;

/** `_id` is the hash of its credential. */
export type SessionDocument = Omit<
  Session,
  'email' | 'role' | 'expiresAt' | 'keyThumbprint' | 'cookie' | keyof OfBrowsers
> &
  Partial<OfBrowsers> & {
    _id: Uint8Array;
    keyThumbprint?: string;
    cookie?: NonNullable<Session['cookie']>;
    /** When it expires. */
    removeAt: Date;
  };

/** A mail that is not delivered yet. */
export type MailDocument = Omit<NewMail, 'id'> & { _id: Uint8Array; attempts: number; removeAt: Date };

/** `removeAt` is until when it is remembered. */
export type SightingDocument = { _id: Uint8Array; by: Uint8Array; removeAt: Date };

export type SigningKeysDocument = { _id: 'keys'; record: Uint8Array } | { _id: 'name'; name: string };

type Listed = {
  name: string;
  indexes: readonly IndexDescription[];
  /** Whether its size counts towards the limit on everything stored. */
  isCounted: boolean;
};
type Kept<Kind extends Document> = Listed & { in(database: Db): Collection<Kind> };

function kept<Kind extends Document>(listed: Listed): Kept<Kind> {
  return { ...listed, in: (database) => database.collection<Kind>(listed.name) };
}

/** The database removes documents whose time is over; late, because its clock may be ahead of ours. */
const REMOVE = { name: 'remove', key: { removeAt: 1 }, expireAfterSeconds: 30 } as const;
const IS_EVENT = { 'event.dueAt': { $exists: true } } as const;

/**
 * The first index removes documents even while no worker runs, and serves our own sweep, which is earlier. The next two
 * find content to wipe in documents that a receipt or an event keeps; `answered` finds answers to forget; `client` counts
 * what one client has. The last two find events: which is due first, and what is due for each destination.
 */
export const SECRETS = kept<SecretDocument>({
  name: 'secrets',
  indexes: [
    REMOVE,
    { name: 'wipe', key: { visibleUntil: 1 }, partialFilterExpression: { receiptHash: { $exists: true } } },
    {
      name: 'wipe_notifying',
      key: { visibleUntil: 1, state: 1 },
      partialFilterExpression: { notify: { $exists: true } },
    },
    { name: 'answered', key: { 'answer.until': 1 }, partialFilterExpression: { 'answer.until': { $exists: true } } },
    { name: 'client', key: { client: 1 }, partialFilterExpression: { client: { $exists: true } } },
    { name: 'due', key: { 'event.dueAt': 1, 'event.at': 1 }, partialFilterExpression: IS_EVENT },
    { name: 'due_there', key: { 'notify.destination': 1, 'event.dueAt': 1 }, partialFilterExpression: IS_EVENT },
  ],
  isCounted: true,
});

export const CLIENTS = kept<ClientDocument>({ name: 'clients', indexes: [REMOVE], isCounted: false });

export const LIMITS = kept<LimitDocument>({ name: 'limits', indexes: [REMOVE], isCounted: false });

export const CLAIMS = kept<ClaimsDocument>({
  name: 'claims',
  indexes: [REMOVE, { name: 'newest', key: { receivedAt: -1, _id: -1 } }],
  isCounted: true,
});

export const CUSTOMERS = kept<CustomerDocument>({
  name: 'customers',
  indexes: [{ name: 'youngest', key: { dob: -1, _id: -1 } }],
  isCounted: true,
});

export const ACCOUNTS = kept<AccountDocument>({ name: 'accounts', indexes: [REMOVE], isCounted: true });

export const ADDRESSES = kept<AddressDocument>({ name: 'addresses', indexes: [], isCounted: true });

export const SESSIONS = kept<SessionDocument>({
  name: 'sessions',
  indexes: [REMOVE, { name: 'account', key: { accountId: 1, id: 1 } }],
  isCounted: false,
});

export const LINKS = kept<LinkDocument>({
  name: 'links',
  indexes: [REMOVE, { name: 'owner', key: { owner: 1, kind: 1, createdAt: -1 } }],
  isCounted: true,
});

export const SIGHTINGS = kept<SightingDocument>({ name: 'sightings', indexes: [REMOVE], isCounted: false });

export const SIGNING_KEYS = kept<SigningKeysDocument>({ name: 'signing_keys', indexes: [], isCounted: false });

export const MAILS = kept<MailDocument>({
  name: 'mails',
  indexes: [REMOVE, { name: 'due', key: { dueAt: 1 } }],
  isCounted: true,
});

/** Every collection: opening, measuring and inspecting walk this list. */
export const COLLECTIONS: readonly Listed[] = [
  ...[SECRETS, CLIENTS, LIMITS, CLAIMS],
  ...[ACCOUNTS, ADDRESSES, SESSIONS, LINKS, SIGHTINGS, CUSTOMERS, SIGNING_KEYS, MAILS],
];

export function fenceIn(database: Db): Collection<FenceDocument> {
  return database.collection(SECRETS.name);
}
