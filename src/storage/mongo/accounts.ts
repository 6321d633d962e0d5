import type { Collection, Filter } from 'mongodb';
import type { Account, AccountStore, NewAccount } from '../../auth/accounts/store.ts';
import { accountBytesOf, storedBytes } from '../usage.ts';
import { createAddresses } from './addresses.ts';
import type { Capacity } from './capacity.ts';
import type { AccountDocument, AddressDocument, LinkDocument, SessionDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';

/** What a crash leaves of an unfinished creation goes after this time; a creation that takes longer fails. */
const UNFINISHED_MS = 3_600_000;
export const FINISHED = { removeAt: { $exists: false } } as const;
export const ENABLED = { disabledAt: { $exists: false } } as const;

export type AccountParts = {
  accounts: () => Collection<AccountDocument>;
  addresses: () => Collection<AddressDocument>;
  sessions: () => Collection<SessionDocument>;
  links: () => Collection<LinkDocument>;
  capacity: Capacity;
};

/**
 * Accounts in MongoDB. The document of its address is inserted after the account and deleted after it, so that without
 * its account it is only what a crash left.
 *
 * Here and for sessions, `deleteMany` removes one document: with FerretDB, `deleteOne` and `findOneAndDelete` miss a
 * document that is updated at the same moment.
 */
export function createMongoAccountStore(parts: AccountParts): AccountStore {
  return translateFailures({
    ...createCreating(parts),
    ...createLooking(parts),
    ...createChanging(parts),
    ...createProfiles(parts),
    ...createDeleting(parts),
  } satisfies AccountStore);
}

type Looking = Pick<AccountStore, 'find' | 'findByEmail' | 'list'>;

function createLooking(parts: AccountParts): Looking {
  const { accounts } = parts;
  const addresses = createAddresses(parts);
  const projection = { sessions: 0 } as const;

  return {
    async find(id) {
      const found = await accounts().findOne({ _id: id, ...FINISHED }, { projection });
      return found ? accountOf(found) : undefined;
    },

    async findByEmail(email) {
      const found = await addresses.find(email);
      return found && accountOf(found);
    },

    async list(after, limit) {
      const filter = { ...FINISHED, ...(after !== undefined && { _id: { $gt: after } }) };
      const found = await accounts()
        .find(filter, { sort: { _id: 1 }, limit, projection })
        .toArray();
      return found.map(accountOf);
    },
  };
}

type Changing = Pick<AccountStore, 'rehash' | 'setPassword' | 'changePassword' | 'setDisabled'>;

type EndAndSet = (
  wanted: Filter<AccountDocument> & { _id: string },
  update: { $set: Partial<AccountDocument>; $unset?: { disabledAt: '' } },
  keptSession?: string,
) => Promise<boolean>;

/**
 * Changes an account, and ends its links and all its sessions but one.
 * @returns what does so; it returns whether there is an account as wanted.
 */
export function createEndAndSet({ accounts, sessions, links }: AccountParts): EndAndSet {
  return async (wanted, update, keptSession) => {
    const kept = keptSession === undefined ? [] : [keptSession];
    const before = await accounts().findOneAndUpdate(
      wanted,
      { ...update, $set: { ...update.$set, sessions: kept }, $inc: { version: 1 } },
      { projection: { sessions: 1 } },
    );
    if (!before) return false;
    // They have ended already. By their ids, because there may be new ones.
    const ended = before.sessions.filter((id) => id !== keptSession);
    if (ended.length > 0) await sessions().deleteMany({ accountId: wanted._id, id: { $in: ended } });
    await links().deleteMany({ owner: wanted._id });
    return true;
  };
}

function createChanging(parts: AccountParts): Changing {
  const { accounts } = parts;
  const endAndSet = createEndAndSet(parts);

  return {
    async rehash(id, from, to) {
      const changed = await accounts().updateOne({ _id: id, passwordHash: from }, { $set: { passwordHash: to } });
      return changed.matchedCount === 1;
    },

    setPassword: async (id, passwordHash) => endAndSet({ _id: id, ...FINISHED }, { $set: { passwordHash } }),

    changePassword: async ({ id, version }, sessionId, passwordHash) =>
      endAndSet(
        { _id: id, version, sessions: sessionId, ...FINISHED, ...ENABLED },
        { $set: { passwordHash } },
        sessionId,
      ),

    setDisabled: async (id, disabledAt) =>
      endAndSet(
        { _id: id, ...FINISHED },
        disabledAt === undefined ? { $set: {}, $unset: { disabledAt: '' } } : { $set: { disabledAt } },
      ),
  };
}

function createProfiles({ accounts, capacity }: AccountParts): Pick<AccountStore, 'setProfile'> {
  return {
    async setProfile(id, from, to) {
      const reserved = await capacity.reserve(Math.max(0, Buffer.byteLength(to) - Buffer.byteLength(from)));
      if (!reserved) return 'full';
      try {
        const filter = { _id: id, profile: from, ...FINISHED };
        const { matchedCount } = await accounts().updateOne(filter, { $set: { profile: to } });
        return matchedCount === 1 ? 'set' : 'other';
      } finally {
        reserved(true); // or may be, if this failed
      }
    },
  };
}

function createDeleting(parts: AccountParts): Pick<AccountStore, 'delete'> {
  const { accounts, sessions, links } = parts;
  const addresses = createAddresses(parts);

  return {
    async delete(id, version) {
      const before = await accounts().findOneAndUpdate(
        { _id: id, ...(version !== undefined && { version }) },
        { $set: { sessions: [] }, $unset: { next: '' }, $inc: { version: 1 } },
        { projection: { email: 1 } },
      );
      if (!before) return false;
      const address = await addresses.look(before.email);
      await links().deleteMany({ owner: { $in: [id, before.email] } }); // while nobody else can have the address
      const { deletedCount } = await accounts().deleteMany({ _id: id });
      if (address?.account === id) await addresses.remove(address);
      await sessions().deleteMany({ accountId: id });
      return deletedCount === 1;
    },
  };
}

/** @returns what inserts an account; it returns false if another account has the address. */
export function createInserting(parts: AccountParts): (account: NewAccount) => Promise<boolean> {
  const { accounts } = parts;
  const addresses = createAddresses(parts);
  return async ({ id, email, ...rest }) => {
    const removeAt = new Date(rest.createdAt + UNFINISHED_MS);
    await accounts().insertOne({ _id: id, email, ...rest, version: 1, sessions: [], removeAt });
    if (!(await addresses.take(email, id, rest.createdAt))) {
      await accounts().deleteMany({ _id: id });
      return false;
    }
    const { matchedCount } = await accounts().updateOne({ _id: id, removeAt }, { $unset: { removeAt: '' } });
    if (matchedCount === 0) throw new Error('the creation took too long');
    return true;
  };
}

function createCreating(parts: AccountParts): Pick<AccountStore, 'create'> {
  const { capacity } = parts;
  const addresses = createAddresses(parts);
  const insert = createInserting(parts);

  return {
    async create(account) {
      if (await addresses.isHeld(account.email, account.createdAt)) return 'taken';
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

export function accountOf({
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
