import type { SQLOutputValue } from 'node:sqlite';
import type { Customer, CustomerStore } from '../../../business/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { CustomerProcedures } from './procedures.ts';

const COLUMNS = 'SELECT id, name, dob, updated_at FROM customers';
/** `customers_youngest` is read backwards, and ends with the id. */
export const YOUNGEST = `${COLUMNS} ORDER BY dob DESC, id DESC LIMIT ?`;
export const PAGE = `${COLUMNS} WHERE id > ? ORDER BY id LIMIT ?`;

/** Customers in SQLite. Names are bytes there, because text would end at a NUL. */
export function createSqliteCustomerStore(commit: GroupCommit<CustomerProcedures>, reader: Reader): CustomerStore {
  const youngest = reader.prepareList(YOUNGEST);
  const page = reader.prepareList(PAGE);

  return {
    createCustomer: async ({ id, name, dob, updatedAt }) =>
      commit.run('createCustomer', id, Buffer.from(name), dob, updatedAt),

    async updateCustomer(id, { name, dob = null }, now) {
      const newName = name === undefined ? null : Buffer.from(name);
      const updated = await commit.run('updateCustomer', id, newName, dob, now);
      if (updated === 'full') return updated;
      return updated === null
        ? undefined
        : customerOf([id, ...(updated as readonly [Uint8Array<ArrayBuffer>, string]), now]);
    },

    deleteCustomer: async (id) => commit.run('deleteCustomer', id),

    youngestCustomers: async (count) => (await youngest(count)).map(customerOf),

    /** Every id is greater than an empty text. */
    listCustomers: async (after = '', limit) => (await page(after, limit)).map(customerOf),
  } satisfies CustomerStore;
}

function customerOf([id, name, dob, updatedAt]: readonly SQLOutputValue[]): Customer {
  return {
    id: id as string,
    name: Buffer.from(name as Uint8Array).toString(),
    dob: dob as string,
    updatedAt: updatedAt as number,
  };
}
