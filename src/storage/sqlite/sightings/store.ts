import type { SightingStore } from '../../../auth/sessions/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { SightingProcedures } from './procedures.ts';

/** Sightings in SQLite. */
export function createSqliteSightingStore(commit: GroupCommit<SightingProcedures>, reader: Reader): SightingStore {
  const byId = reader.prepare('SELECT 1 FROM sightings WHERE id = ? AND until > ?');

  return {
    see: async (id, by, now, until) => commit.run('see', id, by, now, until),

    async renew(id, until) {
      await commit.run('renewSighting', id, until);
    },

    has: async (id, now) => (await byId(id, now)) !== undefined,

    sweepSightings: async (now, limit) => commit.run('sweepSightings', now, limit),
  } satisfies SightingStore;
}
