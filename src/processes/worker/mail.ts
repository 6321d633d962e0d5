import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { createMailDelivery } from '../../mail/delivery.ts';
import type { Mailer } from '../../mail/mailer.ts';
import { createMailer } from '../../mail/outbox.ts';
import { createPrinter } from '../../mail/printer.ts';
import { createSmtp } from '../../mail/smtp.ts';
import type { TakenMail } from '../../mail/store.ts';
import type { Log } from '../../ops/log.ts';
import type { Dispatcher } from '../../outbox/dispatcher.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Telemetry } from './telemetry.ts';

export type MailParts = {
  config: Config;
  storage: Pick<Storage, 'mails'>;
  ring: KeyRing | undefined;
  telemetry: Telemetry;
  clock: Clock;
  random(): number;
  log: Log;
};

export type MailService = {
  /** Undefined where no mail can be sent. */
  mailer: Mailer | undefined;
  delivery: Dispatcher<TakenMail> | undefined;
};

const DEVELOPMENT_SENDER = { name: 'Hushbox', address: 'hushbox@localhost' };

/** Mail, put together. In development without a mail server, links are printed. */
export function openMail(parts: MailParts): MailService {
  const { config, storage, ring, telemetry, clock, random, log } = parts;
  if (!ring || !config.SERVICES.includes('auth')) return { mailer: undefined, delivery: undefined };
  if (!config.SMTP_URL) {
    const isPrinted = config.NODE_ENV !== 'production';
    return { mailer: isPrinted ? createPrinter((line) => log.info(line)) : undefined, delivery: undefined };
  }
  const delivery = createMailDelivery({
    ...{ store: storage.mails, ring, clock, random },
    send: createSmtp(config.SMTP_URL, config.MAIL_FROM ?? DEVELOPMENT_SENDER),
    site: config.PUBLIC_URL ? new URL(config.PUBLIC_URL).host : 'Hushbox',
    onResult: (result, { occurredAt }) => telemetry.mailResult(result, clock() - occurredAt),
    onFailure: telemetry.mailFailure,
    onError: (err) => log.warn({ err }, 'the storage failed while mail was delivered; this is tried again'),
  });
  return { mailer: createMailer({ store: storage.mails, ring, delivery, clock }), delivery };
}
