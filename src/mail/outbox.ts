import type { Clock } from '../clock.ts';
import { storageFull } from '../limits/limiter.ts';
import { parseEmail } from '../network/email.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { randomBytes } from '../sealing/random.ts';
import type { Mail, Mailer } from './mailer.ts';
import { sealMail } from './sealed.ts';
import { MAIL_SERVER, type MailStore, type TakenMail } from './store.ts';

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
        if ((await store.add(written)) === 'full') throw storageFull();
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
