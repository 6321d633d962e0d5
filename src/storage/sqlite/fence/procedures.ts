import type { DatabaseSync } from 'node:sqlite';
import { advanced, type FenceState } from '../../../fence/store.ts';

type Row = { database_id: Uint8Array; mark: number; refused_until: number };
/** The id of a database in hexadecimal, and its mark. */
export type PackedMark = readonly [databaseId: string, mark: number];

export type FenceProcedures = ReturnType<typeof createFenceProcedures>;

export function createFenceProcedures(database: DatabaseSync) {
  const { change } = createFenceRecord(database);
  // Not an update: SQLite would skip one that changes nothing.
  const touch = database.prepare('REPLACE INTO fence SELECT one, database_id, mark, refused_until FROM fence');

  return {
    /** @returns the new state. */
    advance(now: number, known: readonly PackedMark[]): readonly [...PackedMark, refusedUntil: number] {
      const marks = known.map(([databaseId, mark]) => ({ databaseId, mark }));
      const { databaseId, mark, refusedUntil } = change((state) => advanced(state, now, marks));
      return [databaseId, mark, refusedUntil];
    },

    touch(): null {
      touch.run();
      return null;
    },
  };
}

/** The row; `change` needs a transaction around it. */
export function createFenceRecord(database: DatabaseSync) {
  const read = database.prepare('SELECT database_id, mark, refused_until FROM fence');
  const write = database.prepare('UPDATE fence SET mark = ?, refused_until = ?');

  function look(): FenceState {
    const row = read.get() as Row;
    const databaseId = Buffer.from(row.database_id).toString('hex');
    return { databaseId, mark: row.mark, refusedUntil: row.refused_until };
  }

  return {
    look,
    /** @returns the new state. */
    change(how: (state: FenceState) => FenceState): FenceState {
      const next = how(look());
      write.run(next.mark, next.refusedUntil);
      return next;
    },
  };
}
