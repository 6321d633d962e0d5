import { createRate, FULL_RETRY_MS, type Refusal, type StoreLimits } from '../../../limits/limits.ts';
import type { Takings } from '../limits/procedures.ts';
import type { Usage } from '../usage.ts';

export type PackedRefusal = readonly [reason: Refusal['reason'], retryAfterMs: number] | null;
/** Whose rate it takes from: as `PackedCreator`. */
type PackedTaker = readonly [client: Uint8Array, now: number, isAdmitted: boolean];
/** Whose quota it counts towards. */
type Owner = { client: Uint8Array; places: 0 | 1 };

export type Admission = ReturnType<typeof createAdmission>;

export function createAdmission({ limits, usage, takings }: { limits: StoreLimits; usage: Usage; takings: Takings }) {
  const rate = createRate(limits);

  return {
    /**
     * Takes from a client's rate, unless there is no room.
     * @param bytes how many more are to be stored.
     * @param owner the same client, in a place of its own, unless it is given.
     */
    refusalOf(
      bytes: number,
      taker: PackedTaker | null,
      owner: Owner | null = taker && { client: taker[0], places: 1 },
    ): PackedRefusal {
      if (bytes > 0 && usage.isFull(bytes)) return ['full', FULL_RETRY_MS];
      const [client, now, isAdmitted] = taker ?? [];
      const taken = client && now !== undefined && !isAdmitted ? takings.take(client, rate, now) : undefined;
      if (taken && !taken.granted) return ['rate', taken.retryAfterMs];
      if (!owner || !usage.isOverQuota(owner.client, bytes, owner.places)) return null;
      if (client && taken) takings.giveBack(client, rate);
      return ['quota', FULL_RETRY_MS];
    },
  };
}
