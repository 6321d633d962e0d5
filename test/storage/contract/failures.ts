import type { ExecutionContext } from 'ava';
import { AppError } from '../../../src/errors.ts';
import type { SecretStore } from '../../../src/secrets/store.ts';
import type { EventStore } from '../../../src/webhooks/store.ts';
import {
  CLIENT,
  CREATED_AT,
  creator,
  EXPIRES_AT,
  MAX_READS,
  NO_REFUND,
  newAnswer,
  newCopy,
  newSecret,
  type Traced,
  take,
} from './world.ts';

type Verbs = Readonly<Record<keyof SecretStore, () => Promise<unknown>>>;

/** Every verb of a store, ready to be called on a record that is there. */
export function verbsOn(store: SecretStore, { id, receiptHash }: Traced): Verbs {
  const reread = { claimTag: newCopy().claimTag, maxReads: MAX_READS, ...NO_REFUND };
  return {
    create: () => store.create({ ...newSecret(), creator: creator() }),
    admit: () => store.admit(CLIENT, CREATED_AT),
    find: () => store.find(id, CREATED_AT),
    reserveTry: () => store.reserveTry(id, CREATED_AT),
    refundTry: () => store.refundTry(id),
    claim: () => store.claim(id, CREATED_AT, { copy: newCopy(), ...NO_REFUND }),
    reread: () => store.reread(id, CREATED_AT, reread),
    findReceipt: () => store.findReceipt(id, receiptHash, CREATED_AT),
    burn: () => store.burn(id, receiptHash, CREATED_AT, 0),
    findRequest: () => store.findRequest(id, receiptHash, CREATED_AT),
    answer: () => store.answer(id, receiptHash, CREATED_AT, newAnswer()),
    withdraw: () => store.withdraw(id, CREATED_AT),
    sweep: () => store.sweep(CREATED_AT, 100, 0),
  };
}

/** Every verb of events, of a secret that is there. */
export function eventVerbsOn(events: EventStore, { id }: Traced): Record<keyof EventStore, () => Promise<unknown>> {
  return {
    takeDue: () => take(events, CREATED_AT),
    finish: () => events.finish([id]),
    postpone: () => events.postpone({ id, dueAt: CREATED_AT }, { dueAt: EXPIRES_AT, attempts: 1 }),
    hasDue: () => events.hasDue(CREATED_AT),
    countWaiting: () => events.countWaiting(),
  };
}

/** Asserts that each call says that the storage does not answer, and when to come back. */
export async function areUnavailable(
  t: ExecutionContext,
  calls: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<void> {
  await Promise.all(
    Object.entries(calls).map(async ([name, call]) => {
      const error = await t.throwsAsync(call, { instanceOf: AppError, code: 'STORAGE_UNAVAILABLE' }, name);
      t.true((error?.retryAfterSeconds ?? 0) >= 1, name);
    }),
  );
}

/** Without those that only look. */
export function writesOf({ find: _, findReceipt: __, findRequest: ___, ...writes }: Verbs): Partial<Verbs> {
  return writes;
}
