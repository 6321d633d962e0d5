import type { Clock } from '../../clock.ts';
import type { Hash } from '../../hashing/hash-queue.ts';
import { parseEmail } from '../../network/email.ts';
import { randomBytes } from '../../sealing/random.ts';
import type { PasswordRules } from './password.ts';
import { hashPassword } from './password-hash.ts';
import type { Account, AccountStore, Role } from './store.ts';

const ID_BYTES = 16;
const LIST_STEP = 500;

/** Why nothing was changed: the account, or what was given for it. */
export type Refused = { refused: 'no address' | 'taken' | 'full' | 'unknown' } | { refused: 'password'; fault: string };

export type AccountParts = { store: AccountStore; rules: PasswordRules; hash: Hash; clock: Clock };

export type Accounts = {
  create(wish: { email: string; password: string; role: Role }): Promise<{ email: string } | Refused>;
  /** All of them, in steps. */
  list(): AsyncIterable<Account>;
  /** Ends all sessions of the account, as do the following. */
  disable(email: string): Promise<Refused | undefined>;
  enable(email: string): Promise<Refused | undefined>;
  resetPassword(email: string, password: string): Promise<Refused | undefined>;
  delete(email: string): Promise<Refused | undefined>;
};

/** What an operator does with accounts. */
export function createAccounts({ store, rules, hash, clock }: AccountParts): Accounts {
  async function onAccount(text: string, change: (id: string) => Promise<boolean>): Promise<Refused | undefined> {
    const email = parseEmail(text);
    if (email === undefined) return { refused: 'no address' };
    const account = await store.findByEmail(email);
    return account && (await change(account.id)) ? undefined : { refused: 'unknown' };
  }

  return {
    async create({ email: text, password: wish, role }) {
      const email = parseEmail(text);
      if (email === undefined) return { refused: 'no address' };
      const checked = rules.check(wish);
      if ('fault' in checked) return { refused: 'password', fault: checked.fault };
      const outcome = await store.create({
        id: randomBytes(ID_BYTES).toString('base64url'),
        email,
        passwordHash: await hashPassword(checked.password.bytes, hash),
        role,
        profile: '{}',
        createdAt: clock(),
      });
      return outcome === 'created' ? { email } : { refused: outcome };
    },

    async *list() {
      for (let after: string | undefined; ; ) {
        const step = await store.list(after, LIST_STEP);
        yield* step;
        if (step.length < LIST_STEP) return;
        after = step.at(-1)?.id;
      }
    },

    disable: (email) => onAccount(email, (id) => store.setDisabled(id, clock())),
    enable: (email) => onAccount(email, (id) => store.setDisabled(id, undefined)),

    async resetPassword(email, wish) {
      const checked = rules.check(wish);
      if ('fault' in checked) return { refused: 'password', fault: checked.fault };
      const { bytes } = checked.password;
      return onAccount(email, async (id) => store.setPassword(id, await hashPassword(bytes, hash)));
    },

    delete: (email) => onAccount(email, (id) => store.delete(id)),
  };
}
