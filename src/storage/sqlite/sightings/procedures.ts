import type { DatabaseSync } from 'node:sqlite';

export type SightingProcedures = ReturnType<typeof createSightingProcedures>;

export function createSightingProcedures(database: DatabaseSync) {
  const see = database.prepare(
    `INSERT INTO sightings (id, by, until) VALUES (?1, ?2, ?4)
     ON CONFLICT (id) DO UPDATE SET by = excluded.by, until = max(until, excluded.until)
     WHERE until <= ?3 OR by = excluded.by`,
  );
  const renew = database.prepare(
    `INSERT INTO sightings (id, by, until) VALUES (?, x'', ?)
     ON CONFLICT (id) DO UPDATE SET until = excluded.until WHERE until < excluded.until`,
  );
  const deleteOver = database.prepare(
    'DELETE FROM sightings WHERE id IN (SELECT id FROM sightings WHERE until <= ? ORDER BY until LIMIT ?)',
  );

  return {
    see(id: Uint8Array, by: Uint8Array, now: number, until: number): boolean {
      return see.run(id, by, now, until).changes > 0;
    },

    renewSighting(id: Uint8Array, until: number): null {
      renew.run(id, until);
      return null;
    },

    /** @returns how many it removed. */
    sweepSightings(now: number, limit: number): number {
      return Number(deleteOver.run(now, limit).changes);
    },
  };
}
