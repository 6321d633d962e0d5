import type { DatabaseSync } from 'node:sqlite';
import {
  advanced,
  decided,
  endsSessions,
  type FenceDecision,
  type FenceMark,
  type FenceState,
} from '../../../fence/store.ts';

/** What a restore removes: sessions, and whatever lets somebody in without a password. */
const ENDED = "'sessions', 'signing_keys', 'links'";

type Row = { database_id: Uint8Array; mark: number; refused_until: number };
/** The id of a database in hexadecimal, and its mark. */
export type PackedMark = readonly [databaseId: string, mark: number];

export type PackedState = readonly [...PackedMark, refusedUntil: number];

export type FenceProcedures = ReturnType<typeof createFenceProcedures>;

export function createFenceProcedures(database: DatabaseSync) {
  const record = createFenceRecord(database);
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
    const { databaseId, mark, refusedUntil } = record.advance(now, marks);
    moved = { mark, writes: describeWrites() };
    return [databaseId, mark, refusedUntil];
  }

  return {
    /** @returns the new state. */
    advance,

    /** @returns the new state; null if nothing was written since this connection last moved the mark. */
    advanceIfWritten(now: number, known: readonly PackedMark[]): PackedState | null {
      // The stored mark is another one if the transaction that moved it was rolled back.
      const isNews = moved?.mark !== record.look().mark || moved.writes !== describeWrites();
      return isNews ? advance(now, known) : null;
    },

    touch(): null {
      touch.run();
      return null;
    },
  };
}

/** The row. To change it needs a transaction around it. */
export function createFenceRecord(database: DatabaseSync) {
  const read = database.prepare('SELECT database_id, mark, refused_until FROM fence');
  const write = database.prepare('UPDATE fence SET mark = ?, refused_until = ?');
  const endedTables = database.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN (${ENDED})`);

  function look(): FenceState {
    const row = read.get() as Row;
    const databaseId = Buffer.from(row.database_id).toString('hex');
    return { databaseId, mark: row.mark, refusedUntil: row.refused_until };
  }

  function put(next: FenceState, mustEndSessions: boolean): FenceState {
    // Operators may decide about a file of an older version, which has none.
    if (mustEndSessions)
      for (const { name } of endedTables.all() as { name: string }[]) database.exec(`DELETE FROM ${name}`);
    write.run(next.mark, next.refusedUntil);
    return next;
  }

  return {
    look,

    /** @returns the new state. */
    advance(now: number, known: readonly FenceMark[]): FenceState {
      const state = look();
      return put(advanced(state, now, known), endsSessions(state, known));
    },

    /** @returns the new state. */
    decide(decision: FenceDecision, now: number, known: readonly FenceMark[]): FenceState {
      const state = look();
      return put(decided(state, decision, now, known), endsSessions(state, known, decision));
    },
  };
}
