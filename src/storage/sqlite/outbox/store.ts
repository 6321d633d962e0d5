import { setImmediate as turn } from 'node:timers/promises';
import type { EventStore } from '../../../webhooks/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { EventProcedures } from './procedures.ts';

/** Rows to count in one turn of the event loop: less than a millisecond. */
const COUNT_STEP = 500;

/** Events in SQLite: writes go to the storage thread, as for secrets. */
export function createSqliteEventStore(commit: GroupCommit<EventProcedures>, reader: Reader): EventStore {
  const dueDestination = reader.prepare('SELECT 1 FROM destinations WHERE due_at <= ? LIMIT 1');
  const oldest = reader.prepare('SELECT min(occurred_at) FROM events');
  const countStep = reader.prepare(
    `SELECT max(id), count(*) FROM (SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ${COUNT_STEP})`,
  );

  return {
    async takeDue(now, { limit, perDestination, leaseUntil, without }) {
      const packed = await commit.run('takeDue', now, limit, perDestination, leaseUntil, without);
      return packed.map(([id, type, occurredAt, attempts, destination, sealed]) => {
        return { id, type, occurredAt, attempts, dueAt: leaseUntil, notify: { sealed, destination } };
      });
    },

    async finish(ids) {
      await Promise.all(ids.map((id) => commit.run('finish', id)));
    },

    async postpone({ id, dueAt: lease }, { dueAt, attempts }) {
      return commit.run('postpone', id, lease, dueAt, attempts);
    },

    async hasDue(now) {
      return (await dueDestination(now)) !== undefined;
    },

    async countWaiting() {
      const oldestAt = ((await oldest())?.[0] as number | null) ?? undefined;
      let events = 0;
      for (let last: Uint8Array | null = new Uint8Array(); last; await turn()) {
        const step = await countStep(last);
        last = step?.[0] as Uint8Array | null;
        events += step?.[1] as number;
      }
      return { events, oldestAt };
    },
  } satisfies EventStore;
}
