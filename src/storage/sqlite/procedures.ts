import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { advanced, type FenceMark } from '../../fence/store.ts';
import { RECEIPT_MS, type Refusal, storedBytes, TRY_GRANTED_MS, TRY_REFILL_MS } from '../../secrets/store.ts';
import type { Procedure, Value } from './engine/codec.ts';
import { createEventProcedures } from './outbox/procedures.ts';
import { createSinkProcedures } from './sink/procedures.ts';
import type { Ledger } from './usage.ts';

/**
 * What the storage thread can be asked to do, by number. Each runs inside a transaction, never waits, and must not
 * assume that it is alone in it.
 */
export const PROCEDURE = {
  create: 0,
  reserveTry: 1,
  refundTry: 2,
  claim: 3,
  reread: 4,
  burn: 5,
  sweep: 6,
  advance: 7,
  admit: 8,
  keepClaims: 9,
  sweepClaims: 10,
  takeDue: 11,
  finish: 12,
  postpone: 13,
} as const;

/** By number, for only numbers and bytes cross to the storage thread. */
export const ENDED_STATES = ['read', 'burned', 'expired'] as const;
export const REFUSALS: readonly Refusal['reason'][] = ['rate', 'quota', 'full'];

type Row = Record<string, SQLOutputValue>;
const YES = [1] as const;
const NO = [0] as const;
const DONE: readonly Value[] = [];

