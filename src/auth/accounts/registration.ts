import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Gate } from '../../hashing/gate.ts';
import { type Limiter, per, reserveOrRefuse } from '../../limits/limiter.ts';
import type { Mailer, MailLanguage } from '../../mail/mailer.ts';
import { parseEmail } from '../../network/email.ts';
import { randomBytes } from '../../sealing/random.ts';
import type { OnAccountEvent } from './events.ts';
import { hashLinkToken } from './link-tokens.ts';
import type { LinkStore } from './links-store.ts';
import { type SendLink, withNotice } from './mail-links.ts';
import { type PasswordRules, requirePassword } from './password.ts';
import { hashPassword } from './password-hash.ts';
import { formatProfile, type Profile } from './profile.ts';
import type { AccountStore } from './store.ts';

const REGISTRATION_LIMIT = per(3_600_000, 100);
const ID_BYTES = 16;

/** @param base of the links in the mail. */
export type Asked = { network: string; base: string; language: MailLanguage; requestId: string };

export type RegistrationParts = {
  accounts: Pick<AccountStore, 'findByEmail'>;
  links: LinkStore;
  rules: PasswordRules;
  gate: Gate;
  limiter: Limiter;
  mailer: Mailer;
  sendLink: SendLink;
  /** Which addresses can register: all, none, or those of these domains. */
  policy: RegistrationPolicy;
  clock: Clock;
  refusedUntil(): number;
  onEvent: OnAccountEvent;
};

export type RegistrationPolicy = 'open' | 'off' | readonly string[];

export type Registrations = {
  /**
   * Sends the address a link that creates its account, or, if it has one, a mail that says so: the same answer, after the
   * same work.
   * @throws AppError INVALID_REQUEST, REGISTRATION_OFF, RATE_LIMITED, BUSY, STORAGE_FULL.
   */
  register(given: { email: string; password: string; profile: Profile }, asked: Asked): Promise<{ email: string }>;
  /** Sends another link of the registration that waits, if there is one, and only one. */
  resend(email: string, asked: Asked): Promise<void>;
  /**
   * Uses the link of a registration, or of a change of address.
   * @returns the address that its account has now.
   * @throws AppError LINK_GONE.
   */
  activate(token: string, asked: Pick<Asked, 'language' | 'requestId'>): Promise<{ email: string }>;
};

export function createRegistrations(parts: RegistrationParts): Registrations {
  return { ...createAsking(parts), activate: createActivate(parts) };
}

function createAsking(parts: RegistrationParts): Pick<Registrations, 'register' | 'resend'> {
  const { accounts, links, rules, gate, limiter, sendLink, policy, clock, onEvent } = parts;

  async function hash(password: Uint8Array, network: string): Promise<string> {
    const use = { name: `registration from ${network}`, limit: REGISTRATION_LIMIT };
    const reserved = await reserveOrRefuse(limiter, [use], 'Too many registrations in a short time');
    try {
      return await gate.run(undefined, (hashing) => hashPassword(password, hashing));
    } catch (error) {
      await reserved.giveBack();
      throw error;
    }
  }

  return {
    async register({ email: text, password, profile }, { network, base, language, requestId }) {
      if (policy === 'off') throw new AppError('REGISTRATION_OFF');
      const email = requireEmail(text);
      refuseDomain(policy, email);
      const passwordHash = await hash(requirePassword(rules, password).bytes, network);
      const isKnown = (await accounts.findByEmail(email)) !== undefined;
      await sendLink({
        link: { kind: 'activate', email, passwordHash, profile: formatProfile(profile) },
        ...{ to: email, language },
        ...(isKnown
          ? { as: 'dead', kind: 'already_registered', urlOf: () => `${base}/signin` }
          : { as: 'sent', kind: 'activate', urlOf: activationUrl(base) }),
      });
      onEvent({ type: 'registered' }, requestId);
      return { email };
    },

    async resend(text, { base, language }) {
      const email = parseEmail(text);
      const found = email === undefined ? undefined : await links.soleRegistration(email, clock());
      const isKnown = email === undefined || (await accounts.findByEmail(email)) !== undefined;
      const mayRegister = email !== undefined && isAllowed(policy, email);
      await sendLink({
        link: { kind: 'activate', ...(found ?? { email: email ?? '', passwordHash: '', profile: '' }) },
        ...{ to: email ?? text, kind: 'activate', language, urlOf: activationUrl(base) },
        as: found && !isKnown && mayRegister ? 'sent' : 'nobody',
      });
    },
  };
}

function createActivate(parts: RegistrationParts): Registrations['activate'] {
  const { links, mailer, clock, onEvent } = parts;
  return async (token, { language, requestId }) => {
    const refusedUntil = parts.refusedUntil();
    const tokenHash = hashLinkToken(token);
    const found = tokenHash && (await links.findLink(tokenHash, clock()));
    if (!found || found.createdAt <= refusedUntil) throw new AppError('LINK_GONE');
    if (found.kind === 'activate') {
      if (!isAllowed(parts.policy, found.email)) throw new AppError('REGISTRATION_OFF'); // since it was asked for
      const account = await links.activate(tokenHash, randomBytes(ID_BYTES).toString('base64url'), clock());
      if (!account) throw new AppError('LINK_GONE');
      onEvent({ type: 'activated', accountId: account.id }, requestId);
      return { email: account.email };
    }
    if (found.kind !== 'change') throw new AppError('LINK_GONE');
    const { account, email } = found;
    const notice = { to: account.email, kind: 'email_changed', language, values: {} } as const;
    const isChanged = await withNotice(mailer, notice, () => links.changeEmail(tokenHash, clock()));
    if (!isChanged) throw new AppError('LINK_GONE');
    onEvent({ type: 'email_changed', accountId: account.id }, requestId);
    return { email };
  };
}

/** The page with a button: mail scanners follow links. */
export function activationUrl(base: string): (token: string) => string {
  return (token) => `${base}/api/v1/activate/?token=${token}`;
}

/** @returns an address in its one form. @throws AppError INVALID_REQUEST. */
export function requireEmail(text: string): string {
  const email = parseEmail(text);
  if (email === undefined) throw new AppError('INVALID_REQUEST', { detail: 'email must be an email address' });
  return email;
}

/** @throws AppError REGISTRATION_OFF for an address of a domain that is not in the list. */
export function refuseDomain(policy: RegistrationPolicy, email: string): void {
  if (typeof policy !== 'string' && !isAllowed(policy, email)) throw new AppError('REGISTRATION_OFF');
}

function isAllowed(policy: RegistrationPolicy, email: string): boolean {
  if (typeof policy === 'string') return policy === 'open';
  return policy.includes(email.slice(email.lastIndexOf('@') + 1));
}
