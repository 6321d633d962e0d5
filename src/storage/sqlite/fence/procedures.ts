import type { DatabaseSync } from 'node:sqlite';
import { advanced, type FenceState } from '../../../fence/store.ts';

type Row = { database_id: Uint8Array; mark: number; refused_until: number };
/** The id of a database in hexadecimal, and its mark. */
export type PackedMark = readonly [databaseId: string, mark: number];

export type PackedState = readonly [...PackedMark, refusedUntil: number];

export type FenceProcedures = ReturnType<typeof createFenceProcedures>;

export function createFenceProcedures(database: DatabaseSync) {
  const { look, change } = createFenceRecord(database);
  // Not an update: SQLite would skip one that changes nothing.
  const touch = database.prepare('REPLACE INTO fence SELECT one, database_id, mark, refused_until FROM fence');

  // Rows that this connection has changed, and a number that is another one after each commit of another connection.
  const countWrites = database.prepare(
    'SELECT total_changes() AS own, data_version AS others FROM pragma_data_version',
  );
  let moved: { mark: number; writes: string } | undefined;

  function describeWrites(): string {
    const { own, others } = countWrites.get() as { own: number; others: number };
    return `${own} ${others}`;
  }

  function advance(now: number, known: readonly PackedMark[]): PackedState {
    const marks = known.map(([databaseId, mark]) => ({ databaseId, mark }));
    const { databaseId, mark, refusedUntil } = change((state) => advanced(state, now, marks));
    moved = { mark, writes: describeWrites() };
    return [databaseId, mark, refusedUntil];
  }

  return {
    /** @returns the new state. */
    advance,

    /** @returns the new state; null if nothing was written since this connection last moved the mark. */
    advanceIfWritten(now: number, known: readonly PackedMark[]): PackedState | null {
      // The stored mark is another one if the transaction that moved it was rolled back.
      const isNews = moved?.mark !== look().mark || moved.writes !== describeWrites();
      return isNews ? advance(now, known) : null;
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
