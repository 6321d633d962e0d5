import type { DatabaseSync } from 'node:sqlite';
import { advanced } from '../../../fence/store.ts';

type Row = { database_id: Uint8Array; mark: number; refused_until: number };
/** The id of a database in hexadecimal, and its mark. */
export type PackedMark = readonly [databaseId: string, mark: number];

export type FenceProcedures = ReturnType<typeof createFenceProcedures>;

export function createFenceProcedures(database: DatabaseSync) {
  const read = database.prepare('SELECT database_id, mark, refused_until FROM fence');
  // Not an update: SQLite would skip one that changes nothing.
  const touch = database.prepare('REPLACE INTO fence SELECT one, database_id, mark, refused_until FROM fence');
  const write = database.prepare('UPDATE fence SET mark = ?, refused_until = ?');

  return {
    /** @returns the new state. */
    advance(now: number, known: readonly PackedMark[]): readonly [...PackedMark, refusedUntil: number] {
      const row = read.get() as Row;
      const databaseId = Buffer.from(row.database_id).toString('hex');
      const state = { databaseId, mark: row.mark, refusedUntil: row.refused_until };
      const marks = known.map(([id, mark]) => ({ databaseId: id, mark }));
      const { mark, refusedUntil } = advanced(state, now, marks);
      write.run(mark, refusedUntil);
      return [databaseId, mark, refusedUntil];
    },

    touch(): null {
      touch.run();
      return null;
    },
  };
}
