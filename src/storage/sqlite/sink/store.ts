import { KEPT_MS, type SinkStore } from '../../../sink/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import { PROCEDURE } from '../procedures.ts';
import { OUTCOMES } from './procedures.ts';

/** The sink's claims in SQLite. */
export function createSqliteSinkStore(commit: GroupCommit, reader: Reader): SinkStore {
  const newest = reader.prepareList(
    'SELECT claims FROM claims WHERE received_at > ? ORDER BY received_at DESC, id DESC LIMIT ?',
  );

  return {
    async keepClaims({ id, receivedAt, claims }) {
      const [outcome] = await commit.run(PROCEDURE.keepClaims, id, receivedAt, Buffer.from(claims));
      return OUTCOMES[outcome as number] as (typeof OUTCOMES)[number];
    },

    async listClaims(now, limit) {
      const rows = await newest(now - KEPT_MS, limit);
      return rows.map(([claims]) => Buffer.from(claims as Uint8Array).toString());
    },

    async sweepClaims(now, limit) {
      const [count] = await commit.run(PROCEDURE.sweepClaims, now, limit);
      return count as number;
    },
  } satisfies SinkStore;
}
