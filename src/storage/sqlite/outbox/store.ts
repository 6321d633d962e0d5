import { setImmediate as turn } from 'node:timers/promises';
import type { EventStore, TakenEvent } from '../../../webhooks/store.ts';
import { decode } from '../engine/codec.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import { PROCEDURE } from '../procedures.ts';
import { EVENT_TYPES } from './procedures.ts';

/** Rows that are counted in one turn of the event loop: less than a millisecond. */
const COUNT_STEP = 500;

/** Events in SQLite: what changes them goes to the storage thread, as secrets do. */
export function createSqliteEventStore(commit: GroupCommit, reader: Reader): EventStore {
  const dueDestination = reader.prepare('SELECT 1 FROM destinations WHERE due_at <= ? LIMIT 1');
  const oldest = reader.prepare('SELECT min(occurred_at) FROM events');
  const countStep = reader.prepare(
    `SELECT max(id), count(*) FROM (SELECT id FROM events WHERE id > ? ORDER BY id LIMIT ${COUNT_STEP})`,
  );

  return {
    async takeDue(now, { limit, perDestination, leaseUntil, without }) {
      const left = Buffer.concat(without);
      const [packed] = await commit.run(PROCEDURE.takeDue, now, limit, perDestination, leaseUntil, left);
      return decode(packed as Uint8Array).map(({ procedure, values }) => {
        const [id, occurredAt, attempts, destination, sealed] = values as [
          Uint8Array,
          number,
          number,
          Uint8Array,
          Uint8Array,
        ];
        const type = EVENT_TYPES[procedure] as TakenEvent['type'];
        return { id, type, occurredAt, attempts, dueAt: leaseUntil, notify: { sealed, destination } };
      });
    },

    async finish(ids) {
      await Promise.all(ids.map((id) => commit.run(PROCEDURE.finish, id)));
    },

    async postpone({ id, dueAt: lease }, { dueAt, attempts }) {
      const [wasHeld] = await commit.run(PROCEDURE.postpone, id, lease, dueAt, attempts);
      return wasHeld === 1;
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
