import { KEPT_MS, type SinkStore } from '../../../sink/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { SinkProcedures } from './procedures.ts';

/** The sink's claims in SQLite. */
export function createSqliteSinkStore(commit: GroupCommit<SinkProcedures>, reader: Reader): SinkStore {
  const newest = reader.prepareList(
    'SELECT claims FROM claims WHERE received_at > ? ORDER BY received_at DESC, id DESC LIMIT ?',
  );

  return {
    keepClaims: async ({ id, receivedAt, claims }) => commit.run('keepClaims', id, receivedAt, Buffer.from(claims)),

    async listClaims(now, limit) {
      const rows = await newest(now - KEPT_MS, limit);
      return rows.map(([claims]) => Buffer.from(claims as Uint8Array).toString());
    },

    sweepClaims: async (now, limit) => commit.run('sweepClaims', now, limit),
  } satisfies SinkStore;
}
