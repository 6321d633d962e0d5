import { randomInt } from 'node:crypto';
import type { Collection } from 'mongodb';
import { MAIL_KEPT_MS, type MailStore, type TakenMail } from '../../mail/store.ts';
import { storedBytes } from '../usage.ts';
import type { Capacity } from './capacity.ts';
import type { MailDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';
import { removeOver } from './remove-over.ts';

/** How many candidates to look at for each one that is taken. */
const CANDIDATES = 4;
const COUNT_MS = 3_000;

/** Waiting mail in MongoDB: one document for each. There is one destination, so that `without` leaves out all or nothing. */
export function createMongoMailStore(mails: () => Collection<MailDocument>, capacity: Capacity): MailStore {
  /** @returns undefined when another process was faster. */
  async function hold(mail: MailDocument, leaseUntil: number): Promise<TakenMail | undefined> {
    const { _id, sealed, occurredAt, attempts, dueAt } = mail;
    const { matchedCount } = await mails().updateOne({ _id, dueAt }, { $set: { dueAt: leaseUntil } });
    return matchedCount === 0 ? undefined : { id: _id, sealed, occurredAt, attempts, dueAt: leaseUntil };
  }

  return translateFailures({
    async add({ id, sealed, occurredAt, dueAt }) {
      const reserved = await capacity.reserve(storedBytes(sealed.length));
      if (!reserved) return 'full';
      try {
        const removeAt = new Date(occurredAt + MAIL_KEPT_MS);
        await mails().insertOne({ _id: id, sealed, occurredAt, dueAt, attempts: 0, removeAt });
        return 'added';
      } finally {
        reserved(true); // or may be, if this failed
      }
    },

    async takeDue(now, { limit, perDestination, leaseUntil, without }) {
      if (without.length > 0) return [];
      const most = Math.min(limit, perDestination);
      const page = await mails()
        .find({ dueAt: { $lte: now } }, { sort: { dueAt: 1 }, limit: CANDIDATES * most })
        .toArray();
      // At random, because other processes that take at this moment have the same page.
      const from = randomInt(Math.max(0, page.length - most) + 1);
      const held = await Promise.all(page.slice(from, from + most).map((mail) => hold(mail, leaseUntil)));
      return held.filter((mail) => mail !== undefined);
    },

    async finish(ids) {
      await mails().deleteMany({ _id: { $in: [...ids] } });
    },

    async postpone({ id, dueAt: lease }, { dueAt, attempts }) {
      return (await mails().updateOne({ _id: id, dueAt: lease }, { $set: { dueAt, attempts } })).matchedCount === 1;
    },

    async hasDue(now) {
      return (await mails().findOne({ dueAt: { $lte: now } }, { projection: { _id: 1 } })) !== null;
    },

    async countWaiting() {
      const sum = { _id: null, events: { $sum: 1 }, oldestAt: { $min: '$occurredAt' } };
      const [counted] = await mails()
        .aggregate([{ $group: sum }], { maxTimeMS: COUNT_MS })
        .toArray();
      return { events: counted?.events ?? 0, oldestAt: counted?.oldestAt };
    },

    sweepMails: async (now, limit) => removeOver(mails(), now, limit),
  } satisfies MailStore);
}
