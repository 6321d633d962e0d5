import type { DatabaseSync } from 'node:sqlite';
import { KEPT_MS } from '../../../sink/store.ts';
import { storedBytes } from '../../usage.ts';
import type { Usage } from '../usage.ts';

export type SinkProcedures = ReturnType<typeof createSinkProcedures>;

export function createSinkProcedures(database: DatabaseSync, usage: Usage) {
  const isKept = database.prepare('SELECT 1 FROM claims WHERE id = ?');
  const insert = database.prepare('INSERT INTO claims (id, received_at, claims) VALUES (?, ?, ?)');
  const deleteOver = database.prepare(
    `DELETE FROM claims WHERE id IN
       (SELECT id FROM claims WHERE received_at <= ? ORDER BY received_at LIMIT ?) RETURNING length(claims) AS bytes`,
  );

  return {
    keepClaims(id: Uint8Array, receivedAt: number, claims: Uint8Array): 'kept' | 'replayed' | 'full' {
      if (isKept.get(id)) return 'replayed';
      if (usage.isFull(storedBytes(claims.length))) return 'full';
      insert.run(id, receivedAt, claims);
      usage.countOther(1, claims.length);
      return 'kept';
    },

    /** @returns how many it removed. */
    sweepClaims(now: number, limit: number): number {
      const gone = deleteOver.all(now - KEPT_MS, limit);
      for (const { bytes } of gone) usage.countOther(-1, bytes as number);
      return gone.length;
    },
  };
}
