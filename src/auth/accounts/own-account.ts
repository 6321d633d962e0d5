import { AppError } from '../../errors.ts';
import type { Gate } from '../../hashing/gate.ts';
import { storageFull } from '../../limits/limiter.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { OnSessionEvent } from '../sessions/events.ts';
import type { Session } from '../sessions/store.ts';
import type { OnAccountEvent } from './events.ts';
import { type SendLink, withNotice } from './mail-links.ts';
import { type PasswordRules, requirePassword } from './password.ts';
import { type Networks, nameOf, type PasswordCheck, tooManyAttempts } from './password-check.ts';
import { hashPassword } from './password-hash.ts';
import { changeProfile, formatProfile, type ProfileChanges, parseProfile } from './profile.ts';
import { type Asked, activationUrl, type RegistrationPolicy, refuseDomain, requireEmail } from './registration.ts';
import type { Account, AccountStore } from './store.ts';

/** Each time, another request has changed the profile. */
const MAX_ATTEMPTS = 5;

export type OwnAccountParts = {
  accounts: AccountStore;
  checkPassword: PasswordCheck;
  rules: PasswordRules;
  gate: Gate;
  mailer: Mailer;
  /** Undefined where no mail can be sent. */
  sendLink: SendLink | undefined;
  policy: RegistrationPolicy;
  onEvent: OnAccountEvent;
  onSessionEvent: OnSessionEvent;
};

/** A change that needs the password again. @param current the password that the client gave. */
export type Change = Pick<Asked, 'base' | 'language' | 'requestId'> & { current: string; networks: Networks };

/**
 * What the person that a session is of can do with the account.
 * @throws AppError UNAUTHORIZED when session or account have ended or changed meanwhile; INVALID_CREDENTIALS for a wrong
 *   password, under the limits of log-ins: a stolen session must not guess it. BUSY, STORAGE_FULL.
 */
export type OwnAccount = {
  look(session: Session): Promise<Account>;
  changeProfile(session: Session, changes: ProfileChanges): Promise<Account>;
  changePassword(session: Session, password: string, change: Change): Promise<void>;
  /** Sends a link to the new address: the same answer, after the same work, if another account has it. */
  changeEmail(session: Session, email: string, change: Change): Promise<void>;
  delete(session: Session, change: Change): Promise<void>;
};

export function createOwnAccount(parts: OwnAccountParts): OwnAccount {
  const { accounts, rules, gate, mailer, onEvent } = parts;

  async function look({ accountId }: Session): Promise<Account> {
    const account = await accounts.find(accountId);
    if (!account) throw new AppError('UNAUTHORIZED');
    return account;
  }

  return {
    look,

    async changeProfile(session, changes) {
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        const account = await look(session);
        const profile = formatProfile(changeProfile(parseProfile(account.profile), changes));
        const outcome = await accounts.setProfile(account.id, account.profile, profile);
        if (outcome === 'full') throw storageFull();
        if (outcome === 'set') return { ...account, profile };
      }
      throw new AppError('BUSY', { detail: 'Others change this profile right now', retryAfterSeconds: 1 });
    },

    async changePassword(session, wish, change) {
      const wanted = requirePassword(rules, wish);
      const account = await verify(parts, session, change);
      const passwordHash = await gate.run(undefined, (hashing) => hashPassword(wanted.bytes, hashing));
      const isSet = await withNotice(mailer, noticeOf(account, 'password_changed', change), () =>
        accounts.changePassword(account, session.id, passwordHash),
      );
      if (!isSet) throw new AppError('UNAUTHORIZED');
      onEvent({ type: 'password_changed', accountId: account.id }, change.requestId);
    },

    async changeEmail(session, text, change) {
      const { sendLink, policy } = parts;
      const email = requireEmail(text);
      if (!sendLink) throw new AppError('MAIL_OFF');
      refuseDomain(policy, email);
      const account = await verify(parts, session, change);
      const isTaken = (await accounts.findByEmail(email)) !== undefined;
      await sendLink({
        link: { kind: 'change', account, email },
        ...{ to: email, kind: 'change_email', language: change.language, urlOf: activationUrl(change.base) },
        as: isTaken ? 'nobody' : 'sent',
      });
    },

    async delete(session, change) {
      const account = await verify(parts, session, change);
      const { id, version } = account;
      const isDeleted = await withNotice(mailer, noticeOf(account, 'account_deleted', change), () =>
        accounts.delete(id, version),
      );
      if (!isDeleted) throw new AppError('UNAUTHORIZED');
      onEvent({ type: 'deleted', accountId: id }, change.requestId);
    },
  };
}

/** @returns the account, whose password the client knows. */
async function verify(parts: OwnAccountParts, session: Session, change: Change): Promise<Account> {
  const { accounts, checkPassword, onSessionEvent } = parts;
  const { current, networks, requestId } = change;
  const find = () => accounts.find(session.accountId);
  const attempt = { name: nameOf(session.email), find, password: current, networks };
  const { right, account, succeed } = await checkPassword(attempt, (refused) => {
    onSessionEvent({ type: 'limited' }, requestId);
    return tooManyAttempts(refused);
  });
  if (!right) {
    onSessionEvent({ type: 'refused', accountId: account?.id }, requestId);
    throw new AppError('INVALID_CREDENTIALS', { detail: 'The current password is wrong' });
  }
  await succeed();
  return right.account;
}

function noticeOf({ email }: Account, kind: 'password_changed' | 'account_deleted', { language }: Change) {
  return { to: email, kind, language, values: {} } as const;
}
