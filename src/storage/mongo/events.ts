import { randomBytes, randomInt } from 'node:crypto';
import type { Collection, Document, Filter } from 'mongodb';
import { ID_BYTES } from '../../secrets/keys.ts';
import type { Notify } from '../../secrets/store.ts';
import { isRequestEvent, requestEventIdOf } from '../../webhooks/event-ids.ts';
import type { EventStore, EventType, TakenEvent } from '../../webhooks/store.ts';
import type { SecretDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';

/** How many candidates a page has, and how many pages to look at. */
const PAGE = 64;
const MAX_PAGES = 8;
const COUNT_MS = 3_000;
const FIRST = Buffer.alloc(16);

const OF_SECRETS: EventType[] = ['read', 'burned', 'expired'];
const OF_REQUESTS: EventType[] = ['answered', 'unanswered'];
/** Nothing but an event needs the document. */
const NEEDLESS = {
  receiptHash: { $exists: false },
  visibleUntil: { $exists: false },
  answer: { $exists: false },
  next: { $exists: false },
} as const;
/** In a pipeline: when a document without events may go. */
const REST_OVER_AT = {
  $cond: [
    '$receiptHash',
    '$removeAt',
    { $add: [new Date(0), { $max: [{ $ifNull: ['$visibleUntil', 0] }, { $ifNull: ['$answer.until', 0] }] }] },
  ],
};

type EventDocument = Pick<SecretDocument, '_id'> & Required<Pick<SecretDocument, 'notify' | 'event'>>;

/**
 * Events in MongoDB: members of their secrets' documents, so that the update that ends a secret writes its event too. A
 * secret that was answered and ended has two, of which the second is not taken before the first is finished.
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
    const asFound = { _id, 'event.dueAt': event.dueAt, 'event.type': event.type } as Filter<SecretDocument>;
    const { matchedCount } = await secrets().updateOne(asFound, { $set: { 'event.dueAt': leaseUntil } });
    if (matchedCount === 0) return undefined;
    const { type, at: occurredAt, attempts } = event;
    const id = isRequestEvent(type) ? requestEventIdOf(_id) : _id;
    return { id, type, occurredAt, attempts, dueAt: leaseUntil, notify };
  }

  /** Of secrets: each is the event, or waits behind that of its answer, which then needs the `notify`. */
  async function finishOfSecrets(ids: readonly Uint8Array[]): Promise<void> {
    const among = { _id: { $in: [...ids] } };
    await secrets().deleteMany({ ...among, 'event.type': { $in: OF_SECRETS }, ...NEEDLESS } as Filter<SecretDocument>);
    const isEvent = { $in: ['$event.type', OF_SECRETS] };
    const written = { $or: [{ 'event.type': { $in: OF_SECRETS } }, { next: { $exists: true } }] };
    await secrets().updateMany({ ...among, ...written } as Filter<SecretDocument>, [
      {
        $set: {
          event: { $cond: [isEvent, '$$REMOVE', '$event'] },
          notify: { $cond: [isEvent, '$$REMOVE', '$notify'] },
          removeAt: { $cond: [isEvent, REST_OVER_AT, '$removeAt'] },
        },
      },
      { $unset: 'next' },
    ]);
  }

  /** Of requests: what is next follows, and a secret that waits keeps its `notify` for its own end. */
  async function finishOfRequests(ids: readonly Uint8Array[]): Promise<void> {
    const events = { _id: { $in: [...ids] }, 'event.type': { $in: OF_REQUESTS } } as Filter<SecretDocument>;
    await secrets().deleteMany({ ...events, ...NEEDLESS });
    const isWaiting = { $and: [{ $eq: ['$state', 'waiting'] }, '$visibleUntil'] };
    const isNotifying = { $or: ['$next', isWaiting] };
    await secrets().updateMany(events, [
      {
        $set: {
          event: { $ifNull: ['$next', '$$REMOVE'] },
          notify: { $cond: [isNotifying, '$notify', '$$REMOVE'] },
          removeAt: { $cond: [isNotifying, '$removeAt', REST_OVER_AT] },
        },
      },
      { $unset: 'next' },
    ]);
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
      const [ofSecrets, ofRequests] = [ids.filter((id) => !isOfRequest(id)), ids.filter(isOfRequest)];
      if (ofSecrets.length > 0) await finishOfSecrets(ofSecrets);
      if (ofRequests.length > 0) await finishOfRequests(ofRequests.map(documentIdOf));
    },

    async postpone({ id, dueAt: lease }, { dueAt, attempts }) {
      // What is next can become the event meanwhile, but never the reverse.
      const [members, types] = isOfRequest(id) ? [['event'], OF_REQUESTS] : [['next', 'event'], OF_SECRETS];
      for (const member of members) {
        const held = { _id: documentIdOf(id), [`${member}.dueAt`]: lease, [`${member}.type`]: { $in: types } };
        const next = { $set: { [`${member}.dueAt`]: dueAt, [`${member}.attempts`]: attempts } };
        const { matchedCount } = await secrets().updateOne(held as Filter<SecretDocument>, next);
        if (matchedCount === 1) return true;
      }
      return false;
    },

    async hasDue(now) {
      const due = { 'event.dueAt': { $exists: true, $lte: now } };
      return (await secrets().findOne(due, { projection: { _id: 1 } })) !== null;
    },

    async countWaiting() {
      const sum = { _id: null, events: { $sum: { $cond: ['$next', 2, 1] } }, oldestAt: { $min: '$event.at' } };
      const options = { maxTimeMS: COUNT_MS };
      const [counted] = await secrets()
        .aggregate([{ $match: { 'event.dueAt': { $exists: true } } }, { $group: sum }], options)
        .toArray();
      return { events: counted?.events ?? 0, oldestAt: counted?.oldestAt };
    },
  } satisfies EventStore);
}

/**
 * In the update that ends a secret, or an open request: its event, if it has a `notify`. While that of the answer waits,
 * it is the next one.
 */
export function eventOfEnd(event: { type: unknown; at: unknown; dueAt: number; attempts: number }): Document {
  return {
    event: { $cond: ['$notify', { $ifNull: ['$event', event] }, '$$REMOVE'] },
    next: { $cond: [{ $and: ['$notify', '$event'] }, event, '$$REMOVE'] },
  };
}

function isOfRequest(id: Uint8Array): boolean {
  return id.length > ID_BYTES;
}

/** The id without what `requestEventIdOf` added. */
function documentIdOf(id: Uint8Array): Uint8Array {
  return id.subarray(0, ID_BYTES);
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
