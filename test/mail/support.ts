import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { createMailDelivery } from '../../src/mail/delivery.ts';
import type { Mail, Mailer } from '../../src/mail/mailer.ts';
import { createMailer } from '../../src/mail/outbox.ts';
import { createSmtp } from '../../src/mail/smtp.ts';
import type { MailFailure } from '../../src/mail/verdict.ts';
import { parseSmtpUrl, type SmtpServer } from '../../src/network/mail-server.ts';
import type { DeliveryResult } from '../../src/outbox/settle.ts';
import { createKeyRing, type KeyRing } from '../../src/sealing/key-ring.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type Place, SQLITE } from '../support/storage/storage.ts';

export const FROM = { name: 'Hushbox', address: 'no-reply@hushbox.example' };
export const SITE = 'hushbox.example';

export function newMailTo(to: string, changes: Partial<Mail> = {}): Mail {
  const link = `https://hushbox.example/api/v1/activate?token=${randomBytes(32).toString('base64url')}`;
  return { to, kind: 'activate', language: 'en', values: { link }, ...changes };
}

export type MailWorker = {
  mailer: Mailer;
  mails: Storage['mails'];
  results: DeliveryResult[];
  failures: MailFailure[];
  errors: unknown[];
  /** Holds a mail and lets it go. */
  send(mail: Mail): Promise<void>;
  countWaiting(): Promise<number>;
  stop(): Promise<void>;
};

export type WorkerOptions = { place?: Place; ring?: KeyRing; clock?: () => number };

/** Everything that a worker has of mail, with a real store. Its clock runs, and can be moved. */
export async function startMailWorker(
  t: ExecutionContext,
  url: string,
  options: WorkerOptions = {},
): Promise<MailWorker> {
  const { place = await SQLITE.place(t), ring = createKeyRing([randomBytes(32)]), clock = Date.now } = options;
  const { mails, close } = await place.open();
  const [results, failures, errors]: [DeliveryResult[], MailFailure[], unknown[]] = [[], [], []];
  const delivery = createMailDelivery({
    ...{ store: mails, ring, site: SITE, clock, random: () => 0.5 },
    send: createSmtp(parseSmtpUrl(url) as SmtpServer, FROM),
    onResult: (result) => results.push(result),
    onFailure: (failure) => failures.push(failure),
    onError: (error) => errors.push(error),
  });
  const mailer = createMailer({ store: mails, ring, delivery, clock });
  delivery.start();
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await delivery.stop(AbortSignal.abort());
    await close();
  };
  t.teardown(stop);
  return {
    ...{ mailer, mails, results, failures, errors, stop },
    async send(mail) {
      (await mailer.hold(mail)).release();
    },
    countWaiting: async () => (await mails.countWaiting()).events,
  };
}
