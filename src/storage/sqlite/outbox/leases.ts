import type { DatabaseSync } from 'node:sqlite';
import type { Usage } from '../usage.ts';

/** What every table of an outbox has: `id`, `occurred_at`, `due_at` and `attempts`. */
type Table = {
  name: 'events' | 'mails';
  /** An expression for the length of a row's content. */
  contentBytes: string;
};

/** The steps that are the same for every kind of item that is delivered. */
export type Leases = {
  /** Holds a row that was taken. */
  lease(id: Uint8Array, until: number): void;
  finish(id: Uint8Array): void;
  /** @returns whether it was held until `heldUntil`. */
  postpone(id: Uint8Array, heldUntil: number, dueAt: number, attempts: number): boolean;
  /** Removes rows that occurred at `until` or before. @returns how many. */
  removeOld(until: number, limit: number): number;
};

export function createLeases(database: DatabaseSync, usage: Usage, { name, contentBytes }: Table): Leases {
  const deleteOne = database.prepare(`DELETE FROM ${name} WHERE id = ? RETURNING ${contentBytes} AS bytes`);
  const deleteOld = database.prepare(
    `DELETE FROM ${name} WHERE id IN (SELECT id FROM ${name} WHERE occurred_at <= ? ORDER BY occurred_at LIMIT ?)
     RETURNING ${contentBytes} AS bytes`,
  );
  const lease = database.prepare(`UPDATE ${name} SET due_at = ? WHERE id = ?`);
  const postpone = database.prepare(`UPDATE ${name} SET due_at = ?, attempts = ? WHERE id = ? AND due_at = ?`);

  return {
    lease(id, until) {
      lease.run(until, id);
    },
    finish(id) {
      const gone = deleteOne.get(id);
      if (gone) usage.countOther(-1, gone.bytes as number);
    },
    postpone: (id, heldUntil, dueAt, attempts) => postpone.run(dueAt, attempts, id, heldUntil).changes === 1,
    removeOld(until, limit) {
      const gone = deleteOld.all(until, limit);
      for (const { bytes } of gone) usage.countOther(-1, bytes as number);
      return gone.length;
    },
  };
}