export function createProcedures(database: DatabaseSync, ledger: Ledger): readonly Procedure[] {
  const sql = (text: string): StatementSync => database.prepare(text);
  const events = createEventProcedures(database, ledger);

  const insertWaiting = sql(
    `INSERT INTO waiting (id, created_at, expires_at, tries, tries_full_at, receipt, envelope, client, notify, destination)
     VALUES (?, ?, ?, 0, 0, ?, ?, ?, ?, ?)`,
  );
  const deleteUntraced = sql(
    `DELETE FROM waiting WHERE id = ? AND expires_at > ? AND receipt IS NULL AND notify IS NULL
     RETURNING length(envelope), client`,
  );
  deleteUntraced.setReturnArrays(true); // the way that most secrets go
  const deleteWaiting = sql('DELETE FROM waiting WHERE id = ? AND expires_at > ? RETURNING *');
  const deleteBurned = sql('DELETE FROM waiting WHERE id = ? AND receipt = ? AND expires_at > ? RETURNING *');
  const deleteExpired = sql(
    `DELETE FROM waiting WHERE id IN
       (SELECT id FROM waiting WHERE id < ? AND expires_at <= ? ORDER BY id LIMIT ?) RETURNING *`,
  );
  const insertEnded = sql(
    `INSERT INTO ended (id, state, created_at, expires_at, ended_at, due_at, tries, tries_full_at, reads, receipt,
       claim_tag, copy_until, envelope)
     VALUES (:id, :state, :created_at, :expires_at, :ended_at, :due_at, :tries, :tries_full_at, :reads, :receipt,
       :claim_tag, :copy_until, :envelope)`,
  );
  const isExpiredReceipt = sql('SELECT 1 FROM waiting WHERE id = ? AND receipt = ? AND expires_at + ? > ?');
  const dropCopy = `envelope = NULL, claim_tag = NULL, copy_until = NULL, due_at = ended_at + ${RECEIPT_MS}`;
  const isEndedReceipt = sql(`SELECT 1 FROM ended WHERE id = ? AND receipt = ? AND ended_at + ${RECEIPT_MS} > ?`);
  const copyOf = sql('SELECT length(envelope) AS bytes FROM ended WHERE id = ? AND envelope IS NOT NULL');
  const dropTracedCopy = sql(`UPDATE ended SET ${dropCopy} WHERE id = ? AND receipt IS NOT NULL`);
  const dueCopies = sql(
    `SELECT id, length(envelope) AS bytes FROM
       (SELECT * FROM ended WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2)
     WHERE receipt IS NOT NULL AND ended_at + ${RECEIPT_MS} > ?1`,
  );
  const deleteDue = sql(
    `DELETE FROM ended WHERE id IN (SELECT id FROM ended WHERE due_at <= ? ORDER BY due_at LIMIT ?)
     RETURNING coalesce(length(envelope), 0) AS bytes`,
  );
  const deleteIdleClients = sql(
    `DELETE FROM clients WHERE id IN
       (SELECT id FROM clients WHERE secrets = 0 AND rate_full_at <= ? ORDER BY rate_full_at LIMIT ?)`,
  );
  const deleteEnded = sql('DELETE FROM ended WHERE id = ?');
  const countReread = sql(
    `UPDATE ended SET reads = reads + 1, tries = tries - :refund, tries_full_at = tries_full_at - :refund * ${TRY_REFILL_MS}
     WHERE id = :id AND claim_tag = :claim_tag AND copy_until > :now AND reads < :max_reads
     RETURNING reads, length(envelope) AS bytes`,
  );
  // GCRA: `tries_full_at` is when the budget will be full again, each try moves it on by one refill.
  const reserve = (table: string, visible: string): StatementSync =>
    sql(
      `UPDATE ${table} SET tries = tries + 1, tries_full_at = max(tries_full_at, :now) + ${TRY_REFILL_MS}
       WHERE id = :id AND ${visible} > :now AND tries_full_at <= :now + ${TRY_GRANTED_MS}
       RETURNING tries_full_at`,
    );
  const reserveWaiting = reserve('waiting', 'expires_at');
  const reserveCopy = reserve('ended', 'copy_until');
  const budgetOf = sql(
    `SELECT tries_full_at FROM waiting WHERE id = :id AND expires_at > :now
     UNION ALL SELECT tries_full_at FROM ended WHERE id = :id AND copy_until > :now`,
  );
  const refund = (table: string): StatementSync =>
    sql(
      `UPDATE ${table} SET tries = tries - 1, tries_full_at = tries_full_at - ${TRY_REFILL_MS} WHERE id = ? AND tries > 0`,
    );
  const refundWaiting = refund('waiting');
  const refundEnded = refund('ended');
  const fenceRow = sql('SELECT database_id, mark, refused_until FROM fence');
  const setFence = sql('UPDATE fence SET mark = ?, refused_until = ?');

  function end(
    row: Row,
    state: 'read' | 'burned' | 'expired',
    endedAt: number,
    extra: Record<string, SQLInputValue> = {},
  ): void {
    ledger.countEnded(1, (extra.envelope as Uint8Array | null | undefined)?.length ?? 0);
    insertEnded.run({
      id: row.id as Uint8Array,
      state,
      created_at: row.created_at as number,
      expires_at: row.expires_at as number,
      ended_at: endedAt,
      due_at: endedAt + RECEIPT_MS,
      tries: row.tries as number,
      tries_full_at: row.tries_full_at as number,
      reads: 0,
      receipt: row.receipt as Uint8Array | null,
      claim_tag: null,
      copy_until: null,
      envelope: null,
      ...extra,
    });
  }

  /** It waits no longer: what was taken for it is free. */
  function leave(row: Row): void {
    ledger.countWaiting(-1, contentBytes(row as Waiting), row.client as Uint8Array | null);
  }

  /** Takes the copy out of a record that a receipt keeps. @returns false where none does. */
  function dropCopyOf(id: Uint8Array, bytes: number): boolean {
    if (dropTracedCopy.run(id).changes === 0) return false;
    ledger.countEnded(-1, bytes);
    ledger.countEnded(1, 0);
    return true;
  }

  const procedures: Record<keyof typeof PROCEDURE, (...values: never[]) => readonly Value[]> = {
    ...createSinkProcedures(database, ledger),

    /** @returns nothing when it is stored; else why it is not, and when to come back. */
    create(
      id: Uint8Array,
      createdAt: number,
      expiresAt: number,
      receipt: Uint8Array | null,
      envelope: Uint8Array,
      client: Uint8Array | null,
      now: number,
      isAdmitted: number,
      notify: Uint8Array | null,
      destination: Uint8Array | null,
    ) {
      const bytes = contentBytes({ envelope, notify, destination });
      const refusal = ledger.refusalOf(client, storedBytes(bytes), now, isAdmitted === 1);
      if (refusal) return valuesOf(refusal);
      insertWaiting.run(id, createdAt, expiresAt, receipt, envelope, client, notify, destination);
      ledger.countWaiting(1, bytes, client);
      if (client && isAdmitted === 0) ledger.takeRate(client, now);
      return DONE;
    },

    admit(client: Uint8Array, now: number) {
      const refusal = ledger.refusalOf(client, storedBytes(0), now, false);
      if (refusal) return valuesOf(refusal);
      ledger.takeRate(client, now);
      return DONE;
    },

    /** @returns nothing when gone; else whether it was granted, and when the budget will be full. */
    reserveTry(id: Uint8Array, now: number) {
      const granted = reserveWaiting.get({ id, now }) ?? reserveCopy.get({ id, now });
      if (granted) return [1, granted.tries_full_at as number];
      const refused = budgetOf.get({ id, now });
      return refused ? [0, refused.tries_full_at as number] : [];
    },

    refundTry(id: Uint8Array) {
      if (refundWaiting.run(id).changes === 0) refundEnded.run(id);
      return YES;
    },

    claim(
      id: Uint8Array,
      now: number,
      refunded: number,
      eventDueAt: number,
      claimTag: Uint8Array | null,
      copyUntil: number | null,
      copy: Uint8Array | null,
    ) {
      const gone = copy ? undefined : (deleteUntraced.get(id, now) as unknown as SQLOutputValue[] | undefined);
      if (gone) {
        ledger.countWaiting(-1, gone[0] as number, gone[1] as Uint8Array | null);
        return YES;
      }
      const row = deleteWaiting.get(id, now);
      if (!row) return NO;
      leave(row);
      events.write(row, 'read', now, eventDueAt);
      if (!row.receipt && !copy) return YES;
      end(row, 'read', now, {
        reads: 1,
        tries: (row.tries as number) - refunded,
        tries_full_at: (row.tries_full_at as number) - refunded * TRY_REFILL_MS,
        claim_tag: claimTag,
        copy_until: copyUntil,
        envelope: copy,
        due_at: copyUntil ?? now + RECEIPT_MS,
      });
      return YES;
    },

    reread(id: Uint8Array, now: number, refunded: number, claimTag: Uint8Array, maxReads: number) {
      const counted = countReread.get({ id, now, refund: refunded, claim_tag: claimTag, max_reads: maxReads });
      if (!counted) return NO;
      if (counted.reads === maxReads && !dropCopyOf(id, counted.bytes as number)) {
        deleteEnded.run(id);
        ledger.countEnded(-1, counted.bytes as number);
      }
      return YES;
    },

    /** @returns nothing when there is no such receipt; else whether it was waiting. */
    burn(id: Uint8Array, receipt: Uint8Array, now: number, refusedUntil: number) {
      const row = deleteBurned.get(id, receipt, now);
      if (row) {
        leave(row);
        if ((row.created_at as number) <= refusedUntil) return [];
        events.write(row, 'burned', now, now);
        end(row, 'burned', now);
        return YES;
      }
      const isReceipt = isEndedReceipt.get(id, receipt, now) !== undefined;
      const copy = isReceipt ? copyOf.get(id) : undefined;
      if (copy) dropCopyOf(id, copy.bytes as number);
      return isReceipt || isExpiredReceipt.get(id, receipt, RECEIPT_MS, now) ? NO : [];
    },

    /** @returns how many it wiped, and how many of these were waiting until they expired. */
    sweep(now: number, limit: number, bound: Uint8Array, refusedUntil: number) {
      const expired = deleteExpired.all(bound, now, limit);
      for (const row of expired) {
        leave(row);
        const expiredAt = row.expires_at as number;
        if (expiredAt + RECEIPT_MS <= now) continue;
        if ((row.created_at as number) > refusedUntil) events.write(row, 'expired', expiredAt, now);
        if (row.receipt) end(row, 'expired', expiredAt);
      }
      const left = limit - expired.length;
      const copies = dueCopies.all(now, left);
      for (const { id, bytes } of copies) dropCopyOf(id as Uint8Array, bytes as number);
      const gone = deleteDue.all(now, left - copies.length);
      for (const { bytes } of gone) ledger.countEnded(-1, bytes as number);
      const givenUp = events.giveUp(now, left - copies.length - gone.length);
      const idle = deleteIdleClients.run(now, left - copies.length - gone.length - givenUp).changes;
      return [expired.length + copies.length + gone.length + givenUp + Number(idle), expired.length];
    },

    advance(now: number, ...known: readonly (Uint8Array | number)[]) {
      const row = fenceRow.get() as Row;
      const id = row.database_id as Uint8Array;
      const state = {
        databaseId: hex(id),
        mark: row.mark as number,
        refusedUntil: row.refused_until as number,
      };
      const { mark, refusedUntil } = advanced(state, now, marksOf(known));
      setFence.run(mark, refusedUntil);
      return [id, mark, refusedUntil];
    },

    takeDue: events.takeDue,
    finish: events.finish,
    postpone: events.postpone,
  };
  return Object.entries(PROCEDURE)
    .sort(([, a], [, b]) => a - b)
    .map(([name]) => procedures[name as keyof typeof PROCEDURE] as Procedure);
}

/** Marks as they come: the id of a database, its mark, the next id, and so on. */
function marksOf(known: readonly (Uint8Array | number)[]): FenceMark[] {
  return Array.from({ length: known.length / 2 }, (_, index) => ({
    databaseId: hex(known[2 * index] as Uint8Array),
    mark: known[2 * index + 1] as number,
  }));
}

type Waiting = { envelope: Uint8Array; notify: Uint8Array | null; destination: Uint8Array | null };

function contentBytes({ envelope, notify, destination }: Waiting): number {
  return envelope.length + (notify?.length ?? 0) + (destination?.length ?? 0);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function valuesOf({ reason, retryAfterMs }: Refusal): readonly Value[] {
  return [REFUSALS.indexOf(reason), retryAfterMs];
}
