import { DESTINATION_BYTES, type Leased, type OutboxStore } from '../outbox/store.ts';

/** Every mail goes to the one mail server. Options that leave it out leave out every mail. */
export const MAIL_SERVER: Uint8Array = Buffer.alloc(DESTINATION_BYTES, 'mail server');

/**
 * How long a mail is kept. It is given up 24 h after it was written, at its next attempt; this removes those that had
 * none, e.g. because no mail server is configured any more.
 */
export const MAIL_KEPT_MS = 25 * 3_600_000;

/** What mail needs from an engine. The verbs of `OutboxStore` are as described there. */
export interface MailStore extends OutboxStore<TakenMail> {
  /** Writes a mail. The caller holds it until its `dueAt`. */
  add(mail: NewMail): Promise<'added' | 'full'>;

  /** Removes up to `limit` mails that are `MAIL_KEPT_MS` old at `now`. @returns how many. */
  sweepMails(now: number, limit: number): Promise<number>;
}

export type NewMail = {
  /** 32 random bytes. */
  id: Uint8Array;
  sealed: Uint8Array;
  occurredAt: number;
  dueAt: number;
};

export type TakenMail = Leased & NewMail;
