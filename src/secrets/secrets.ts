import type { Clock } from '../clock.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import type { Refusal } from '../limits/limits.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { randomBytes } from '../sealing/random.ts';
import { createOpener, needsPhrase, type Opener, type PhraseKey, SALT_BYTES, sealSecret } from './envelope.ts';
import { createReceiptKey, createSecretKey, parseReceiptKey, parseSecretKey, type SecretKey } from './keys.ts';
import type { ClaimOptions, Found, Notify, Receipt, SecretStore } from './store.ts';

/** How often the same reader may be handed the same secret, the first time included. */
export const MAX_READS = 5;
/** How long after the first read. */
export const REREAD_MS = 60_000;
/** A claim can lose to another reader, who may have left us a copy to find: then we look again, but not for ever. */
const MAX_LOOKS = 4;

/**
 * Runs work that needs phrases hashed. A place in the bounded queue is taken first (AppError BUSY when there is none);
 * work under the same `group` runs one at a time, so that guesses at one secret wait for each other and not for a slot.
 */
export type PhraseGate = {
  run<T>(group: string, work: (hashPhrase: HashPhrase) => Promise<T>): Promise<T>;
};
/** argon2id; waits for a free slot. `phrase` is UTF-8 after NFC; the result has 32 bytes. */
export type HashPhrase = (phrase: Uint8Array, salt: Uint8Array) => Promise<Uint8Array>;

/** What happened, for who counts and audits. */
export type SecretEvent =
  | 'created'
  | 'read'
  | 'reread'
  | 'burned'
  | 'wrong_try'
  /** The last try of a budget was a wrong one: at most once an hour for a secret, for no sooner does one grow back. */
  | 'tries_exhausted';

export type CreateInput = {
  secret: string;
  phrase?: string | undefined;
  ttlMs: number;
  receipt: boolean;
  /** Whose limits count; undefined for none. */
  client?: Uint8Array | undefined;
  /** The URL that is to be told of its end. */
  notify?: string | undefined;
};
export type Created = {
  secretKey: string;
  receiptKey: string | undefined;
  webhookSecret: string | undefined;
  expiresAt: number;
};

export type Secrets = {
  /**
   * Stores a secret. Durable once it resolves.
   * @throws AppError RATE_LIMITED, QUOTA_EXCEEDED, STORAGE_FULL; BUSY with a phrase; with `notify` as `Notifier.check`.
   */
  create(input: CreateInput): Promise<Created>;
  /** Looks without reading. @throws AppError KEY_NOT_FOUND */
  look(secretKey: string): Promise<{ needsPhrase: boolean; expiresAt: number }>;
  /**
   * Reads a secret and ends it in the same step; with an `idempotencyKey`, the same reader gets it again for a minute.
   * @throws AppError KEY_NOT_FOUND when unknown, malformed, expired, read or burned: alike on purpose.
   * @throws AppError PHRASE_REQUIRED, WRONG_PHRASE, TOO_MANY_TRIES, BUSY, MASTER_KEY_UNAVAILABLE: the secret stays.
   */
  read(secretKey: string, input: Reading): Promise<string>;
  /** @throws AppError KEY_NOT_FOUND */
  findReceipt(receiptKey: string): Promise<Receipt>;
  /** @throws AppError KEY_NOT_FOUND, NOT_WAITING */
  burn(receiptKey: string, requestId?: string): Promise<void>;
};
/** `requestId` names the request in the audit. */
export type Reading = {
  phrase?: string | undefined;
  idempotencyKey?: string | undefined;
  requestId?: string | undefined;
};

/** Who can be told of the end of a secret. */
export type Notifier = {
  /** @throws AppError NOTIFY_FORBIDDEN, INVALID_REQUEST, DESTINATION_FORBIDDEN, DESTINATION_BUSY */
  check(url: string): Promise<void>;
  /** What is stored with a new secret, and what its event will be signed with. */
  subscribe(url: string, key: { id: Uint8Array; text: string }): { notify: Notify; webhookSecret: string };
};

/** Who delivers the events of secrets whose end somebody is to be told of. */
export type Delivery = {
  /**
   * Takes room for the event of a read that is about to end a secret.
   * @returns undefined where there is none: then the event is due at once, for any process to take from the store.
   */
  reserve(notify: Notify, now: number): Reservation | undefined;
  /** An event was written that is due now. */
  wake(): void;
};
/** Ends with one of the two calls. */
export type Reservation = {
  /** Until when the event will be held by this process. */
  leaseUntil: number;
  /** The event was written. */
  start(event: HeldEvent): void;
  /** It was not, or nobody knows: then it is found in the store, once it is held no more. */
  cancel(): void;
};
/** As `EventStore` gives them. */
export type HeldEvent = {
  id: Uint8Array;
  type: 'read';
  occurredAt: number;
  attempts: number;
  dueAt: number;
  notify: Notify;
};

