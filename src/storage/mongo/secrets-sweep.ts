import type { Collection, Document, Filter } from 'mongodb';
import type { SecretStore } from '../../secrets/store.ts';
import { type Clients, sharesOf } from './clients.ts';
import { CONTENT, type SecretDocument } from './collections.ts';
import { eventOfEnd } from './events.ts';

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
   * Wipes the found documents that still match the filter; those of unended secrets and of open requests each in a step
   * of their own, because the database reports how many documents a step wiped, and not which.
   * @returns how many unended secrets it wiped.
   */
  async function wipe(found: readonly Over[], filter: Filter<SecretDocument>, run: Wipe): Promise<number> {
    const among = (some: readonly Over[]): Filter<SecretDocument> => ({
      ...filter,
      _id: { $in: some.map(({ _id }) => _id) },
    });
    /** If other processes swept some of them too, nobody knows whose shares to give back: recounted one day. */
    const wipeUnended = async (state: 'waiting' | 'requested'): Promise<number> => {
      const unended = found.filter((one) => isUnended(one) && one.state === state);
      if (unended.length === 0) return 0;
      const wiped = await run({ state, visibleUntil: { $exists: true }, ...among(unended) });
      if (wiped === unended.length) clients.release(unended.flatMap(sharesOf));
      return wiped;
    };
    const others = found.filter((one) => !isUnended(one));
    if (others.length > 0) await run(among(others));
    await wipeUnended('requested');
    return wipeUnended('waiting');
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
    const answered = { 'answer.until': { $lte: now } };
    const forgotten = await findOver(answered, limit - swept.wiped);
    if (forgotten.length > 0) {
      const among = { ...answered, _id: { $in: forgotten.map(({ _id }) => _id) } };
      await secrets().updateMany(among, { $unset: { answer: '', requestHash: '' } });
      swept.wiped += forgotten.length;
    }
    return swept;
  };
}

/**
 * In an update that wipes content past its time: of a secret that waited, of an open request, or of a copy. What may have
 * been read already has no event: its `notify` goes, unless the event of its answer needs it.
 */
function ofExpired(now: number, refusedUntil: number): Document {
  const isRequested = { $eq: ['$state', 'requested'] };
  const isEnding = { $or: [isRequested, { $eq: ['$state', 'waiting'] }] };
  const isReported = { $and: [isEnding, { $gt: ['$createdAt', refusedUntil] }] };
  const isDropped = { $and: [isEnding, { $lte: ['$createdAt', refusedUntil] }, { $not: ['$event'] }] };
  const type = { $cond: [isRequested, 'unanswered', 'expired'] };
  const { event, next } = eventOfEnd({ type, at: '$expiresAt', dueAt: now, attempts: 0 });
  return {
    event: { $cond: [isReported, event, { $ifNull: ['$event', '$$REMOVE'] }] },
    next: { $cond: [isReported, next, { $ifNull: ['$next', '$$REMOVE'] }] },
    notify: { $cond: [isDropped, '$$REMOVE', '$notify'] },
    requestHash: { $cond: [isRequested, '$$REMOVE', { $ifNull: ['$requestHash', '$$REMOVE'] }] },
    removeAt: { $cond: [{ $and: [isDropped, { $not: ['$receiptHash'] }] }, dateOf(now), '$removeAt'] },
  };
}

/** In a pipeline: when a document may go that is needed until `ms`, and then by its answer alone. */
export function dateOf(ms: unknown): Document {
  return { $add: [new Date(0), { $max: [ms, { $ifNull: ['$answer.until', 0] }] }] };
}

function isUnended({ state, visibleUntil }: Over): boolean {
  return (state === 'waiting' || state === 'requested') && visibleUntil !== undefined;
}
