/**
 * What one-time secrets need from an engine. Every verb is one atomic step across processes, and durable once it
 * resolves. An engine that cannot answer, or cannot know whether a write took place, rejects with AppError
 * STORAGE_UNAVAILABLE: an unknown outcome is never reported as a success.
 *
 * Instants are ms since the epoch. A secret is visible while `now < expiresAt`, a copy while `now < copyUntil`, a
 * receipt while `now < endedAt + receiptMs`. Bytes called an envelope are sealed: opaque to an engine.
 */
export interface SecretStore {
  /**
   * Stores a waiting secret, unless that would go beyond `StoreLimits`. Of what its client may still create it takes
   * one, and a place and bytes until the secret is no longer waiting.
   * @returns why it was refused: then nothing was stored and nothing taken. undefined when it is stored.
   */
  create(secret: NewSecret): Promise<Refusal | undefined>;

  /**
   * Takes one out of what a client may create in a minute, ahead of a `create` that takes none any more.
   * @returns why it was refused, which it also is where there is no place or room for another secret now.
   */
  admit(client: Uint8Array, now: number): Promise<Refusal | undefined>;

  /** What a reader may act on: a waiting secret, or the copy kept for rereading. */
  find(id: Uint8Array, now: number): Promise<Found | undefined>;

  /**
   * Takes one try out of the secret's budget (GCRA: `TRY_BURST` at once, one more each `TRY_REFILL_MS`).
   * Counts as a wrong try until it is given back by `refundTry`, `claim` or `reread`.
   * @returns undefined when neither secret nor copy is there any more.
   */
  reserveTry(id: Uint8Array, now: number): Promise<TryReservation | undefined>;

  /** Gives one reserved try back. */
  refundTry(id: Uint8Array): Promise<void>;

  /**
   * Ends a waiting secret as read; of N callers one gets true. The envelope is gone from the record in the same step,
   * and so is the record itself unless a receipt, a copy or an event needs it. With a `notify` its event is written in
   * that step too.
   */
  claim(id: Uint8Array, now: number, options: ClaimOptions): Promise<boolean>;

  /**
   * Counts one more handing-out of the copy, if `claimTag` is the one it was claimed with and fewer than `maxReads`
   * happened; the last one removes the copy.
   */
  reread(id: Uint8Array, now: number, options: RereadOptions): Promise<boolean>;

  /** @returns undefined when there is no such receipt, or its time is over. */
  findReceipt(id: Uint8Array, receiptHash: Uint8Array, now: number): Promise<Receipt | undefined>;

  /**
   * Ends a waiting secret as burned; with a `notify` its event is written in the same step, due at once. Whatever the
   * state, a copy kept for rereading is removed.
   * @param refusedUntil of secrets created at this instant or before nobody knows whether they were read already: one
   *   that waits goes with its receipt and without event, and undefined is returned.
   * @returns undefined when there is no such receipt, or its time is over.
   */
  burn(
    id: Uint8Array,
    receiptHash: Uint8Array,
    now: number,
    refusedUntil: number,
  ): Promise<'burned' | 'not-waiting' | undefined>;

  /**
   * Wipes up to `limit` records: expired secrets, copies past their window, receipts and events past their time, and what
   * is kept of clients that have nothing any more. A sweep that wipes fewer leaves nothing to do. The event of a secret
   * with a `notify` is written in the same step as it expires, due at once.
   * @param refusedUntil of secrets created at this instant or before nobody knows whether they were read already: they
   *   have no event.
   */
  sweep(now: number, limit: number, refusedUntil: number): Promise<Swept>;
}

export type NewSecret = {
  /** As made by `keys.ts`: begins with the second of expiry, big-endian. */
  id: Uint8Array;
  envelope: Uint8Array;
  createdAt: number;
  expiresAt: number;
  receiptHash?: Uint8Array | undefined;
  notify?: Notify | undefined;
  /** Without one only the limit on everything stored counts. */
  creator?: Creator | undefined;
};

/** Who is to be told of a secret's end: see src/outbox/store.ts. */
export type Notify = {
  /** Opaque to an engine but for its head, which names the master key as an envelope's does. */
  sealed: Uint8Array;
  /** 16 bytes, alike for events that go to the same place. */
  destination: Uint8Array;
};

/** On whose account a secret is created: 16 bytes, the instant for the rate, and whether `admit` took one of it before. */
export type Creator = { client: Uint8Array; now: number; isAdmitted: boolean };

/** What a store is held to; the last three for each client. */
export type StoreLimits = {
  maxBytes: number;
  clientCreatesPerMinute: number;
  clientMaxSecrets: number;
  clientMaxBytes: number;
};

