import type { Clock } from '../clock.ts';
import { createDispatcher, type Dispatcher } from '../outbox/dispatcher.ts';
import type { DeliveryResult } from '../outbox/settle.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { createMailAttempt } from './attempt.ts';
import { MAIL_PACE } from './pace.ts';
import { createRest } from './rest.ts';
import type { SendMessage } from './smtp.ts';
import { MAIL_SERVER, type MailStore, type TakenMail } from './store.ts';
import type { MailFailure } from './verdict.ts';

export type DeliveryParts = {
  store: MailStore;
  ring: Pick<KeyRing, 'find'>;
  send: SendMessage;
  site: string;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  onResult(result: DeliveryResult, mail: TakenMail): void;
  /** The mail server did not accept a mail. */
  onFailure(failure: MailFailure): void;
  /** The store failed; the call is tried again. */
  onError(error: unknown): void;
};

/** Delivers waiting mail, in every worker. While the mail server rests, none is taken out of the store. */
export function createMailDelivery(parts: DeliveryParts): Dispatcher<TakenMail> {
  const { store, clock, random, onResult, onError } = parts;
  const rest = createRest();
  return createDispatcher({
    store: { ...store, hasDue: async (now) => rest.leftMs(now) === 0 && (await store.hasDue(now)) },
    attempt: createMailAttempt({ ...parts, rest }),
    pace: MAIL_PACE,
    destinationOf: () => MAIL_SERVER,
    clock,
    random,
    onResult,
    onError,
  });
}
