import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import { type Limiter, per, storageFull } from '../../limits/limiter.ts';
import type { HeldMail, Mail, Mailer, MailLanguage } from '../../mail/mailer.ts';
import { createLinkToken, hashLinkToken } from './link-tokens.ts';
import type { LinkStore, NewLink } from './links-store.ts';
import { nameOf } from './password-check.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How long a link can be used. */
export const LINK_MS = DAY_MS;
const MAILS_AN_HOUR = per(HOUR_MS, 3);
const MAILS_A_DAY = per(DAY_MS, 10);
/** More than the limits of mails let through in a day, so that nobody pushes out another person's link. */
const MOST_LINKS = 20;
/** RFC 2606: nobody has an address there. */
const NOBODY = 'nobody@example.invalid';

export type MailLinkParts = {
  links: Pick<LinkStore, 'addLink'>;
  mailer: Mailer;
  limiter: Limiter;
  clock: Clock;
  /** Links made at this instant or before are refused. @throws AppError STORAGE_UNAVAILABLE while it is unknown. */
  refusedUntil(): number;
  /** A mail that nobody should get could not be removed. */
  onError(error: unknown): void;
};

type WithoutTimes<Kind> = Kind extends NewLink ? Omit<Kind, 'tokenHash' | 'createdAt' | 'expiresAt'> : never;
export type LinkWish = WithoutTimes<NewLink>;

export type LinkMail = {
  link: LinkWish;
  /** The address that the limits of mails are about. */
  to: string;
  kind: Mail['kind'];
  language: MailLanguage;
  /** The URL in the mail. */
  urlOf(token: string): string;
  /**
   * `sent`; `dead`: the mail is sent, but its link does not work; `nobody`: neither. It is the same work, and the
   * client gets the same answer.
   */
  as: 'sent' | 'dead' | 'nobody';
};

/**
 * Adds a link, and writes a mail with it. Nothing is done when an address has got too many mails.
 * @throws AppError STORAGE_FULL, STORAGE_UNAVAILABLE.
 */
export type SendLink = (mail: LinkMail) => Promise<void>;

export function createSendLink(parts: MailLinkParts): SendLink {
  const { links, mailer, limiter, clock, onError } = parts;

  async function add(wish: LinkWish, isGood: boolean): Promise<string> {
    const token = createLinkToken();
    const now = clock();
    const createdAt = Math.max(now, parts.refusedUntil() + 1); // the clock may be behind the last refused instant
    const times = { createdAt, expiresAt: isGood ? now + LINK_MS : now };
    const link = { ...wish, ...times, tokenHash: hashLinkToken(token) } as NewLink;
    if ((await links.addLink(link, MOST_LINKS)) === 'full') throw storageFull();
    return token;
  }

  return async ({ link, to, kind, language, urlOf, as }) => {
    const name = nameOf(to);
    const reserved = await limiter.reserve([
      { name: `mails in an hour to ${name}`, limit: MAILS_AN_HOUR },
      { name: `mails in a day to ${name}`, limit: MAILS_A_DAY },
    ]);
    if ('retryAfterMs' in reserved) return;
    const held = await write().catch(async (error) => {
      if (isNotWritten(error)) await reserved.giveBack();
      throw error;
    });

    async function write(): Promise<HeldMail> {
      const token = await add(link, as === 'sent');
      const values = { link: urlOf(token) };
      return mailer.hold({ to: as === 'nobody' ? NOBODY : to, kind, language, values });
    }

    // Behind the answer, whose time would show which of the two it was.
    setImmediate(() => {
      if (as === 'nobody') void held.drop().catch(onError);
      else held.release();
    });
  };
}

/**
 * Makes a change that is reported by mail: the mail is written before it and sent after it.
 * @returns whether the change was made.
 */
export async function withNotice(mailer: Mailer, mail: Mail, change: () => Promise<boolean>): Promise<boolean> {
  const held = await mailer.hold(mail);
  let isMade = true; // or may be, if this fails
  try {
    isMade = await change();
    return isMade;
  } catch (error) {
    isMade = !isNotWritten(error);
    throw error;
  } finally {
    if (isMade) held.release();
    else await held.drop();
  }
}

function isNotWritten(error: unknown): boolean {
  return error instanceof AppError && error.isNotWritten;
}
