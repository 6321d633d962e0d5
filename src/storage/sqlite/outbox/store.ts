import type { EventStore } from '../../../webhooks/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { EventProcedures } from './procedures.ts';
import { createWaitingCount } from './waiting.ts';

/** Events in SQLite: writes go to the storage thread, as for secrets. */
export function createSqliteEventStore(commit: GroupCommit<EventProcedures>, reader: Reader): EventStore {
  const dueDestination = reader.prepare('SELECT 1 FROM destinations WHERE due_at <= ? LIMIT 1');

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

    countWaiting: createWaitingCount(reader, 'events'),
  } satisfies EventStore;
}
