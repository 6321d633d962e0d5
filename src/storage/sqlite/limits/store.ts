import type { LimitStore } from '../../../limits/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import { type LimitProcedures, takenOf } from './procedures.ts';

/** Limits in SQLite. */
export function createSqliteLimitStore(commit: GroupCommit<LimitProcedures>): LimitStore {
  return {
    async take(key, { burst, intervalMs, toleranceMs }, now) {
      return takenOf(await commit.run('take', key, burst, intervalMs, toleranceMs, now));
    },

    async giveBack(key, { burst, intervalMs, toleranceMs }) {
      await commit.run('giveBack', key, burst, intervalMs, toleranceMs);
    },
  } satisfies LimitStore;
}
