import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Gate } from '../../hashing/gate.ts';
import type { Mailer } from '../../mail/mailer.ts';
import { parseEmail } from '../../network/email.ts';
import type { OnAccountEvent } from './events.ts';
import { hashLinkToken } from './link-tokens.ts';
import type { LinkStore } from './links-store.ts';
import { type SendLink, withNotice } from './mail-links.ts';
import { type PasswordRules, requirePassword } from './password.ts';
import { hashPassword } from './password-hash.ts';
import type { Asked } from './registration.ts';
import type { AccountStore } from './store.ts';

export type PasswordResetParts = {
  accounts: Pick<AccountStore, 'findByEmail'>;
  links: LinkStore;
  rules: PasswordRules;
  gate: Gate;
  mailer: Mailer;
  sendLink: SendLink;
  clock: Clock;
  refusedUntil(): number;
  onEvent: OnAccountEvent;
};

export type PasswordResets = {
  /** Sends the address a link, if it has an account that is enabled: the same answer, after the same work. */
  forgot(email: string, asked: Asked): Promise<void>;
  /** @throws AppError LINK_GONE; INVALID_REQUEST for a password that nobody may have, and the link stays good; BUSY. */
  reset(given: { token: string; password: string }, asked: Pick<Asked, 'language' | 'requestId'>): Promise<void>;
};

export function createPasswordResets(parts: PasswordResetParts): PasswordResets {
  const { accounts, links, rules, gate, mailer, sendLink, clock, onEvent } = parts;

  return {
    async forgot(text, { base, language }) {
      const email = parseEmail(text);
      const account = email === undefined ? undefined : await accounts.findByEmail(email);
      const canReset = account !== undefined && account.disabledAt === undefined;
      const { id = '', version = 0 } = account ?? {};
      await sendLink({
        link: { kind: 'reset', account: { id, version } },
        ...{ to: email ?? text, kind: 'reset', language, urlOf: (token) => `${base}/reset?token=${token}` },
        as: canReset ? 'sent' : 'nobody',
      });
    },

    async reset({ token, password }, { language, requestId }) {
      const refusedUntil = parts.refusedUntil();
      const wanted = requirePassword(rules, password);
      const tokenHash = hashLinkToken(token);
      const found = tokenHash && (await links.findLink(tokenHash, clock()));
      if (found?.kind !== 'reset' || found.createdAt <= refusedUntil) throw new AppError('LINK_GONE');
      const { id, email } = found.account;
      const passwordHash = await gate.run(undefined, (hashing) => hashPassword(wanted.bytes, hashing));
      const notice = { to: email, kind: 'password_changed', language, values: {} } as const;
      const isSet = await withNotice(mailer, notice, () =>
        links.resetPassword(tokenHash as Buffer, passwordHash, clock()),
      );
      if (!isSet) throw new AppError('LINK_GONE');
      onEvent({ type: 'password_reset', accountId: id }, requestId);
    },
  };
}
