import type { Collection } from 'mongodb';
import type { Account, AccountStore, NewAccount } from '../../auth/accounts/store.ts';
import { accountBytesOf, storedBytes } from '../usage.ts';
import type { Capacity } from './capacity.ts';
import type { AccountDocument, AddressDocument, SessionDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';

/** Each time, the account that had the address was just deleted. */
const MAX_ATTEMPTS = 4;
/** What a crash leaves of an unfinished creation goes after this time; a creation that takes longer fails. */
const UNFINISHED_MS = 3_600_000;
const FINISHED = { removeAt: { $exists: false } } as const;

type Parts = {
  accounts: () => Collection<AccountDocument>;
  addresses: () => Collection<AddressDocument>;
  sessions: () => Collection<SessionDocument>;
  capacity: Capacity;
};

/**
 * Accounts in MongoDB. An address is unique, because it is the `_id` of a document of its own. That document is inserted
 * after the account and deleted after it, so that without its account it is only what a crash left.
 *
 * Here and for sessions, `deleteMany` removes one document: with FerretDB, `deleteOne` and `findOneAndDelete` miss a
 * document that is updated at the same moment.
 */
export function createMongoAccountStore(parts: Parts): AccountStore {
  const { accounts, sessions } = parts;
  const addresses = createAddresses(parts);

  /** Changes an account and ends its sessions in one step. @returns whether there is such an account. */
  async function endAndSet(id: string, update: { $set: Partial<AccountDocument>; $unset?: { disabledAt: '' } }) {
    const before = await accounts().findOneAndUpdate(
      { _id: id, ...FINISHED },
      { ...update, $set: { ...update.$set, sessions: [] }, $inc: { version: 1 } },
      { projection: { sessions: 1 } },
    );
    if (before) await removeSessions(before);
    return before !== null;
  }

  /** They have ended already. By their ids, because there may be new ones. */
  async function removeSessions({ _id, sessions: ended }: Pick<AccountDocument, '_id' | 'sessions'>): Promise<void> {
    if (ended.length > 0) await sessions().deleteMany({ accountId: _id, id: { $in: ended } });
  }

  return translateFailures({
    ...createCreating(parts, addresses),

    async findByEmail(email) {
      const found = await addresses.find(email);
      return found && accountOf(found);
    },

    async list(after, limit) {
      const filter = { ...FINISHED, ...(after !== undefined && { _id: { $gt: after } }) };
      const found = await accounts()
        .find(filter, { sort: { _id: 1 }, limit, projection: { sessions: 0 } })
        .toArray();
      return found.map(accountOf);
    },

    async rehash(id, from, to) {
      const changed = await accounts().updateOne({ _id: id, passwordHash: from }, { $set: { passwordHash: to } });
      return changed.matchedCount === 1;
    },

    setPassword: async (id, passwordHash) => endAndSet(id, { $set: { passwordHash } }),

    setDisabled: async (id, disabledAt) =>
      endAndSet(id, disabledAt === undefined ? { $set: {}, $unset: { disabledAt: '' } } : { $set: { disabledAt } }),

    async delete(id) {
      const before = await accounts().findOneAndUpdate(
        { _id: id },
        { $set: { sessions: [] }, $inc: { version: 1 } },
        { projection: { email: 1 } },
      );
      if (!before) return false;
      const { deletedCount } = await accounts().deleteMany({ _id: id });
      await addresses.remove(before);
      await sessions().deleteMany({ accountId: id });
      return deletedCount === 1;
    },
  } satisfies AccountStore);
}

type Addresses = ReturnType<typeof createAddresses>;

/** No account has it. */
const NO_ID = '';

function createAddresses({ accounts, addresses }: Pick<Parts, 'accounts' | 'addresses'>) {
  async function remove({ _id, email }: Pick<AccountDocument, '_id' | 'email'>): Promise<void> {
    await addresses().deleteMany({ _id: email, account: _id });
  }

  return {
    remove,

    /** @returns the account that has this address, finished or not. */
    async owner(email: string): Promise<AccountDocument | undefined> {
      const address = await addresses().findOne({ _id: email });
      // Asked in either case: otherwise the time of a log-in would show which addresses have accounts.
      const found = await accounts().findOne({ _id: address?.account ?? NO_ID }, { projection: { sessions: 0 } });
      if (address && !found) await remove({ _id: address.account, email });
      return found ?? undefined;
    },

    async find(email: string): Promise<AccountDocument | undefined> {
      const found = await this.owner(email);
      return found?.removeAt ? undefined : found;
    },

    /** @returns false if another account has it. */
    async take(email: string, account: string): Promise<boolean> {
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        try {
          await addresses().insertOne({ _id: email, account });
          return true;
        } catch (error) {
          if (!hasCode(error, DUPLICATE_KEY)) throw error;
        }
        if (await this.owner(email)) return false;
      }
      throw new Error('too many accounts with this address come and go');
    },
  };
}

function createCreating({ accounts, capacity }: Parts, addresses: Addresses): Pick<AccountStore, 'create'> {
  /** @returns false if another account has the address. */
  async function insert({ id, email, ...rest }: NewAccount): Promise<boolean> {
    const removeAt = new Date(rest.createdAt + UNFINISHED_MS);
    await accounts().insertOne({ _id: id, email, ...rest, version: 1, sessions: [], removeAt });
    if (!(await addresses.take(email, id))) {
      await accounts().deleteMany({ _id: id });
      return false;
    }
    const { matchedCount } = await accounts().updateOne({ _id: id, removeAt }, { $unset: { removeAt: '' } });
    if (matchedCount === 0) throw new Error('the creation took too long');
    return true;
  }

  return {
    async create(account) {
      if (await addresses.owner(account.email)) return 'taken';
      const reserved = await capacity.reserve(storedBytes(accountBytesOf(account)));
      if (!reserved) return 'full';
      let isStored = true; // or may be, if this fails
      try {
        isStored = await insert(account);
        return isStored ? 'created' : 'taken';
      } finally {
        reserved(isStored);
      }
    },
  };
}

function accountOf({
  _id,
  email,
  passwordHash,
  role,
  profile,
  createdAt,
  version,
  disabledAt,
}: AccountDocument): Account {
  return { id: _id, email, passwordHash, role, profile, createdAt, version, disabledAt };
}
