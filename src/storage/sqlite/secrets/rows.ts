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

/**
 * What a deletion returns: the length of an envelope and not the envelope, which SQLite would copy, above some MiB into a
 * temporary file.
 */
export type GoneRequest = Omit<RequestRow, 'envelope'> & { bytes: number };
export type GoneSecret = GoneRequest & { receipt: Uint8Array | null; tries: number; tries_full_at: number };
const GONE = 'id, created_at, expires_at, length(envelope) AS bytes, client, notify, destination';
export const GONE_REQUEST = `RETURNING ${GONE}`;
export const GONE_SECRET = `RETURNING ${GONE}, receipt, tries, tries_full_at`;

/** One step of a sweep ends no more than one row beyond these bytes: they are one transaction. */
export const SWEPT_MAX_BYTES = 16 << 20;

/** @param chosen selects `id`, `bytes` and the column that orders them. @returns the ids of the first of them. */
export function upToBytes(chosen: string, order: string): string {
  return `SELECT id FROM (SELECT id, sum(bytes) OVER (ORDER BY ${order}, id) - bytes AS before FROM (${chosen}))
          WHERE before < ${SWEPT_MAX_BYTES}`;
}

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
  notify: sealed,
  destination,
  ...row
}: Pick<RequestRow, 'notify' | 'destination'> & ({ envelope: Uint8Array } | { bytes: number })): number {
  const length = 'bytes' in row ? row.bytes : row.envelope.length;
  return contentBytesOf({ envelope: { length }, notify: sealed && destination ? { sealed, destination } : undefined });
}
