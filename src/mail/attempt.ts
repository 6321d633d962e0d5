import type { Clock } from '../clock.ts';
import type { Attempt } from '../outbox/outcome.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { composeMail } from './compose.ts';
import type { Mail } from './mailer.ts';
import { refuseUnfit } from './outbox.ts';
import { ATTEMPT_MAX_MS } from './pace.ts';
import type { Rest } from './rest.ts';
import { openMail } from './sealed.ts';
import type { Message, SendMessage } from './smtp.ts';
import type { TakenMail } from './store.ts';
import { judgeFailure, type MailFailure } from './verdict.ts';

/** All mails go to one place. */
const SERVER = 'the mail server';

export type AttemptParts = {
  ring: Pick<KeyRing, 'find'>;
  send: SendMessage;
  rest: Rest;
  /** The service as its users know it. */
  site: string;
  clock: Clock;
  /** The mail server, or the way to it, failed. */
  onFailure(failure: MailFailure): void;
};

export function createMailAttempt(parts: AttemptParts): Attempt<TakenMail> {
  const { ring, send, rest, site, clock, onFailure } = parts;
  return async (taken, enter, signal) => {
    const restMs = rest.leftMs(clock());
    if (restMs > 0) return { result: 'later', retryAfterMs: restMs };
    if (!enter(SERVER)) return { result: 'crowded' };
    let message: Message | undefined;
    try {
      message = openMessage(ring, taken, site);
    } catch {
      return { result: 'damaged' };
    }
    if (!message) return { result: 'later' };
    try {
      await send(message, AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MAX_MS)]));
      rest.note('answered', clock());
      return { result: 'delivered' };
    } catch (error) {
      if (signal.aborted) return { result: 'cut' };
      const { outcome, failure } = judgeFailure(error);
      rest.note(outcome.result === 'unreachable' ? 'failed' : 'answered', clock());
      onFailure(failure);
      return outcome;
    }
  };
}

/** @returns undefined while the master key is missing. @throws Error if it does not open, or must not be sent. */
function openMessage(ring: Pick<KeyRing, 'find'>, taken: TakenMail, site: string): Message | undefined {
  const mail: Mail | undefined = openMail(ring, taken.id, taken.sealed);
  if (!mail) return undefined;
  refuseUnfit(mail);
  const id = Buffer.from(taken.id).toString('hex').slice(0, 32);
  return { ...composeMail(mail, site), id, to: mail.to, date: new Date(taken.occurredAt) };
}
