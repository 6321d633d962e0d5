import type { DatabaseSync } from 'node:sqlite';
import {
  advanced,
  decided,
  endsSessions,
  type FenceDecision,
  type FenceMark,
  type FenceState,
} from '../../../fence/store.ts';
import type { Usage } from '../usage.ts';

/** What a restore removes: sessions, whatever lets somebody in without a password, and mail that may have been sent. */
const ENDED = "'sessions', 'signing_keys', 'links', 'mails'";
/** Those of them that count towards the limit on everything stored, with the length of a row's content. */
const COUNTED: Readonly<Record<string, string>> = {
  links: "octet_length(email) + octet_length(coalesce(profile, ''))",
  mails: 'length(sealed)',
};

type Row = { database_id: Uint8Array; mark: number; refused_until: number };
/** The id of a database in hexadecimal, and its mark. */
export type PackedMark = readonly [databaseId: string, mark: number];

export type PackedState = readonly [...PackedMark, refusedUntil: number];

export type FenceProcedures = ReturnType<typeof createFenceProcedures>;

export function createFenceProcedures(database: DatabaseSync, usage: Usage) {
  const record = createFenceRecord(database, (contentBytes) => usage.countOther(-1, contentBytes));
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

/**
 * The row. To change it needs a transaction around it.
 * @param onRemoved is called for each removed record that counted, with the length of its content.
 */
export function createFenceRecord(database: DatabaseSync, onRemoved: (contentBytes: number) => void) {
  const read = database.prepare('SELECT database_id, mark, refused_until FROM fence');
  const write = database.prepare('UPDATE fence SET mark = ?, refused_until = ?');
  const endedTables = database.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN (${ENDED})`);

  function look(): FenceState {
    const row = read.get() as Row;
    const databaseId = Buffer.from(row.database_id).toString('hex');
    return { databaseId, mark: row.mark, refusedUntil: row.refused_until };
  }

  function empty(table: string): void {
    const counted = COUNTED[table];
    if (counted === undefined) return void database.exec(`DELETE FROM ${table}`);
    for (const { bytes } of database.prepare(`DELETE FROM ${table} RETURNING ${counted} AS bytes`).all())
      onRemoved(bytes as number);
  }

  function put(next: FenceState, mustEndSessions: boolean): FenceState {
    // Operators may decide about a file of an older version, which has none.
    if (mustEndSessions) for (const { name } of endedTables.all() as { name: string }[]) empty(name);
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
