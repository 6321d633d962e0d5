/**
 * What customers need from an engine. Every verb is one atomic step across processes, and durable once it resolves. An
 * engine that cannot answer, or does not know whether it has written, rejects with AppError STORAGE_UNAVAILABLE.
 */
export interface CustomerStore {
  /** `full`: the limit on everything stored would be exceeded. */
  createCustomer(customer: Customer): Promise<'created' | 'full'>;

  /**
   * @returns the customer as it is now; undefined if there is none with this id; `full` if the new name needs more room
   *   than the old one, and the limit on everything stored would be exceeded.
   */
  updateCustomer(id: string, changes: CustomerChanges, now: number): Promise<Customer | 'full' | undefined>;

  /** @returns false if there is none with this id. */
  deleteCustomer(id: string): Promise<boolean>;

  /** The latest `dob` first; with the same one, the greater id first. Reads no more than it returns. */
  youngestCustomers(count: number): Promise<readonly Customer[]>;

  /** In the order of ids, which is that of creation. @param after the id before the first one; undefined for the beginning. */
  listCustomers(after: string | undefined, limit: number): Promise<readonly Customer[]>;
}

export type Customer = {
  /** Opaque to clients. A later one is greater, to the millisecond. */
  id: string;
  /** Up to 200 characters. */
  name: string;
  /** A date of the calendar, YYYY-MM-DD, without a time zone. */
  dob: string;
  /** ms since the epoch. */
  updatedAt: number;
};

/** What is undefined stays as it is. */
export type CustomerChanges = { name?: string | undefined; dob?: string | undefined };
