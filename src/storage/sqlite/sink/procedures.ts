import type { DatabaseSync } from 'node:sqlite';
import { storedBytes } from '../../../secrets/store.ts';
import { KEPT_MS } from '../../../sink/store.ts';
import type { Procedure } from '../engine/codec.ts';
import type { Ledger } from '../usage.ts';

/** What `keepClaims` answers, by number. */
export const OUTCOMES = ['kept', 'replayed', 'full'] as const;
const outcome = (name: (typeof OUTCOMES)[number]): readonly [number] => [OUTCOMES.indexOf(name)];

/** What the storage thread does for the sink. */
export function createSinkProcedures(
  database: DatabaseSync,
  ledger: Ledger,
): Readonly<Record<'keepClaims' | 'sweepClaims', Procedure>> {
  const isKept = database.prepare('SELECT 1 FROM claims WHERE id = ?');
  const insert = database.prepare('INSERT INTO claims (id, received_at, claims) VALUES (?, ?, ?)');
  const deleteOver = database.prepare(
    `DELETE FROM claims WHERE id IN
       (SELECT id FROM claims WHERE received_at <= ? ORDER BY received_at LIMIT ?) RETURNING length(claims) AS bytes`,
  );

  return {
    keepClaims(id: Uint8Array, receivedAt: number, claims: Uint8Array) {
      if (isKept.get(id)) return outcome('replayed');
      if (ledger.refusalOf(null, storedBytes(claims.length), receivedAt, true)) return outcome('full');
      insert.run(id, receivedAt, claims);
      ledger.countEnded(1, claims.length);
      return outcome('kept');
    },

    sweepClaims(now: number, limit: number) {
      const gone = deleteOver.all(now - KEPT_MS, limit);
      for (const { bytes } of gone) ledger.countEnded(-1, bytes as number);
      return [gone.length];
    },
  };
}
