import { setImmediate as turn } from 'node:timers/promises';
import type { FenceMark, FenceState, FenceStore } from '../../../fence/store.ts';
import type { Value } from '../engine/codec.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { FenceProcedures, PackedMark, PackedState } from './procedures.ts';

/** Rows to count in one turn of the event loop: about a millisecond. */
const COUNT_STEP = 1_000;

/** The fence's record in SQLite: a row of its own, in the file of the secrets. */
export function createSqliteFenceStore(commit: GroupCommit<FenceProcedures>, reader: Reader): FenceStore {
  const row = reader.prepare('SELECT database_id, mark, refused_until FROM fence WHERE mark > 0');
  const countSteps = ['waiting', 'requests'].map((table) =>
    reader.prepare(
      `SELECT max(id), count(*) FILTER (WHERE created_at <= ? AND expires_at > ?)
       FROM (SELECT id, created_at, expires_at FROM ${table} WHERE id > ? ORDER BY id LIMIT ${COUNT_STEP})`,
    ),
  );

  const version = reader.prepare('SELECT data_version FROM pragma_data_version');
  /** The version of the database in which nothing had been written since the last mark. */
  let unwritten: unknown;

  return {
    async look() {
      const found = await row();
      return found && stateOf(found as readonly Value[]);
    },

    async advance(now, known) {
      return unpack(await commit.run('advance', now, known.map(pack)));
    },

    async advanceIfWritten(now, known) {
      const seen = (await version())?.[0];
      if (seen === unwritten) return undefined;
      const moved = await commit.run('advanceIfWritten', now, known.map(pack));
      if (moved) return unpack(moved);
      unwritten = seen; // it was read before the storage thread looked
      return undefined;
    },

    async touch() {
      await commit.run('touch');
    },

    async countRefused(refusedUntil, now) {
      let counted = 0;
      for (const countStep of countSteps) {
        for (let last: Uint8Array | null = new Uint8Array(); last; await turn()) {
          const step = await countStep(refusedUntil, now, last);
          last = step?.[0] as Uint8Array | null;
          counted += step?.[1] as number;
        }
      }
      return counted;
    },
  } satisfies FenceStore;
}

function pack({ databaseId, mark }: FenceMark): PackedMark {
  return [databaseId, mark];
}

function unpack([databaseId, mark, refusedUntil]: PackedState): FenceState {
  return { databaseId, mark, refusedUntil };
}

/** @param row the database's id, its mark, and until when secrets are refused. */
export function stateOf([databaseId, mark, refusedUntil]: readonly Value[]): FenceState {
  return {
    databaseId: Buffer.from(databaseId as Uint8Array).toString('hex'),
    mark: mark as number,
    refusedUntil: refusedUntil as number,
  };
}
