import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { parseEmail } from '../network/email.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { randomBytes } from '../sealing/random.ts';
import { sealMail } from './sealed.ts';
import { MAIL_SERVER, type MailStore, type TakenMail } from './store.ts';

/** What a mail is about; the texts of each are in texts/. */
export type MailKind =
  | 'activate'
  | 'already_registered'
  | 'reset'
  | 'change_email'
  | 'password_changed'
  | 'email_changed'
  | 'account_deleted';

export type MailLanguage = 'en' | 'ru';

export type Mail = {
  /** In the form of `parseEmail`. */
  readonly to: string;
  readonly kind: MailKind;
  readonly language: MailLanguage;
  /** Parts of the text. `link`, where there is one, is an http or https URL. */
  readonly values: Readonly<Record<string, string>>;
};

export type HeldMail = {
  /** Lets the mail go: it is delivered now or, if there is no room for it in this worker, when its hold ends. */
  release(): void;
  /** Removes the mail: what it tells of did not happen. */
  drop(): Promise<void>;
};

export type Mailer = {
  /**
   * Writes a mail into the outbox, durably, and holds it: it is not sent before `release`, or before the hold ends
   * because this process died.
   * @throws AppError STORAGE_FULL, STORAGE_UNAVAILABLE; TypeError for an address or a value that is in no form to be sent.
   */
  hold(mail: Mail): Promise<HeldMail>;
};

export type MailerParts = {
  store: Pick<MailStore, 'add' | 'finish'>;
  ring: Pick<KeyRing, 'current'>;
  delivery: Pick<Dispatcher<TakenMail>, 'reserve'>;
  clock: Clock;
};

const ID_BYTES = 32;
/** The hold of a mail that there is no room for in memory: longer than the steps between `hold` and `release`. */
const SHORT_HOLD_MS = 10_000;
const VALUE_MAX_LENGTH = 2_000;
const LINK = /^https?:\/\/[\x21-\x7e]+$/;

export function createMailer({ store, ring, delivery, clock }: MailerParts): Mailer {
  return {
    async hold(mail) {
      refuseUnfit(mail);
      const now = clock();
      const id = randomBytes(ID_BYTES);
      const reserved = delivery.reserve({ destination: MAIL_SERVER }, now);
      const dueAt = reserved?.leaseUntil ?? now + SHORT_HOLD_MS;
      const written = { id, sealed: sealMail(ring.current, id, mail), occurredAt: now, dueAt };
      try {
        if ((await store.add(written)) === 'full') throw new AppError('STORAGE_FULL');
      } catch (error) {
        reserved?.cancel();
        throw error;
      }
      let isHeld = true;
      const endHold = (): boolean => {
        const wasHeld = isHeld;
        isHeld = false;
        return wasHeld;
      };
      return {
        release() {
          if (endHold()) reserved?.start({ ...written, attempts: 0 });
        },
        async drop() {
          if (endHold()) reserved?.cancel();
          await store.finish([id]);
        },
      };
    },
  };
}

/** Nothing may reach a header, or a command to the mail server, that could end it. */
export function refuseUnfit({ to, values }: Mail): void {
  if (parseEmail(to) !== to) throw new TypeError('a mail goes to an address in the form of parseEmail');
  for (const [name, value] of Object.entries(values)) {
    const isFit = value.length <= VALUE_MAX_LENGTH && !/\p{C}/u.test(value) && (name !== 'link' || LINK.test(value));
    if (!isFit) throw new TypeError(`the value of ${name} is too long, or has characters that no mail may have`);
  }
}