/** For who creates nothing, or is trusted to. */
export const NO_LIMITS: StoreLimits = {
  maxBytes: Number.POSITIVE_INFINITY,
  clientCreatesPerMinute: Number.POSITIVE_INFINITY,
  clientMaxSecrets: Number.POSITIVE_INFINITY,
  clientMaxBytes: Number.POSITIVE_INFINITY,
};

export type Refusal = { reason: 'rate' | 'quota' | 'full'; retryAfterMs: number };

/** What a waiting secret takes of its client's quota. */
export type Share = { client: Uint8Array; bytes: number };

export type Found =
  | {
      state: 'waiting';
      createdAt: number;
      expiresAt: number;
      envelope: Uint8Array;
      notify?: Notify | undefined;
      share?: Share | undefined;
    }
  | { state: 'copy'; createdAt: number; expiresAt: number; envelope: Uint8Array; claimTag: Uint8Array };

export type TryReservation = { granted: true; triesLeft: number } | { granted: false; retryAfterMs: number };

export type ClaimOptions = {
  copy?: { envelope: Uint8Array; claimTag: Uint8Array; until: number } | undefined;
  /** Whether the caller holds a reserved try, which a right phrase does not cost. */
  refundTry: boolean;
  /** As found, for engines that do not see it again when they end the secret. */
  share?: Share | undefined;
  /** Until when the event, if there is one, is held by the caller; without it, it is due at once. */
  eventDueAt?: number | undefined;
};

export type Swept = {
  wiped: number;
  /** Secrets among them that nobody had read or burned. However many sweeps run at once, each is in one of their counts. */
  expired: number;
};

export type RereadOptions = { claimTag: Uint8Array; maxReads: number; refundTry: boolean };

export type Receipt = {
  state: 'waiting' | 'read' | 'burned' | 'expired';
  createdAt: number;
  expiresAt: number;
  endedAt: number | undefined;
  wrongTries: number;
  reads: number;
};

/** Tries a full budget holds. */
export const TRY_BURST = 10;
/** Time in which one try grows back. */
export const TRY_REFILL_MS = 3_600_000;
/** How long a receipt outlives its secret; and an event that nobody can deliver. */
export const RECEIPT_MS = 7 * 24 * 3_600_000;

/** Clocks of workers and hosts, and the order in which their calls arrive, differ by less than this. */
const CLOCK_TOLERANCE_MS = 500;

/** A try is granted while the budget will be full again within this. */
export const TRY_GRANTED_MS = (TRY_BURST - 1) * TRY_REFILL_MS + CLOCK_TOLERANCE_MS;

/** @param debtMs from now until the budget is full again. */
export function triesLeftAt(debtMs: number): number {
  return Math.max(0, Math.floor(TRY_BURST - (debtMs - CLOCK_TOLERANCE_MS) / TRY_REFILL_MS));
}

/** @param debtMs from now until the budget is full again. A try may have been given back since: then it is 1. */
export function retryAfterMsAt(debtMs: number): number {
  return Math.max(1, debtMs - (TRY_BURST - 1) * TRY_REFILL_MS);
}

/** When a full quota or a full store is worth another try: whoever reads or burns a secret makes room. */
export const FULL_RETRY_MS = 60_000;

/** How long one creation lasts (GCRA: a minute's worth at once, one more each interval). */
export function createIntervalMs({ clientCreatesPerMinute }: StoreLimits): number {
  return 60_000 / clientCreatesPerMinute;
}

/** A creation is granted while the rate will be whole again within this; half an interval makes up for rounding. */
export function createGrantedMs(limits: StoreLimits): number {
  return 60_000 - createIntervalMs(limits) / 2;
}

const HEAD_BYTES = 256;
const INLINE_BYTES = 768;
const BLOCK_BYTES = 4096;

/** What a record counts for: its head, and content that is kept in blocks where it is not short. */
export function storedBytes(contentBytes: number): number {
  const inBlocks = Math.max(0, contentBytes - INLINE_BYTES);
  return HEAD_BYTES + (contentBytes - inBlocks) + BLOCK_BYTES * Math.ceil(inBlocks / BLOCK_BYTES);
}

/** The content of a waiting secret. */
export function contentBytesOf({ envelope, notify }: Pick<NewSecret, 'envelope' | 'notify'>): number {
  return envelope.length + (notify ? notifyBytesOf(notify) : 0);
}

/** The content of an event. */
export function notifyBytesOf({ sealed, destination }: Notify): number {
  return sealed.length + destination.length;
}
