import type { Collection } from 'mongodb';
import type { Customer, CustomerStore } from '../../business/store.ts';
import { storedBytes } from '../usage.ts';
import type { Capacity } from './capacity.ts';
import type { CustomerDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';

/** FerretDB's deletion does nothing when it meets an update of the same document, and says so as if there were none. */
const MAX_ATTEMPTS = 10;

/** Customers in MongoDB: one document for each. */
export function createMongoCustomerStore(
  customers: () => Collection<CustomerDocument>,
  capacity: Capacity,
): CustomerStore {
  /** Whether a name may be replaced by this one where there is no room for another. */
  async function isNoLonger(id: string, name: string): Promise<boolean> {
    const found = await customers().findOne({ _id: id });
    return !found || Buffer.byteLength(name) <= Buffer.byteLength(found.name);
  }

  return translateFailures({
    async createCustomer({ id, name, dob, updatedAt }) {
      const reserved = await capacity.reserve(storedBytes(Buffer.byteLength(name)));
      if (!reserved) return 'full';
      try {
        await customers().insertOne({ _id: id, name, dob, updatedAt });
        return 'created';
      } finally {
        reserved(true); // or may be, if this failed
      }
    },

    async updateCustomer(id, changes, now) {
      const { name, dob } = changes;
      const reserved = name === undefined ? undefined : await capacity.reserve(storedBytes(Buffer.byteLength(name)));
      if (name !== undefined && !reserved && !(await isNoLonger(id, name))) return 'full';
      try {
        const set = { ...(name !== undefined && { name }), ...(dob !== undefined && { dob }), updatedAt: now };
        const updated = await customers().findOneAndUpdate({ _id: id }, { $set: set }, { returnDocument: 'after' });
        return updated ? customerOf(updated) : undefined;
      } finally {
        reserved?.(true);
      }
    },

    async deleteCustomer(id) {
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        if (await customers().findOneAndDelete({ _id: id }, { projection: { _id: 1 } })) return true;
        if (!(await customers().findOne({ _id: id }, { projection: { _id: 1 } }))) return false;
      }
      throw new Error('a customer is changed again and again while it is deleted');
    },

    async youngestCustomers(count) {
      const options = { sort: { dob: -1, _id: -1 }, limit: count } as const;
      return customers().find({}, options).map(customerOf).toArray();
    },

    async listCustomers(after = '', limit) {
      const options = { sort: { _id: 1 }, limit } as const;
      return customers()
        .find({ _id: { $gt: after } }, options)
        .map(customerOf)
        .toArray();
    },
  } satisfies CustomerStore);
}

function customerOf({ _id, name, dob, updatedAt }: CustomerDocument): Customer {
  return { id: _id, name, dob, updatedAt };
}
