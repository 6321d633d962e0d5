import type { DatabaseSync } from 'node:sqlite';
import { MAIL_KEPT_MS } from '../../../mail/store.ts';
import { storedBytes } from '../../usage.ts';
import { createLeases } from '../outbox/leases.ts';
import type { Usage } from '../usage.ts';

type Row = { id: Uint8Array; sealed: Uint8Array; occurred_at: number; attempts: number };
export type PackedMail = readonly [id: Uint8Array, sealed: Uint8Array, occurredAt: number, attempts: number];

export type MailProcedures = ReturnType<typeof createMailProcedures>;

export function createMailProcedures(database: DatabaseSync, usage: Usage) {
  const leases = createLeases(database, usage, { name: 'mails', contentBytes: 'length(sealed)' });
  const insert = database.prepare(
    'INSERT INTO mails (id, occurred_at, due_at, attempts, sealed) VALUES (?, ?, ?, 0, ?)',
  );
  const due = database.prepare(
    'SELECT id, sealed, occurred_at, attempts FROM mails WHERE due_at <= ? ORDER BY due_at LIMIT ?',
  );

  return {
    addMail(id: Uint8Array, sealed: Uint8Array, occurredAt: number, dueAt: number): 'added' | 'full' {
      if (usage.isFull(storedBytes(sealed.length))) return 'full';
      insert.run(id, occurredAt, dueAt, sealed);
      usage.countOther(1, sealed.length);
      return 'added';
    },

    takeDueMails(now: number, limit: number, leaseUntil: number): readonly PackedMail[] {
      const taken = due.all(now, limit) as Row[];
      for (const { id } of taken) leases.lease(id, leaseUntil);
      return taken.map(({ id, sealed, occurred_at, attempts }) => [id, sealed, occurred_at, attempts]);
    },

    finishMail(id: Uint8Array): null {
      leases.finish(id);
      return null;
    },

    postponeMail: leases.postpone,

    /** @returns how many it removed. */
    sweepMails: (now: number, limit: number): number => leases.removeOld(now - MAIL_KEPT_MS, limit),
  };
}
