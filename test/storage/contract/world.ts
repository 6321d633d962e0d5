import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { StoreLimits } from '../../../src/limits/limits.ts';
import type { TakeOptions } from '../../../src/outbox/store.ts';
import { createSecretKey } from '../../../src/secrets/keys.ts';
import type {
  ClaimOptions,
  Creator,
  Found,
  NewAnswer,
  NewSecret,
  Notify,
  Receipt,
  SecretStore,
} from '../../../src/secrets/store.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import type { EventStore, TakenEvent } from '../../../src/webhooks/store.ts';

/** Every record a store holds, as the engine's own tools show it: all bytes of a row or document in one piece. */
export type RawRecords = (url: string) => Promise<readonly Buffer[]>;

/** An empty store, open, and ways to look at it from outside. */
export type World = {
  store: SecretStore;
  events: EventStore;
  url: string;
  open(limits?: Partial<StoreLimits>): Promise<Storage>;
  close(): Promise<void>;
  raw(): Promise<readonly Buffer[]>;
};
export type ContractTest = (title: string, run: (t: ExecutionContext, world: World) => Promise<void>) => void;

export type Copy = NonNullable<ClaimOptions['copy']>;
export type Traced = NewSecret & { receiptHash: Uint8Array };
export type Requested = NewSecret & { requestHash: Uint8Array };

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** In the future, for MongoDB's TTL monitor knows only the real time. */
export const CREATED_AT = Date.UTC(2066, 0, 1, 12);
export const EXPIRES_AT = CREATED_AT + 3 * HOUR;
export const COPY_UNTIL = CREATED_AT + MINUTE;
export const MAX_READS = 5;
export const NO_REFUND = { refundTry: false } as const;

/** Somebody whose limits count. */
export const CLIENT: Uint8Array = Buffer.alloc(16, 'c');

export function creator(client = CLIENT, now = CREATED_AT): Creator {
  return { client, now, isAdmitted: false };
}

type Wish = { expiresAt?: number; bytes?: number; notify?: Notify };

export function newSecret({ expiresAt = EXPIRES_AT, bytes = 64, notify }: Wish = {}): NewSecret {
  const { id } = createSecretKey(expiresAt);
  return { id, envelope: randomBytes(bytes), createdAt: CREATED_AT, expiresAt, ...(notify && { notify }) };
}

/** Somebody to be told; of each number one destination. */
export function newNotify(destination = 0): Notify {
  const number = Buffer.alloc(16, 'd');
  number.writeUInt32BE(destination, 12);
  return { sealed: randomBytes(300), destination: number };
}

export const LEASE = 45_000;

/** Takes as a dispatcher does that has room for a hundred. */
export function take(
  events: EventStore,
  now: number,
  options: Partial<TakeOptions> = {},
): Promise<readonly TakenEvent[]> {
  return events.takeDue(now, { limit: 100, perDestination: 100, leaseUntil: now + LEASE, without: [], ...options });
}

/** A waiting secret without a receipt. */
export async function createUntraced(store: SecretStore, wish?: Wish): Promise<NewSecret> {
  const secret = newSecret(wish);
  await createOrThrow(store, secret);
  return secret;
}

/** A waiting secret with a receipt. */
export async function createTraced(store: SecretStore, wish?: Wish): Promise<Traced> {
  const secret = { ...newSecret(wish), receiptHash: randomBytes(32) };
  await createOrThrow(store, secret);
  return secret;
}

/** An open request. */
export async function createRequested(store: SecretStore, wish?: Wish): Promise<Requested> {
  const request = { ...newSecret(wish), requestHash: randomBytes(32) };
  await createOrThrow(store, request);
  return request;
}

export const ANSWERED_AT = CREATED_AT + 30 * MINUTE;

export function newAnswer({ bytes = 64, ...wish }: Partial<NewAnswer> & { bytes?: number } = {}): NewAnswer {
  return { envelope: randomBytes(bytes), createdAt: ANSWERED_AT, ...wish };
}

/** Of an answer with a header. */
export function newRepeat(until = ANSWERED_AT + MINUTE): NonNullable<NewAnswer['repeat']> {
  return { tag: randomBytes(32), until };
}

export async function answerOrThrow(
  store: SecretStore,
  { id, requestHash }: Requested,
  answer: NewAnswer = newAnswer(),
): Promise<NewAnswer> {
  if ((await store.answer(id, requestHash, answer.createdAt, answer)) !== true) throw new Error('could not answer');
  return answer;
}

async function createOrThrow(store: SecretStore, secret: NewSecret): Promise<void> {
  const refusal = await store.create(secret);
  if (refusal) throw new Error(`refused: ${refusal.reason}`);
}

export function newCopy(until = COPY_UNTIL, bytes = 64): Copy {
  return { envelope: randomBytes(bytes), claimTag: randomBytes(32), until };
}

/** Claims with a copy, as a reader with an Idempotency-Key does. */
export async function claimCopy(
  store: SecretStore,
  { id }: NewSecret,
  now = CREATED_AT,
  until?: number,
): Promise<Copy> {
  const copy = newCopy(until);
  if (!(await store.claim(id, now, { copy, ...NO_REFUND }))) throw new Error('could not claim');
  return copy;
}

export function receiptOf(store: SecretStore, { id, receiptHash }: Traced, now: number): Promise<Receipt | undefined> {
  return store.findReceipt(id, receiptHash, now);
}

export async function reserve(store: SecretStore, { id }: NewSecret, now: number, count: number): Promise<void> {
  for (let left = count; left > 0; left--) {
    if (!(await store.reserveTry(id, now))?.granted) throw new Error('could not reserve');
  }
}

export async function sweepAll(store: SecretStore, now: number, limit = 100, refusedUntil = 0): Promise<void> {
  while ((await store.sweep(now, limit, refusedUntil)).wiped === limit);
}

/** All at once. */
export function times<T>(count: number, run: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => run(index)));
}

export function countOf<T>(values: readonly T[], value: T): number {
  return values.filter((one) => one === value).length;
}

/** What was found without what engines may choose: the class of its bytes. */
export function plain(found: Found | undefined): object | undefined {
  if (!found) return undefined;
  const { state, createdAt, expiresAt } = found;
  const claimTag = found.state === 'copy' ? hex(found.claimTag) : undefined;
  return { state, createdAt, expiresAt, claimTag, envelope: hex(found.envelope) };
}

export function asWaiting({ createdAt, expiresAt, envelope }: NewSecret): object | undefined {
  return plain({ state: 'waiting', createdAt, expiresAt, envelope });
}

export function asRequested({ createdAt, expiresAt, envelope }: NewSecret): object | undefined {
  return plain({ state: 'requested', createdAt, expiresAt, envelope });
}

/** The secret that a request becomes. */
export function asAnswered({ expiresAt }: NewSecret, { createdAt, envelope }: NewAnswer): object | undefined {
  return plain({ state: 'waiting', createdAt, expiresAt, envelope });
}

export function asCopy({ createdAt, expiresAt }: NewSecret, { envelope, claimTag }: Copy): object | undefined {
  return plain({ state: 'copy', createdAt, expiresAt, envelope, claimTag });
}

export function hasLeft(records: readonly Buffer[], bytes: Uint8Array): boolean {
  return records.some((record) => record.includes(Buffer.from(bytes)));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
