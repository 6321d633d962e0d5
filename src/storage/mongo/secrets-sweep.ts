import type { Collection, Document, Filter } from 'mongodb';
import type { SecretStore } from '../../secrets/store.ts';
import { type Clients, sharesOf } from './clients.ts';
import { CONTENT, type SecretDocument } from './collections.ts';

/** Neither read nor burned, and not wiped yet. */
const UNENDED = { state: 'waiting', visibleUntil: { $exists: true } } as const;
/** As a stage of a pipeline. */
export const WIPE = { $unset: Object.keys(CONTENT) };

type Over = Pick<SecretDocument, '_id' | 'state' | 'visibleUntil' | 'client' | 'bytes'>;
/** @returns how many it wiped. */
type Wipe = (which: Filter<SecretDocument>) => Promise<number>;

/** The sweep of secrets, and of their events. */
export function createSecretsSweep(secrets: () => Collection<SecretDocument>, clients: Clients): SecretStore['sweep'] {
  async function findOver(filter: Filter<SecretDocument>, limit: number): Promise<Over[]> {
    if (limit === 0) return []; // to MongoDB this would be no limit
    return secrets()
      .find(filter, { projection: { state: 1, visibleUntil: 1, client: 1, bytes: 1 }, limit })
      .toArray();
  }

  /**
   * Wipes the found documents that still match the filter; those of unended secrets in a step of their own, because the
   * database reports how many documents a step wiped, and not which.
   * @returns how many unended secrets it wiped. If other processes swept some of them too, nobody knows whose shares to
   *   give back: their clients are recounted one day.
   */
  async function wipe(found: readonly Over[], filter: Filter<SecretDocument>, run: Wipe): Promise<number> {
    const among = (some: readonly Over[]): Filter<SecretDocument> => ({
      ...filter,
      _id: { $in: some.map(({ _id }) => _id) },
    });
    const unended = found.filter(isUnended);
    const others = found.filter((one) => !isUnended(one));
    if (others.length > 0) await run(among(others));
    if (unended.length === 0) return 0;
    const wiped = await run({ ...UNENDED, ...among(unended) });
    if (wiped === unended.length) clients.release(unended.flatMap(sharesOf));
    return wiped;
  }

  return async (now, limit, refusedUntil) => {
    const over = { removeAt: { $lte: new Date(now) } };
    const past = { receiptHash: { $exists: true }, notify: { $exists: false }, visibleUntil: { $lte: now } };
    const notifying = { notify: { $exists: true }, visibleUntil: { $lte: now } };
    const expire = [{ $set: ofExpired(now, refusedUntil) }, WIPE];
    const steps: readonly [Filter<SecretDocument>, Wipe][] = [
      [over, async (which) => (await secrets().deleteMany(which)).deletedCount],
      [past, async (which) => (await secrets().updateMany(which, { $unset: CONTENT })).modifiedCount],
      [notifying, async (which) => (await secrets().updateMany(which, expire)).modifiedCount],
    ];
    const swept = { wiped: 0, expired: 0 };
    for (const [filter, run] of steps) {
      const found = await findOver(filter, limit - swept.wiped);
      swept.expired += await wipe(found, filter, run);
      // Counted as found: what another process wiped meanwhile says nothing about what is left.
      swept.wiped += found.length;
    }
    return swept;
  };
}

/**
 * In an update that wipes content past its time, of a secret that waited or of a copy. A secret that may have been read
 * already has no event: its `notify` goes.
 */
function ofExpired(now: number, refusedUntil: number): Document {
  const isEnding = { $eq: ['$state', 'waiting'] };
  const isReported = { $and: [isEnding, { $gt: ['$createdAt', refusedUntil] }] };
  const isUnreported = { $and: [isEnding, { $lte: ['$createdAt', refusedUntil] }] };
  const expired = { type: 'expired', at: '$expiresAt', dueAt: now, attempts: 0 };
  return {
    event: { $cond: [isReported, expired, { $ifNull: ['$event', '$$REMOVE'] }] },
    notify: { $cond: [isUnreported, '$$REMOVE', '$notify'] },
    removeAt: { $cond: [{ $and: [isUnreported, { $not: ['$receiptHash'] }] }, new Date(now), '$removeAt'] },
  };
}

function isUnended({ state, visibleUntil }: Over): boolean {
  return state === 'waiting' && visibleUntil !== undefined;
}
