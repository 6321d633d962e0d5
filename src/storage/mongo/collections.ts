import type { Notify } from '../../secrets/store.ts';
import type { EventType } from '../../webhooks/store.ts';

/**
 * One document for each secret, from its creation until nothing of it is needed. Whatever must be atomic is one update
 * or deletion of that one document, so that neither transactions nor a second unique index are needed.
 */
export type SecretDocument = {
  _id: Uint8Array;
  /** "expired" is never written: it is a waiting one whose time is over. */
  state: 'waiting' | 'read' | 'burned';
  createdAt: number;
  expiresAt: number;
  endedAt?: number;
  /** Tries that count as wrong, and when the budget will be full again (GCRA: each try moves it on by one refill). */
  tries: number;
  triesFullAt: number;
  reads: number;
  receiptHash?: Uint8Array;
  /** While it waits: whose it is, and what it takes of that client's quota. */
  client?: Uint8Array;
  bytes?: number;
  /** Sealed content, of the secret or of the copy for rereading, and until when it may be seen: there or gone together. */
  envelope?: Uint8Array;
  visibleUntil?: number;
  /** Only with a copy. */
  claimTag?: Uint8Array;
  /** Who is to be told of the end: there until the event is finished. */
  notify?: Notify;
  /** From the end on, only with `notify`: its event. */
  event?: { type: EventType; at: number; dueAt: number; attempts: number };
  /** When the whole document may go. */
  removeAt: Date;
};
