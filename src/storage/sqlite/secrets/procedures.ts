import type { DatabaseSync } from 'node:sqlite';
import { type StoreLimits, take } from '../../../limits/limits.ts';
import { TRY_LIMIT, TRY_REFILL_MS } from '../../../secrets/budget.ts';
import { RECEIPT_MS } from '../../../secrets/store.ts';
import { storedBytes } from '../../usage.ts';
import { type PackedTaken, packTaken, type Takings } from '../limits/procedures.ts';
import type { EventWriter } from '../outbox/procedures.ts';
import type { Usage } from '../usage.ts';
import { type Admission, createAdmission, type PackedRefusal } from './admission.ts';
import { createRequesting, type RequestSweep } from './requests.ts';
import {
  contentBytes,
  GONE_SECRET,
  type GoneSecret,
  type NewRow,
  type PackedCopy,
  type PackedCreator,
  type PackedNotify,
  rowOf,
  SWEPT_MAX_BYTES,
  upToBytes,
} from './rows.ts';

type Parts = { database: DatabaseSync; limits: StoreLimits; usage: Usage; takings: Takings; events: EventWriter };

export type SecretProcedures = ReturnType<typeof createSecretProcedures>;

export function createSecretProcedures(parts: Parts) {
  const admission = createAdmission(parts);
  const creating = createCreating(parts, admission);
  const { sweepRequests, ...requesting } = createRequesting({ ...parts, admission, insertWaiting: creating.insert });
  const copies = createCopies(parts);
  const ending = createEnding(parts);
  return {
    ...creating.procedures,
    ...requesting,
    ...createTries(parts),
    ...createClaiming(parts, ending),
    ...createRereading(parts, copies),
    ...createBurning(parts, ending, copies),
    ...createSweeping(parts, ending, copies, sweepRequests),
  };
}

function createCreating({ database, usage }: Parts, { refusalOf }: Admission) {
  const insertRow = database.prepare(
    `INSERT INTO waiting (id, created_at, expires_at, tries, tries_full_at, receipt, envelope, client, notify, destination)
     VALUES (?, ?, ?, 0, 0, ?, ?, ?, ?, ?)`,
  );

  /** Takes no account of limits. */
  function insert(row: NewRow): void {
    const { id, created_at, expires_at, receipt, envelope, client, notify, destination } = row;
    insertRow.run(id, created_at, expires_at, receipt, envelope, client, notify, destination);
    usage.countWaiting(1, contentBytes(row), client);
  }

  const procedures = {
    create(
      id: Uint8Array,
      createdAt: number,
      expiresAt: number,
      receipt: Uint8Array | null,
      envelope: Uint8Array,
      creator: PackedCreator | null,
      notify: PackedNotify | null,
    ): PackedRefusal {
      const row = rowOf({ id, createdAt, expiresAt, envelope, creator, notify });
      const refusal = refusalOf(storedBytes(contentBytes(row)), creator);
      if (!refusal) insert({ ...row, receipt });
      return refusal;
    },

    admit(client: Uint8Array, now: number): PackedRefusal {
      return refusalOf(storedBytes(0), [client, now, false]);
    },
  };
  return { procedures, insert };
}

function createTries({ database }: Parts) {
  const budgetIn = (table: string, visibleUntil: string) => ({
    read: database.prepare(`SELECT tries_full_at FROM ${table} WHERE id = ? AND ${visibleUntil} > ?`),
    write: database.prepare(`UPDATE ${table} SET tries = tries + ?, tries_full_at = ? WHERE id = ?`),
    refund: database.prepare(
      `UPDATE ${table} SET tries = tries - 1, tries_full_at = tries_full_at - ${TRY_REFILL_MS} WHERE id = ? AND tries > 0`,
    ),
  });
  const budgets = [budgetIn('waiting', 'expires_at'), budgetIn('ended', 'copy_until')];

  return {
    /** @returns null when neither the secret nor a copy is there. */
    reserveTry(id: Uint8Array, now: number): PackedTaken | null {
      for (const { read, write } of budgets) {
        const before = read.get(id, now)?.tries_full_at as number | undefined;
        if (before === undefined) continue;
        const { fullAt, taken } = take(before, TRY_LIMIT, now);
        if (fullAt !== before) write.run(Number(taken.granted), fullAt, id);
        return packTaken(taken);
      }
      return null;
    },

    refundTry(id: Uint8Array): null {
      budgets.find(({ refund }) => refund.run(id).changes > 0);
      return null;
    },
  };
}

