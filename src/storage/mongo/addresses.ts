import { randomBytes } from 'node:crypto';
import type { Collection, Filter } from 'mongodb';
import type { AccountDocument, AddressDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';

/** Each time, the account that had the address was just deleted, or got another one. */
const MAX_ATTEMPTS = 8;
/** Whoever takes an address needs less time, or has died. */
export const TAKING_MS = 10_000;
/** No account has it. */
const NO_ID = '';
const CLAIM_BYTES = 12;

type Parts = { accounts: () => Collection<AccountDocument>; addresses: () => Collection<AddressDocument> };

/** @param account without its sessions. */
type Owned = { address: AddressDocument; account: AccountDocument };

export type Addresses = {
  /** The finished account with this address. */
  find(email: string): Promise<AccountDocument | undefined>;
  /** Whether an account has the address, or takes it and may still be alive. */
  isHeld(email: string, now: number): Promise<boolean>;
  /** @returns false if another account has it. */
  take(email: string, account: string, now: number): Promise<boolean>;
  /** As it is now: what takes it once more makes another one. */
  look(email: string): Promise<AddressDocument | undefined>;
  remove(address: AddressDocument): Promise<void>;
};

/**
 * Which account has which address. An address is unique, because it is the `_id` of a document of its own; whether it
 * counts is decided by the account's document, which has the address, or takes it (`removeAt`, `next`).
 */
export function createAddresses({ accounts, addresses }: Parts): Addresses {
  async function look(email: string): Promise<AddressDocument | undefined> {
    return (await addresses().findOne({ _id: email })) ?? undefined;
  }

  async function remove(address: AddressDocument): Promise<void> {
    await addresses().deleteMany(exactly(address));
  }

  /** The account that has this address, or takes it. What a crash left is removed. */
  async function owner(email: string): Promise<Owned | undefined> {
    const address = await look(email);
    // Asked in either case: otherwise the time of a log-in would show which addresses have accounts.
    const account = await accounts().findOne({ _id: address?.account ?? NO_ID }, { projection: { sessions: 0 } });
    if (!address) return undefined;
    if (account && (account.email === email || account.next?.email === email)) return { address, account };
    await remove(address);
    return undefined;
  }

  /** From then on the one that took it cannot finish. */
  async function release({ account }: Owned): Promise<void> {
    const { _id, email, next, removeAt } = account;
    if (removeAt) await accounts().deleteMany({ _id, removeAt });
    else if (next) await accounts().updateOne({ _id, email, next }, { $unset: { next: '' } });
  }

  return {
    look,
    remove,

    async find(email) {
      const account = (await owner(email))?.account;
      return account?.email === email && !account.removeAt ? account : undefined;
    },

    async isHeld(email, now) {
      const owned = await owner(email);
      return owned !== undefined && !isAbandoned(owned, email, now);
    },

    async take(email, account, now) {
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        const claim = randomBytes(CLAIM_BYTES).toString('base64url');
        try {
          await addresses().insertOne({ _id: email, account, claim });
          return true;
        } catch (error) {
          if (!hasCode(error, DUPLICATE_KEY)) throw error;
        }
        const owned = await owner(email);
        if (owned?.account._id === account) {
          const { matchedCount } = await addresses().updateOne(exactly(owned.address), { $set: { claim } });
          if (matchedCount === 1) return true;
        } else if (owned && !isAbandoned(owned, email, now)) return false;
        else if (owned) await release(owned);
      }
      throw new Error('too many accounts with this address come and go');
    },
  };
}

function exactly({ _id, account, claim }: AddressDocument): Filter<AddressDocument> {
  return { _id, account, claim: claim ?? { $exists: false } };
}

/** Whether who takes the address was too slow, or died. */
function isAbandoned({ account }: Owned, email: string, now: number): boolean {
  if (account.removeAt) return account.createdAt + TAKING_MS <= now;
  return account.email !== email && (account.next?.until ?? 0) <= now;
}
