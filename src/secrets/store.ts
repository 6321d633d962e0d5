import type { Refusal } from '../limits/limits.ts';

/**
 * What one-time secrets need from an engine. Every verb is one atomic step across processes, and durable once it
 * resolves. An engine that cannot answer, or cannot know whether a write took place, rejects with AppError
 * STORAGE_UNAVAILABLE: an unknown outcome is never reported as a success.
 *
 * Instants are ms since the epoch. A secret is visible while `now < expiresAt`, a copy while `now < copyUntil`, a
 * receipt while `now < endedAt + receiptMs`. Bytes called an envelope are sealed: opaque to an engine.
 *
 * A request is a secret that has no content yet: `create` stores it open, `answer` turns it into a waiting secret with
 * the same id and expiry. Tries, reads, burning and receipts know nothing of an open request.
 */
export interface SecretStore {
  /**
   * Stores a waiting secret or an open request, unless that would exceed `StoreLimits`. It takes one creation from its
   * client's rate, and a place and bytes from the client's quota until the secret is no longer waiting.
   * @returns why it was refused: then nothing was stored and nothing taken. undefined when it is stored.
   */
  create(secret: NewSecret): Promise<Refusal | undefined>;

  /**
   * Takes one creation from a client's rate, ahead of a `create` that then takes none.
   * @returns why it was refused: the rate, or no place or room for another secret now.
   */
  admit(client: Uint8Array, now: number): Promise<Refusal | undefined>;

  /** The waiting secret, the copy kept for rereading, or the open request. */
  find(id: Uint8Array, now: number): Promise<Found | undefined>;

  /**
   * Takes one try from the secret's budget, `TRY_LIMIT`. It counts as a wrong try until `refundTry`, `claim` or `reread`
   * gives it back.
   * @returns undefined when neither the secret nor a copy is there any more.
   */
  reserveTry(id: Uint8Array, now: number): Promise<TryReservation | undefined>;

  /** Gives one reserved try back. */
  refundTry(id: Uint8Array): Promise<void>;

  /**
   * Ends a waiting secret as read; exactly one of N callers gets true. The envelope is gone from the record in the same
   * step, and so is the record itself unless a receipt, a copy or an event needs it. With a `notify`, the event is
   * written in that step too.
   */
  claim(id: Uint8Array, now: number, options: ClaimOptions): Promise<boolean>;

  /**
   * Counts one more read of the copy, if it was claimed with this `claimTag` and was read fewer than `maxReads` times;
   * the last read removes the copy.
   */
  reread(id: Uint8Array, now: number, options: RereadOptions): Promise<boolean>;

  /** @returns undefined when there is no such receipt, or its time is over. */
  findReceipt(id: Uint8Array, receiptHash: Uint8Array, now: number): Promise<Receipt | undefined>;

  /**
   * Ends a waiting secret as burned; with a `notify`, its event is written in the same step, due at once. A copy kept
   * for rereading is removed in every state.
   * @param refusedUntil secrets created at this instant or before may have been read already: such a waiting secret is
   *   removed with its receipt and without an event, and undefined is returned.
   * @returns undefined when there is no such receipt, or its time is over.
   */
  burn(
    id: Uint8Array,
    receiptHash: Uint8Array,
    now: number,
    refusedUntil: number,
  ): Promise<'burned' | 'not-waiting' | undefined>;

  /** Looks at a request by its own key. @returns undefined when it is unknown, expired or withdrawn. */
  findRequest(id: Uint8Array, requestHash: Uint8Array, now: number): Promise<FoundRequest | undefined>;

  /**
   * Turns an open request into a waiting secret; exactly one of N answers gets true. The envelope counts towards the
   * quota of the client that asked, in the place that the request has; one creation is taken from the answerer's rate,
   * perhaps also from that of an answerer that comes too late. With a `notify`, the event `answered` is written in the
   * same step, due at once, and the `notify` stays for the secret's own event.
   * @returns why it was refused: then nothing was changed. false when no request is open.
   */
  answer(id: Uint8Array, requestHash: Uint8Array, now: number, answer: NewAnswer): Promise<Refusal | boolean>;

  /**
   * Removes an open request, without an event.
   * @returns 'waiting' for a waiting secret; undefined when neither is there.
   */
  withdraw(id: Uint8Array, now: number): Promise<'withdrawn' | 'waiting' | undefined>;

  /**
   * Wipes up to `limit` records: expired secrets and requests, copies past their window, receipts and events past their
   * time, answers that may no longer be repeated, and limits of which nothing is taken any more. A sweep that wipes fewer
   * leaves nothing to do. The event of a secret or request with a `notify` is written in the same step as it expires, due
   * at once.
   * @param refusedUntil secrets created at this instant or before may have been read already: they have no event.
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
  /** Without a creator, only the limit on everything stored applies. */
  creator?: Creator | undefined;
  /** It is a request, and this is the hash of its key's token: there is nothing to read until it is answered. */
  requestHash?: Uint8Array | undefined;
};

/** What an answer puts in the place of a request. */
export type NewAnswer = {
  envelope: Uint8Array;
  /** From the answer on, the secret was created at this instant. */
  createdAt: number;
  receiptHash?: Uint8Array | undefined;
  /** By which the same answer can be recognised while `now < until`, whatever becomes of the secret meanwhile. */
  repeat?: { tag: Uint8Array; until: number } | undefined;
  /** Without an answerer, no rate applies. */
  answerer?: { client: Uint8Array; now: number } | undefined;
};

/** Where the end of a secret is reported: see src/outbox/store.ts. */
export type Notify = {
  /** Opaque to an engine but for its head, which names the master key as an envelope's does. */
  sealed: Uint8Array;
  /** 16 bytes, the same for events that go to the same place. */
  destination: Uint8Array;
};

/** The client (16 bytes) that a secret counts for, the instant for its rate, and whether `admit` took from it before. */
export type Creator = { client: Uint8Array; now: number; isAdmitted: boolean };

/** The part of its client's quota that a waiting secret takes. */
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
  | { state: 'copy'; createdAt: number; expiresAt: number; envelope: Uint8Array; claimTag: Uint8Array }
  | { state: 'requested'; createdAt: number; expiresAt: number; envelope: Uint8Array };

/** An answered request is found only while its answer may be repeated; `createdAt` is then that of the answer. */
export type FoundRequest =
  | { state: 'open'; createdAt: number; expiresAt: number; envelope: Uint8Array }
  | { state: 'answered'; createdAt: number; expiresAt: number; answer: { tag: Uint8Array } };

export type TryReservation = { granted: true; triesLeft: number } | { granted: false; retryAfterMs: number };

export type ClaimOptions = {
  copy?: { envelope: Uint8Array; claimTag: Uint8Array; until: number } | undefined;
  /** Whether the caller holds a reserved try, which a right phrase does not cost. */
  refundTry: boolean;
  /** As found: an engine may not see it again when it ends the secret. */
  share?: Share | undefined;
  /** Until when the caller holds the event, if there is one; without it, the event is due at once. */
  eventDueAt?: number | undefined;
};

export type Swept = {
  wiped: number;
  /**
   * How many of them were secrets that were never read or burned; requests do not count. Each is in the count of exactly one
   * sweep.
   */
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

/** How long a receipt outlives its secret; and how long an event is kept that cannot be delivered. */
export const RECEIPT_MS = 7 * 24 * 3_600_000;