type Copies = ReturnType<typeof createCopies>;

function createCopies({ database, usage }: Parts) {
  const dropTraced = database.prepare(
    `UPDATE ended SET envelope = NULL, claim_tag = NULL, copy_until = NULL, due_at = ended_at + ${RECEIPT_MS}
     WHERE id = ? AND receipt IS NOT NULL`,
  );
  const deleteEnded = database.prepare('DELETE FROM ended WHERE id = ?');

  return {
    /** Takes the copy out of its record, which a receipt keeps; without a receipt the record goes too. */
    drop(id: Uint8Array, bytes: number): void {
      usage.countOther(-1, bytes);
      if (dropTraced.run(id).changes === 0) deleteEnded.run(id);
      else usage.countOther(1, 0);
    },
  };
}

type Ending = ReturnType<typeof createEnding>;

function createEnding({ database, usage }: Parts) {
  const insert = database.prepare(
    `INSERT INTO ended (id, state, created_at, expires_at, ended_at, due_at, tries, tries_full_at, reads, receipt,
       claim_tag, copy_until, envelope)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );

  return {
    /** A secret no longer waits: its place and its bytes are free. */
    leave(row: GoneSecret): void {
      usage.countWaiting(-1, contentBytes(row), row.client);
    },

    /** Keeps the record of an ended secret, with its copy. */
    keep(row: GoneSecret, state: 'read' | 'burned' | 'expired', endedAt: number, copy: PackedCopy | null = null): void {
      const [envelope = null, claimTag = null, copyUntil = null] = copy ?? [];
      const { id, created_at, expires_at, tries, tries_full_at, receipt } = row;
      const dueAt = copyUntil ?? endedAt + RECEIPT_MS;
      const reads = state === 'read' ? 1 : 0;
      const ends = [id, state, created_at, expires_at, endedAt, dueAt] as const;
      insert.run(...ends, tries, tries_full_at, reads, receipt, claimTag, copyUntil, envelope);
      usage.countOther(1, envelope?.length ?? 0);
    },
  };
}

function createClaiming({ database, usage, events }: Parts, { leave, keep }: Ending) {
  const deleteUntraced = database.prepare(
    `DELETE FROM waiting WHERE id = ? AND expires_at > ? AND receipt IS NULL AND notify IS NULL
     RETURNING length(envelope), client`,
  );
  deleteUntraced.setReturnArrays(true); // the way that most secrets go
  const deleteWaiting = database.prepare(`DELETE FROM waiting WHERE id = ? AND expires_at > ? ${GONE_SECRET}`);

  return {
    /** @returns whether this call ended the secret. */
    claim(id: Uint8Array, now: number, refundTry: boolean, eventDueAt: number, copy: PackedCopy | null): boolean {
      const gone = copy
        ? undefined
        : (deleteUntraced.get(id, now) as unknown as [number, Uint8Array | null] | undefined);
      if (gone) {
        usage.countWaiting(-1, ...gone);
        return true;
      }
      const row = deleteWaiting.get(id, now) as GoneSecret | undefined;
      if (!row) return false;
      leave(row);
      events.write(row, 'read', now, eventDueAt);
      if (!row.receipt && !copy) return true;
      const refunded = { tries: row.tries - 1, tries_full_at: row.tries_full_at - TRY_REFILL_MS };
      keep(refundTry ? { ...row, ...refunded } : row, 'read', now, copy);
      return true;
    },
  };
}

function createRereading({ database }: Parts, copies: Copies) {
  const count = database.prepare(
    `UPDATE ended SET reads = reads + 1, tries = tries - :refund, tries_full_at = tries_full_at - :refund * ${TRY_REFILL_MS}
     WHERE id = :id AND claim_tag = :claim_tag AND copy_until > :now AND reads < :max_reads
     RETURNING reads, length(envelope) AS bytes`,
  );

  return {
    /** @returns whether this read was counted. */
    reread(id: Uint8Array, now: number, refundTry: boolean, claimTag: Uint8Array, maxReads: number): boolean {
      const counted = count.get({ id, now, refund: Number(refundTry), claim_tag: claimTag, max_reads: maxReads });
      if (counted?.reads === maxReads) copies.drop(id, counted.bytes as number);
      return counted !== undefined;
    },
  };
}

function createBurning({ database, events }: Parts, { leave, keep }: Ending, copies: Copies) {
  const deleteWaiting = database.prepare(
    `DELETE FROM waiting WHERE id = ? AND receipt = ? AND expires_at > ? ${GONE_SECRET}`,
  );
  const isExpired = database.prepare(
    `SELECT 1 FROM waiting WHERE id = ? AND receipt = ? AND expires_at + ${RECEIPT_MS} > ?`,
  );
  const ended = database.prepare(
    `SELECT length(envelope) AS bytes FROM ended WHERE id = ? AND receipt = ? AND ended_at + ${RECEIPT_MS} > ?`,
  );

  return {
    /** @returns null when there is no such receipt; else whether the secret was waiting. */
    burn(id: Uint8Array, receipt: Uint8Array, now: number, refusedUntil: number): boolean | null {
      const row = deleteWaiting.get(id, receipt, now) as GoneSecret | undefined;
      if (row) {
        leave(row);
        if (row.created_at <= refusedUntil) return null;
        events.write(row, 'burned', now, now);
        keep(row, 'burned', now);
        return true;
      }
      const found = ended.get(id, receipt, now) as { bytes: number | null } | undefined;
      if (found && found.bytes !== null) copies.drop(id, found.bytes);
      return found || isExpired.get(id, receipt, now) ? false : null;
    },
  };
}

function createSweeping(
  { database, usage, takings, events }: Parts,
  { leave, keep }: Ending,
  copies: Copies,
  sweepRequests: RequestSweep,
) {
  const deleteExpired = database.prepare(
    `DELETE FROM waiting WHERE id IN (${upToBytes(
      `SELECT id, length(envelope) AS bytes FROM waiting WHERE id < ? AND expires_at <= ? ORDER BY id LIMIT ?`,
      'id',
    )}) ${GONE_SECRET}`,
  );
  const dueCopies = database.prepare(
    `SELECT id, bytes FROM (
       SELECT id, bytes, sum(bytes) OVER (ORDER BY due_at, id) - bytes AS before FROM (
         SELECT id, due_at, bytes FROM
           (SELECT id, due_at, ended_at, receipt, coalesce(length(envelope), 0) AS bytes
            FROM ended WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2)
         WHERE receipt IS NOT NULL AND ended_at + ${RECEIPT_MS} > ?1))
     WHERE before < ${SWEPT_MAX_BYTES}`,
  );
  const deleteDue = database.prepare(
    `DELETE FROM ended WHERE id IN (${upToBytes(
      `SELECT id, due_at, coalesce(length(envelope), 0) AS bytes FROM ended WHERE due_at <= ? ORDER BY due_at LIMIT ?`,
      'due_at',
    )}) RETURNING coalesce(length(envelope), 0) AS bytes`,
  );

  function expire(row: GoneSecret, now: number, refusedUntil: number): void {
    leave(row);
    if (row.expires_at + RECEIPT_MS <= now) return;
    if (row.created_at > refusedUntil) events.write(row, 'expired', row.expires_at, now);
    if (row.receipt) keep(row, 'expired', row.expires_at);
  }

  const isFull = (rows: readonly { bytes: number }[]): boolean =>
    rows.reduce((sum, { bytes }) => sum + bytes, 0) >= SWEPT_MAX_BYTES;

  return {
    /** @returns how many it wiped, `limit` also after as many bytes as fit into one step; and how many of them expired. */
    sweep(now: number, limit: number, bound: Uint8Array, refusedUntil: number): readonly [number, number] {
      const expired = deleteExpired.all(bound, now, limit) as GoneSecret[];
      for (const row of expired) expire(row, now, refusedUntil);
      let left = limit - expired.length;
      if (isFull(expired)) return [limit, expired.length];
      const due = dueCopies.all(now, left) as { id: Uint8Array; bytes: number }[];
      for (const { id, bytes } of due) copies.drop(id, bytes);
      left -= due.length;
      if (isFull(due)) return [limit, expired.length];
      const gone = deleteDue.all(now, left) as { bytes: number }[];
      for (const { bytes } of gone) usage.countOther(-1, bytes);
      left -= gone.length;
      if (isFull(gone)) return [limit, expired.length];
      left -= sweepRequests(now, left, bound, refusedUntil);
      left -= events.giveUp(now, left);
      left -= takings.sweep(now, left);
      return [limit - left, expired.length];
    },
  };
}
