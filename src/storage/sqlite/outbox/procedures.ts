import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { DESTINATION_BYTES } from '../../../outbox/store.ts';
import { RECEIPT_MS } from '../../../secrets/store.ts';
import type { EventType } from '../../../webhooks/store.ts';
import { encode, type Value } from '../engine/codec.ts';
import type { Ledger } from '../usage.ts';

/** By number, for only numbers and bytes cross to the storage thread. */
export const EVENT_TYPES: readonly EventType[] = ['read', 'burned', 'expired'];

type Row = Record<string, SQLOutputValue>;

/** What the storage thread does with events, beside writing them where secrets end. */
export type EventProcedures = {
  /** Writes the event of a secret that was waiting, if anybody is to be told of it. */
  write(waiting: Row, type: EventType, occurredAt: number, dueAt: number): void;
  /** Removes the events that nobody could deliver in time. @returns how many. */
  giveUp(now: number, limit: number): number;
  /** @param without the destinations to leave out, one after the other. @returns the events, packed as calls are. */
  takeDue(
    now: number,
    limit: number,
    perDestination: number,
    leaseUntil: number,
    without: Uint8Array,
  ): readonly Value[];
  finish(id: Uint8Array): readonly Value[];
  /** @returns whether it was held until `lease`. */
  postpone(id: Uint8Array, lease: number, dueAt: number, attempts: number): readonly Value[];
};

export function createEventProcedures(database: DatabaseSync, ledger: Ledger): EventProcedures {
  const insert = database.prepare(
    `INSERT INTO events (id, type, occurred_at, due_at, attempts, destination, notify)
     VALUES (:id, :type, :occurred_at, :due_at, 0, :destination, :notify)`,
  );
  const bytes = 'length(destination) + length(notify) AS bytes';
  const deleteOne = database.prepare(`DELETE FROM events WHERE id = ? RETURNING ${bytes}`);
  const deleteOld = database.prepare(
    `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE occurred_at <= ? ORDER BY occurred_at LIMIT ?)
     RETURNING ${bytes}`,
  );
  const dueDestinations = database.prepare('SELECT id FROM destinations WHERE due_at <= ? ORDER BY due_at LIMIT ?');
  const dueOf = database.prepare(
    `SELECT id, type, occurred_at, attempts, destination, notify FROM events
     WHERE destination = ? AND due_at <= ? ORDER BY due_at LIMIT ?`,
  );
  const lease = database.prepare('UPDATE events SET due_at = ? WHERE id = ?');
  const postpone = database.prepare('UPDATE events SET due_at = ?, attempts = ? WHERE id = ? AND due_at = ?');

  return {
    write({ id, notify, destination }, type, occurredAt, dueAt) {
      if (!notify) return;
      insert.run({
        id: id as Uint8Array,
        type,
        occurred_at: occurredAt,
        due_at: dueAt,
        destination: destination as Uint8Array,
        notify: notify as Uint8Array,
      });
      ledger.countEnded(1, (notify as Uint8Array).length + (destination as Uint8Array).length);
    },

    giveUp(now, limit) {
      const gone = deleteOld.all(now - RECEIPT_MS, limit);
      for (const row of gone) ledger.countEnded(-1, row.bytes as number);
      return gone.length;
    },

    takeDue(now, limit, perDestination, leaseUntil, without) {
      const left = new Set(splitDestinations(without).map(nameOf));
      const taken: Row[] = [];
      for (const { id } of dueDestinations.all(now, limit + left.size)) {
        if (left.has(nameOf(id as Uint8Array))) continue;
        taken.push(...dueOf.all(id as Uint8Array, now, Math.min(perDestination, limit - taken.length)));
        if (taken.length === limit) break;
      }
      for (const { id } of taken) lease.run(leaseUntil, id as Uint8Array);
      return [
        encode(taken.map((row) => ({ procedure: EVENT_TYPES.indexOf(row.type as EventType), values: told(row) }))),
      ];
    },

    finish(id) {
      const gone = deleteOne.get(id);
      if (gone) ledger.countEnded(-1, gone.bytes as number);
      return [];
    },

    postpone(id, heldUntil, dueAt, attempts) {
      return [Number(postpone.run(dueAt, attempts, id, heldUntil).changes)];
    },
  };
}

function told({ id, occurred_at, attempts, destination, notify }: Row): readonly Value[] {
  return [id, occurred_at, attempts, destination, notify] as readonly Value[];
}

function splitDestinations(bytes: Uint8Array): Uint8Array[] {
  const count = bytes.length / DESTINATION_BYTES;
  return Array.from({ length: count }, (_, index) =>
    bytes.subarray(index * DESTINATION_BYTES, (index + 1) * DESTINATION_BYTES),
  );
}

function nameOf(destination: Uint8Array): string {
  return Buffer.from(destination).toString('latin1');
}
