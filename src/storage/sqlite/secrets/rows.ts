import { contentBytesOf } from '../../usage.ts';

/** How values cross, where the port has objects. */
export type PackedCreator = readonly [client: Uint8Array, now: number, isAdmitted: boolean];
export type PackedNotify = readonly [sealed: Uint8Array, destination: Uint8Array];
export type PackedCopy = readonly [envelope: Uint8Array, claimTag: Uint8Array, until: number];
export type PackedAnswerer = readonly [client: Uint8Array, now: number];
export type PackedRepeat = readonly [tag: Uint8Array, until: number];

export type RequestRow = {
  id: Uint8Array;
  created_at: number;
  expires_at: number;
  envelope: Uint8Array;
  client: Uint8Array | null;
  notify: Uint8Array | null;
  destination: Uint8Array | null;
};
export type NewRow = RequestRow & { receipt: Uint8Array | null };
export type WaitingRow = NewRow & { tries: number; tries_full_at: number };

type Packed = {
  id: Uint8Array;
  createdAt: number;
  expiresAt: number;
  envelope: Uint8Array;
  creator: PackedCreator | null;
  notify: PackedNotify | null;
};

export function rowOf({ id, createdAt, expiresAt, envelope, creator, notify }: Packed): RequestRow {
  const [client = null] = creator ?? [];
  const [sealed = null, destination = null] = notify ?? [];
  return { id, created_at: createdAt, expires_at: expiresAt, envelope, client, notify: sealed, destination };
}

/** The size of what a row counts for. */
export function contentBytes({
  envelope,
  notify: sealed,
  destination,
}: Pick<RequestRow, 'envelope' | 'notify' | 'destination'>): number {
  return contentBytesOf({ envelope, notify: sealed && destination ? { sealed, destination } : undefined });
}
