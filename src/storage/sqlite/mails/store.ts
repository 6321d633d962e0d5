import type { MailStore } from '../../../mail/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import { createWaitingCount } from '../outbox/waiting.ts';
import type { MailProcedures } from './procedures.ts';

/** Waiting mail in SQLite. There is one destination, so that `without` leaves out all or nothing. */
export function createSqliteMailStore(commit: GroupCommit<MailProcedures>, reader: Reader): MailStore {
  const due = reader.prepare('SELECT 1 FROM mails WHERE due_at <= ? LIMIT 1');

  return {
    add: async ({ id, sealed, occurredAt, dueAt }) => commit.run('addMail', id, sealed, occurredAt, dueAt),

    async takeDue(now, { limit, perDestination, leaseUntil, without }) {
      if (without.length > 0) return [];
      const packed = await commit.run('takeDueMails', now, Math.min(limit, perDestination), leaseUntil);
      return packed.map(([id, sealed, occurredAt, attempts]) => {
        return { id, sealed, occurredAt, attempts, dueAt: leaseUntil };
      });
    },

    async finish(ids) {
      await Promise.all(ids.map((id) => commit.run('finishMail', id)));
    },

    async postpone({ id, dueAt: lease }, { dueAt, attempts }) {
      return commit.run('postponeMail', id, lease, dueAt, attempts);
    },

    async hasDue(now) {
      return (await due(now)) !== undefined;
    },

    countWaiting: createWaitingCount(reader, 'mails'),

    sweepMails: async (now, limit) => commit.run('sweepMails', now, limit),
  } satisfies MailStore;
}
