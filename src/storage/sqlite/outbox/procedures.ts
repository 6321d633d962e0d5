import type { DatabaseSync } from 'node:sqlite';
import { RECEIPT_MS } from '../../../secrets/store.ts';
import { isRequestEvent, requestEventIdOf } from '../../../webhooks/event-ids.ts';
import type { EventType } from '../../../webhooks/store.ts';
import type { Usage } from '../usage.ts';
import { createLeases } from './leases.ts';

type Row = {
  id: Uint8Array;
  type: EventType;
  occurred_at: number;
  attempts: number;
  destination: Uint8Array;
  notify: Uint8Array;
};
export type PackedEvent = readonly [
  id: Uint8Array,
  type: EventType,
  occurredAt: number,
  attempts: number,
  destination: Uint8Array,
  sealed: Uint8Array,
];

const EVENTS = { name: 'events', contentBytes: 'length(destination) + length(notify)' } as const;

/** For the procedures of secrets, in their transaction. */
export type EventWriter = {
  /** Writes an event of a secret that was waiting, or of a request that was open, if it has a `notify`. */
  write(waiting: Waiting, type: EventType, occurredAt: number, dueAt: number): void;
  /** Removes events that are too old to deliver. @returns how many. */
  giveUp(now: number, limit: number): number;
};
type Waiting = { id: Uint8Array; notify: Uint8Array | null; destination: Uint8Array | null };

export function createEventWriter(database: DatabaseSync, usage: Usage): EventWriter {
  const insert = database.prepare(
    `INSERT INTO events (id, type, occurred_at, due_at, attempts, destination, notify) VALUES (?, ?, ?, ?, 0, ?, ?)`,
  );
  const { removeOld } = createLeases(database, usage, EVENTS);

  return {
    write({ id, notify, destination }, type, occurredAt, dueAt) {
      if (!notify || !destination) return;
      const eventId = isRequestEvent(type) ? requestEventIdOf(id) : id;
      insert.run(eventId, type, occurredAt, dueAt, destination, notify);
      usage.countOther(1, notify.length + destination.length);
    },

    giveUp: (now, limit) => removeOld(now - RECEIPT_MS, limit),
  };
}

export type EventProcedures = ReturnType<typeof createEventProcedures>;

export function createEventProcedures(database: DatabaseSync, usage: Usage) {
  const leases = createLeases(database, usage, EVENTS);
  const dueDestinations = database.prepare('SELECT id FROM destinations WHERE due_at <= ? ORDER BY due_at LIMIT ?');
  const dueOf = database.prepare(
    `SELECT id, type, occurred_at, attempts, destination, notify FROM events
     WHERE destination = ? AND due_at <= ? ORDER BY due_at LIMIT ?`,
  );

  return {
    /** @param without the destinations to leave out. */
    takeDue(
      now: number,
      limit: number,
      perDestination: number,
      leaseUntil: number,
      without: readonly Uint8Array[],
    ): readonly PackedEvent[] {
      const leftOut = new Set(without.map(nameOf));
      const taken: Row[] = [];
      for (const { id } of dueDestinations.all(now, limit + leftOut.size) as { id: Uint8Array }[]) {
        if (leftOut.has(nameOf(id))) continue;
        taken.push(...(dueOf.all(id, now, Math.min(perDestination, limit - taken.length)) as Row[]));
        if (taken.length === limit) break;
      }
      for (const { id } of taken) leases.lease(id, leaseUntil);
      return taken.map(packEvent);
    },

    finish(id: Uint8Array): null {
      leases.finish(id);
      return null;
    },

    postpone: leases.postpone,
  };
}

function packEvent({ id, type, occurred_at, attempts, destination, notify }: Row): PackedEvent {
  return [id, type, occurred_at, attempts, destination, notify];
}

function nameOf(destination: Uint8Array): string {
  return Buffer.from(destination).toString('latin1');
}
