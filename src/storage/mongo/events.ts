import { randomBytes, randomInt } from 'node:crypto';
import type { Collection, Filter } from 'mongodb';
import type { Notify } from '../../secrets/store.ts';
import type { EventStore, TakenEvent } from '../../webhooks/store.ts';
import type { SecretDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';

/** How many candidates a page has, and how many pages to look at. */
const PAGE = 64;
const MAX_PAGES = 8;
const COUNT_MS = 3_000;
const FIRST = Buffer.alloc(16);

type EventDocument = Pick<SecretDocument, '_id'> & Required<Pick<SecretDocument, 'notify' | 'event'>>;

/**
 * Events in MongoDB: members of their secrets' documents, so that the update that ends a secret writes its event too.
 * Taking begins at a random destination and goes around once, page by page: processes that take at the same time seldom
 * meet, and no destination hides another. Every filter says that there is an event, because the partial indexes serve
 * only such filters.
 */
export function createMongoEventStore(secrets: () => Collection<SecretDocument>): EventStore {
  async function findDue(now: number, where: object, without: readonly Uint8Array[]): Promise<EventDocument[]> {
    const destination = { ...where, ...(without.length > 0 && { $nin: without }) };
    const filter = { 'event.dueAt': { $exists: true, $lte: now }, 'notify.destination': destination };
    const found = secrets().find(filter as Filter<SecretDocument>, {
      projection: { notify: 1, event: 1 },
      sort: { 'notify.destination': 1, 'event.dueAt': 1 },
      limit: PAGE,
    });
    return (await found.toArray()) as EventDocument[];
  }

  /** @returns undefined when another process was faster. */
  async function hold({ _id, notify, event }: EventDocument, leaseUntil: number): Promise<TakenEvent | undefined> {
    const asFound = { _id, 'event.dueAt': event.dueAt } as Filter<SecretDocument>;
    const { matchedCount } = await secrets().updateOne(asFound, { $set: { 'event.dueAt': leaseUntil } });
    if (matchedCount === 0) return undefined;
    const { type, at: occurredAt, attempts } = event;
    return { id: _id, type, occurredAt, attempts, dueAt: leaseUntil, notify };
  }

  return translateFailures({
    async takeDue(now, { limit, perDestination, leaseUntil, without }) {
      const taken: TakenEvent[] = [];
      const start = randomBytes(FIRST.length);
      let where: object = { $gte: start };
      for (let pages = 1; taken.length < limit && pages <= MAX_PAGES; pages++) {
        const page = await findDue(now, where, without);
        const chosen = chooseOf(page, perDestination).slice(0, limit - taken.length);
        const held = await Promise.all(chosen.map((document) => hold(document, leaseUntil)));
        taken.push(...held.filter((event) => event !== undefined));
        const isAround = '$lt' in where;
        const last = page.at(-1)?.notify.destination;
        if (page.length === PAGE) where = { $gt: last, ...(isAround && { $lt: start }) };
        else if (isAround) break;
        else where = { $gte: FIRST, $lt: start };
      }
      return taken;
    },

    async finish(ids) {
      const events = { _id: { $in: [...ids] }, 'event.dueAt': { $exists: true } } as Filter<SecretDocument>;
      const needless = { receiptHash: { $exists: false }, visibleUntil: { $exists: false } };
      await secrets().deleteMany({ ...events, ...needless });
      const copyUntil = { $add: [new Date(0), { $ifNull: ['$visibleUntil', 0] }] };
      await secrets().updateMany(events, [
        { $set: { removeAt: { $cond: ['$receiptHash', '$removeAt', copyUntil] } } },
        { $unset: ['event', 'notify'] },
      ]);
    },

    async postpone({ id, dueAt: lease }, { dueAt, attempts }) {
      const held = { _id: id, 'event.dueAt': lease } as Filter<SecretDocument>;
      const next = { $set: { 'event.dueAt': dueAt, 'event.attempts': attempts } };
      return (await secrets().updateOne(held, next)).matchedCount === 1;
    },

    async hasDue(now) {
      const due = { 'event.dueAt': { $exists: true, $lte: now } };
      return (await secrets().findOne(due, { projection: { _id: 1 } })) !== null;
    },

    async countWaiting() {
      const sum = { _id: null, events: { $sum: 1 }, oldestAt: { $min: '$event.at' } };
      const options = { maxTimeMS: COUNT_MS };
      const [counted] = await secrets()
        .aggregate([{ $match: { 'event.dueAt': { $exists: true } } }, { $group: sum }], options)
        .toArray();
      return { events: counted?.events ?? 0, oldestAt: counted?.oldestAt };
    },
  } satisfies EventStore);
}

/** Some events of each destination, at random: other processes that take at this moment have the same page. */
function chooseOf(page: readonly EventDocument[], perDestination: number): EventDocument[] {
  const groups = Map.groupBy(page, ({ notify }) => nameOf(notify));
  return [...groups.values()].flatMap((group) => {
    const skipped = Math.max(0, group.length - perDestination);
    const from = randomInt(skipped + 1);
    return group.slice(from, from + perDestination);
  });
}

function nameOf({ destination }: Notify): string {
  return Buffer.from(destination).toString('latin1');
}