type Parts = {
  store: SecretStore;
  ring: KeyRing;
  gate: PhraseGate;
  clock: Clock;
  onEvent(event: SecretEvent, requestId?: string): void;
  notifier: Notifier;
  delivery: Delivery;
  /**
   * Secrets created at this instant or before may have been read already, and are handed out no more.
   * @throws AppError STORAGE_UNAVAILABLE while it is not known.
   */
  refusedUntil(): number;
};
type Reader = { key: SecretKey; idempotencyKey: string | undefined; requestId: string | undefined };
type Seen = { found: Found; opener: Opener };

/** The rules of one-time secrets. */
export function createSecrets(parts: Parts): Secrets {
  const { store, ring, gate, clock, onEvent, notifier, delivery, refusedUntil } = parts;

  async function find({ id }: SecretKey): Promise<Found> {
    const found = (await store.find(id, clock())) ?? fail('KEY_NOT_FOUND');
    return found.createdAt > refusedUntil() ? found : fail('KEY_NOT_FOUND');
  }

  /** What this reader may act on; a copy is there only for who claimed it. */
  async function see({ key, idempotencyKey }: Reader): Promise<Seen> {
    const found = await find(key);
    const identity = { id: key.id, createdAt: found.createdAt, expiresAt: found.expiresAt };
    const opener = createOpener(ring, key.bytes, identity, found.envelope, idempotencyKey);
    if (!opener) return fail('MASTER_KEY_UNAVAILABLE', { retryAfterSeconds: 60 });
    if (found.state === 'copy' && !opener.claimTag?.equals(found.claimTag)) return fail('KEY_NOT_FOUND');
    return { found, opener };
  }

  /** One atomic step with one winner. @returns false when another reader was faster, or time is over. */
  function end({ id }: SecretKey, { found, opener }: Seen, text: Buffer, phraseKey?: Uint8Array): Promise<boolean> {
    const { claimTag } = opener;
    const refundTry = phraseKey !== undefined;
    const now = clock();
    if (found.state === 'copy') {
      return store.reread(id, now, { claimTag: found.claimTag, maxReads: MAX_READS, refundTry });
    }
    const copy = claimTag && { envelope: opener.sealCopy(text, phraseKey), claimTag, until: now + REREAD_MS };
    const options = { copy, refundTry, share: found.share };
    return found.notify ? claimAndTell(id, now, options, found.notify) : store.claim(id, now, options);
  }

  /** The event is written by the claim: what has no room here is not lost. */
  async function claimAndTell(id: Uint8Array, now: number, options: ClaimOptions, notify: Notify): Promise<boolean> {
    const reserved = delivery.reserve(notify, now);
    const dueAt = reserved?.leaseUntil ?? now;
    let isWon = false;
    try {
      isWon = await store.claim(id, now, { ...options, eventDueAt: dueAt });
      return isWon;
    } finally {
      if (isWon) reserved?.start({ id, type: 'read', occurredAt: now, attempts: 0, dueAt, notify });
      else reserved?.cancel();
    }
  }

  async function take(reader: Reader, first: Seen, phraseKey?: Uint8Array): Promise<string> {
    let seen = first;
    for (let looks = 1; ; looks++) {
      const text = seen.opener.open(phraseKey); // before the claim: what does not open is not used up
      if (await end(reader.key, seen, text, phraseKey)) {
        onEvent(seen.found.state === 'waiting' ? 'read' : 'reread');
        return text.toString();
      }
      // Lost. The winner may have been this same reader, on another connection: then there is a copy to find.
      if (!reader.idempotencyKey || looks === MAX_LOOKS) return fail('KEY_NOT_FOUND');
      seen = await see(reader);
    }
  }

  /** Takes a try, and gives it back unless the phrase was really found wrong or the outcome is unknown. */
  async function withTry<T>({ id }: SecretKey, check: (triesLeft: number) => Promise<T>): Promise<T> {
    const reservation = (await store.reserveTry(id, clock())) ?? fail('KEY_NOT_FOUND');
    if (!reservation.granted) {
      return fail('TOO_MANY_TRIES', { retryAfterSeconds: Math.ceil(reservation.retryAfterMs / 1000) });
    }
    try {
      return await check(reservation.triesLeft);
    } catch (error) {
      const isSpent = error instanceof AppError && SPENDS_A_TRY.has(error.code);
      if (!isSpent) await store.refundTry(id);
      throw error;
    }
  }

  async function readWithPhrase(reader: Reader, phrase: string, hashPhrase: HashPhrase): Promise<string> {
    const seen = await see(reader); // again: it was some time in the queue
    const { opener } = seen;
    return withTry(reader.key, async (triesLeft) => {
      const phraseKey = await hashPhrase(normalise(phrase), opener.salt as Uint8Array);
      if (!opener.isRightPhrase(phraseKey)) {
        onEvent('wrong_try');
        if (triesLeft === 0) onEvent('tries_exhausted', reader.requestId);
        return fail('WRONG_PHRASE', { members: { tries_left: triesLeft } });
      }
      return take(reader, seen, phraseKey);
    });
  }

  /**
   * What costs more than storing, a hash or a look for an address, is not done for a creation that is refused: so the
   * rate is asked first. A place in the queue of hashes is not kept waiting for an address.
   */
  async function prepare({ phrase, notify, client }: CreateInput): Promise<PhraseKey | undefined> {
    const admit = async (): Promise<void> => {
      if (client) refuseIf(await store.admit(client, clock()));
    };
    if (notify !== undefined) {
      await admit();
      await notifier.check(notify);
    }
    if (phrase === undefined) return undefined;
    const salt = randomBytes(SALT_BYTES);
    return gate.run(salt.toString('hex'), async (hashPhrase) => {
      if (notify === undefined) await admit();
      return { salt, key: await hashPhrase(normalise(phrase), salt) };
    });
  }

  return {
    async create(input) {
      const { secret, ttlMs, receipt, client } = input;
      const phraseKey = await prepare(input);
      const now = clock();
      const createdAt = Math.max(now, refusedUntil() + 1); // the clock may be behind what is refused
      const expiresAt = now + ttlMs;
      const key = createSecretKey(expiresAt);
      const { id } = key;
      const receiptKey = receipt ? createReceiptKey(id) : undefined;
      const envelope = sealSecret(ring, key.bytes, { id, createdAt, expiresAt }, Buffer.from(secret), phraseKey);
      const isAdmitted = phraseKey !== undefined || input.notify !== undefined;
      const creator = client && { client, now, isAdmitted };
      const receiptHash = receiptKey?.receiptHash;
      const webhook = input.notify === undefined ? undefined : notifier.subscribe(input.notify, key);
      const notify = webhook?.notify;
      refuseIf(await store.create({ id, envelope, createdAt, expiresAt, receiptHash, notify, creator }));
      onEvent('created');
      return {
        secretKey: key.text,
        receiptKey: receiptKey?.text,
        webhookSecret: webhook?.webhookSecret,
        expiresAt,
      };
    },

    async look(text) {
      const { state, envelope, expiresAt } = await find(parse(text));
      if (state !== 'waiting') return fail('KEY_NOT_FOUND');
      return { needsPhrase: needsPhrase(envelope), expiresAt };
    },

    async read(text, { phrase, idempotencyKey, requestId }) {
      const reader = { key: parse(text), idempotencyKey, requestId };
      const seen = await see(reader);
      if (!seen.opener.salt) return take(reader, seen);
      if (!phrase) return fail('PHRASE_REQUIRED');
      return gate.run(reader.key.text, (hashPhrase) => readWithPhrase(reader, phrase, hashPhrase));
    },

    async findReceipt(text) {
      const { id, receiptHash } = parseReceiptKey(text) ?? fail('KEY_NOT_FOUND');
      const receipt = (await store.findReceipt(id, receiptHash, clock())) ?? fail('KEY_NOT_FOUND');
      // It may have been read since: whether it waits, or waited until it expired, nobody can tell.
      const isKnown = receipt.createdAt > refusedUntil() || receipt.state === 'read' || receipt.state === 'burned';
      return isKnown ? receipt : fail('KEY_NOT_FOUND');
    },

    async burn(text, requestId) {
      const { id, receiptHash } = parseReceiptKey(text) ?? fail('KEY_NOT_FOUND');
      const outcome = (await store.burn(id, receiptHash, clock(), refusedUntil())) ?? fail('KEY_NOT_FOUND');
      if (outcome === 'not-waiting') fail('NOT_WAITING');
      onEvent('burned', requestId);
      delivery.wake();
    },
  };
}

const CODE_OF_REFUSAL = { rate: 'RATE_LIMITED', quota: 'QUOTA_EXCEEDED', full: 'STORAGE_FULL' } as const;

/** After these the try stays taken: the guess was made, or nobody knows whether the claim gave it back already. */
const SPENDS_A_TRY: ReadonlySet<ErrorCode> = new Set(['WRONG_PHRASE', 'STORAGE_UNAVAILABLE']);

function parse(text: string): SecretKey {
  return parseSecretKey(text) ?? fail('KEY_NOT_FOUND');
}

function refuseIf(refusal: Refusal | undefined): void {
  if (!refusal) return;
  fail(CODE_OF_REFUSAL[refusal.reason], { retryAfterSeconds: Math.ceil(refusal.retryAfterMs / 1000) });
}

function normalise(phrase: string): Buffer {
  return Buffer.from(phrase.normalize('NFC'));
}

function fail(code: ErrorCode, details?: ConstructorParameters<typeof AppError>[1]): never {
  throw new AppError(code, details);
}
