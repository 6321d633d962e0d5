import type { DatabaseSync } from 'node:sqlite';
import { RECEIPT_MS } from '../../../secrets/store.ts';
import { storedBytes } from '../../usage.ts';
import type { EventWriter } from '../outbox/procedures.ts';
import type { Usage } from '../usage.ts';
import type { Admission, PackedRefusal } from './admission.ts';
import {
  contentBytes,
  GONE_REQUEST,
  type GoneRequest,
  type NewRow,
  type PackedAnswerer,
  type PackedCreator,
  type PackedNotify,
  type PackedRepeat,
  type RequestRow,
  rowOf,
} from './rows.ts';

type Parts = {
  database: DatabaseSync;
  usage: Usage;
  events: EventWriter;
  admission: Admission;
  /** Stores and counts a waiting secret. */
  insertWaiting(row: NewRow): void;
};

/** @returns how many it wiped. */
export type RequestSweep = (now: number, limit: number, bound: Uint8Array, refusedUntil: number) => number;

/** Open requests, and what ends them. */
export function createRequesting(parts: Parts) {
  return {
    ...createAsking(parts),
    ...createAnswering(parts),
    ...createWithdrawing(parts),
    sweepRequests: createRequestSweep(parts),
  };
}

function createAsking({ database, usage, admission }: Parts) {
  const insert = database.prepare(
    `INSERT INTO requests (id, created_at, expires_at, request_hash, envelope, client, notify, destination)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );

  return {
    ask(
      id: Uint8Array,
      createdAt: number,
      expiresAt: number,
      requestHash: Uint8Array,
      envelope: Uint8Array,
      creator: PackedCreator | null,
      packedNotify: PackedNotify | null,
    ): PackedRefusal {
      const row = rowOf({ id, createdAt, expiresAt, envelope, creator, notify: packedNotify });
      const refusal = admission.refusalOf(storedBytes(contentBytes(row)), creator);
      if (refusal) return refusal;
      const { client, notify, destination } = row;
      insert.run(id, createdAt, expiresAt, requestHash, envelope, client, notify, destination);
      usage.countWaiting(1, contentBytes(row), client);
      return null;
    },
  };
}

function createAnswering({ database, usage, events, admission, insertWaiting }: Parts) {
  const findOpen = database.prepare('SELECT * FROM requests WHERE id = ? AND request_hash = ? AND expires_at > ?');
  const remove = database.prepare('DELETE FROM requests WHERE id = ?');
  const remember = database.prepare(
    'INSERT INTO answers (id, created_at, expires_at, request_hash, tag, until) VALUES (?, ?, ?, ?, ?, ?)',
  );

  return {
    /** @returns false when no request is open. */
    answer(
      id: Uint8Array,
      requestHash: Uint8Array,
      now: number,
      envelope: Uint8Array,
      createdAt: number,
      receipt: Uint8Array | null,
      repeat: PackedRepeat | null,
      answerer: PackedAnswerer | null,
    ): PackedRefusal | boolean {
      const row = findOpen.get(id, requestHash, now) as RequestRow | undefined;
      if (!row) return false;
      const more = storedBytes(contentBytes({ ...row, envelope })) - storedBytes(contentBytes(row));
      const owner = row.client && ({ client: row.client, places: 0 } as const);
      const refusal = admission.refusalOf(Math.max(0, more), answerer && [...answerer, false], owner);
      if (refusal) return refusal;
      remove.run(id);
      usage.countWaiting(-1, contentBytes(row), row.client);
      insertWaiting({ ...row, created_at: createdAt, receipt, envelope });
      events.write(row, 'answered', createdAt, now);
      if (repeat) {
        remember.run(id, createdAt, row.expires_at, requestHash, ...repeat);
        usage.countOther(1, 0);
      }
      return true;
    },
  };
}

function createWithdrawing({ database, usage }: Parts) {
  const remove = database.prepare(`DELETE FROM requests WHERE id = ? AND expires_at > ? ${GONE_REQUEST}`);
  const isWaiting = database.prepare('SELECT 1 FROM waiting WHERE id = ? AND expires_at > ?');

  return {
    /** @returns whether it was an open request; null when neither that nor a waiting secret is there. */
    withdraw(id: Uint8Array, now: number): boolean | null {
      const row = remove.get(id, now) as GoneRequest | undefined;
      if (row) usage.countWaiting(-1, contentBytes(row), row.client);
      return row ? true : isWaiting.get(id, now) ? false : null;
    },
  };
}

function createRequestSweep({ database, usage, events }: Parts): RequestSweep {
  const deleteExpired = database.prepare(
    `DELETE FROM requests WHERE id IN
       (SELECT id FROM requests WHERE id < ? AND expires_at <= ? ORDER BY id LIMIT ?) ${GONE_REQUEST}`,
  );
  const deleteAnswers = database.prepare(
    'DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE until <= ? ORDER BY until LIMIT ?)',
  );

  return (now, limit, bound, refusedUntil) => {
    const expired = deleteExpired.all(bound, now, limit) as GoneRequest[];
    for (const row of expired) {
      usage.countWaiting(-1, contentBytes(row), row.client);
      const isReported = row.created_at > refusedUntil && row.expires_at + RECEIPT_MS > now;
      if (isReported) events.write(row, 'unanswered', row.expires_at, now);
    }
    const answers = Number(deleteAnswers.run(now, limit - expired.length).changes);
    for (let left = answers; left > 0; left--) usage.countOther(-1, 0);
    return expired.length + answers;
  };
}
