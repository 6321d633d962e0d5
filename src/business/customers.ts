import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { storageFull } from '../limits/limiter.ts';
import { randomBytes } from '../sealing/random.ts';
import type { Customer, CustomerChanges, CustomerStore } from './store.ts';

export const NAME_MAX_LENGTH = 200;
export const PAGE_MAX = 1000;

/** The instant of creation in milliseconds, which lasts until the year 10889, and what makes it unique. */
const TIME_DIGITS = 12;
const RANDOM_BYTES = 10;
const ID = /^[0-9a-f]{32}$/;

export const CUSTOMER_EVENTS = ['created', 'updated', 'deleted'] as const;
export type CustomerEvent = (typeof CUSTOMER_EVENTS)[number];

/** Who changes something, by ids that open nothing. */
export type Change = { userId: string; requestId: string };

export type CustomersParts = {
  store: CustomerStore;
  clock: Clock;
  onChange(event: CustomerEvent, customerId: string, change: Change): void;
};

export type Customers = {
  /** The youngest first; of those of one day, the one created last. */
  youngest(count: number): Promise<readonly Customer[]>;
  /**
   * In the order of creation.
   * @param after the id before the first one.
   * @throws AppError INVALID_REQUEST for an `after` that is no id.
   */
  page(after: string | undefined, limit: number): Promise<{ customers: readonly Customer[]; hasMore: boolean }>;
  /** @throws AppError INVALID_REQUEST for a `dob` in the future; STORAGE_FULL. */
  create(given: Pick<Customer, 'name' | 'dob'>, change: Change): Promise<Customer>;
  /** @throws AppError UNKNOWN_ID; those of `create`. */
  update(id: string, changes: CustomerChanges, change: Change): Promise<Customer>;
  /** @throws AppError UNKNOWN_ID. */
  delete(id: string, change: Change): Promise<void>;
};

export function createCustomers({ store, clock, onChange }: CustomersParts): Customers {
  /** A day that has not begun in UTC. */
  function refuseFuture(dob: string | undefined): void {
    if (dob === undefined || dob <= dayAt(clock())) return;
    throw new AppError('INVALID_REQUEST', { detail: 'dob must not be in the future' });
  }

  return {
    youngest: (count) => store.youngestCustomers(count),

    async page(after, limit) {
      if (after !== undefined && !ID.test(after)) {
        throw new AppError('INVALID_REQUEST', { detail: 'after must be the id of a customer' });
      }
      const found = await store.listCustomers(after, limit + 1);
      return { customers: found.slice(0, limit), hasMore: found.length > limit };
    },

    async create({ name, dob }, change) {
      refuseFuture(dob);
      const now = clock();
      const customer = { id: createId(now), name, dob, updatedAt: now };
      if ((await store.createCustomer(customer)) === 'full') throw storageFull();
      onChange('created', customer.id, change);
      return customer;
    },

    async update(id, changes, change) {
      refuseFuture(changes.dob);
      const updated = ID.test(id) ? await store.updateCustomer(id, changes, clock()) : undefined;
      if (updated === undefined) throw new AppError('UNKNOWN_ID');
      if (updated === 'full') throw storageFull();
      onChange('updated', id, change);
      return updated;
    },

    async delete(id, change) {
      if (!ID.test(id) || !(await store.deleteCustomer(id))) throw new AppError('UNKNOWN_ID');
      onChange('deleted', id, change);
    },
  };
}

/** Ids are in the order of creation, to the millisecond, and nobody guesses one. */
export function createId(now: number): string {
  return now.toString(16).padStart(TIME_DIGITS, '0') + randomBytes(RANDOM_BYTES).toString('hex');
}

/** Whether it is a date of the calendar, YYYY-MM-DD. No zone of time has a part in it. */
export function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || text.startsWith('0000')) return false;
  const instant = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(instant.getTime()) && dayAt(instant.getTime()) === text;
}

/** The date in UTC. */
function dayAt(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** Whether something of a name can be seen. */
export function isBlank(name: string): boolean {
  return !/[^\s\p{Cc}\p{Default_Ignorable_Code_Point}]/u.test(name);
}

/** In characters of Unicode. */
export function lengthOf(name: string): number {
  return [...name].length;
}
