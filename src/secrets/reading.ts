import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { createOpener, holdsJwe, needsPhrase, type Opener } from './envelope.ts';
import { findSecret, parseSecret, withoutMasterKey } from './finding.ts';
import type { SecretKey } from './keys.ts';
import { type Described, describeLabel, isRightProof, type Label } from './label.ts';
import { type HashPhrase, normalisePhrase, type PhraseGate } from './phrases.ts';
import { openRequest } from './request-envelope.ts';
import { requestTokenOf } from './request-keys.ts';
import type { ClaimOptions, Found, Notify, SecretStore } from './store.ts';

/** How often the same reader can get the same secret, the first time included. */
export const MAX_READS = 5;
/** How long after the first time. */
export const REREAD_MS = 60_000;
/** A request can lose to another one of the same reader, which leaves a copy: then we look again, but not endlessly. */
const MAX_LOOKS = 4;

/** Whether the try stays taken: the guess was made, or the claim may have given the try back already. */
function spendsTry(error: unknown): boolean {
  if (!(error instanceof AppError)) return false;
  return error.code === 'WRONG_PHRASE' || (error.code === 'STORAGE_UNAVAILABLE' && !error.isNotWritten);
}

export type Reading = {
  /** Looks without reading. @throws AppError KEY_NOT_FOUND; MASTER_KEY_UNAVAILABLE for a sealed secret and for a request. */
  look(secretKey: string): Promise<Look>;
  /**
   * Reads a secret and ends it in the same step; with an `idempotencyKey`, the same reader can get it again for a minute.
   * @throws AppError KEY_NOT_FOUND when unknown, malformed, expired, read or burned: the same on purpose.
   * @throws AppError NOT_ANSWERED, PROOF_REQUIRED, PHRASE_REQUIRED, WRONG_PHRASE, TOO_MANY_TRIES, BUSY, MASTER_KEY_UNAVAILABLE: the secret stays.
   */
  read(secretKey: string, input: ReadInput): Promise<Read>;
};
/** `sealed` is there if the client sealed the secret. */
export type Look = { needsPhrase: boolean; expiresAt: number; sealed?: Described } | Unanswered;
/** A request that waits for its answer. */
export type Unanswered = { answered: false; note?: string; expiresAt: number };
export type Read = { secret: string; sealed?: Described };
/** `requestId` names the request in the audit log. */
export type ReadInput = {
  proof?: string | undefined;
  phrase?: string | undefined;
  idempotencyKey?: string | undefined;
  requestId?: string | undefined;
  /** Default: nothing is in the way. */
  room?: AnswerRoom | undefined;
};

/** Room for the answer: without it, nothing is claimed. */
export type AnswerRoom = {
  /** @throws AppError BUSY without room for an envelope of so many bytes. */
  hold(bytes: number): void;
  /**
   * Waits for the turn to open the envelope and to end the secret.
   * @returns undefined for a small one, which need not wait.
   * @throws AppError BUSY when it does not come.
   */
  takeTurn(): Promise<void> | undefined;
  /** @throws AppError BUSY without room for an answer with this text. */
  reserve(text: Uint8Array): void;
};

export type ReadEvent =
  | 'read'
  | 'reread'
  | 'wrong_try'
  /** A wrong try was the last of the budget. At most once an hour for a secret, because a try takes that to grow back. */
  | 'tries_exhausted';

/** Delivers the events of secrets that have a subscription. */
export type Delivery = {
  /**
   * Takes room for the event of a read that is about to end a secret.
   * @returns undefined without room: then the event is due at once, for any process to take from the store.
   */
  reserve(notify: Notify, now: number): Reservation | undefined;
  /** An event was written that is due now. */
  wake(): void;
};
/** Ends with exactly one of the two calls. */
export type Reservation = {
  /** Until when this process holds the event. */
  leaseUntil: number;
  /** The event was written. */
  start(event: HeldEvent): void;
  /** The event was not written, or may have been: then it is found in the store after the lease. */
  cancel(): void;
};
/** As `EventStore` returns them. */
export type HeldEvent = {
  id: Uint8Array;
  type: 'read';
  occurredAt: number;
  attempts: number;
  dueAt: number;
  notify: Notify;
};

export type ReadingParts = {
  store: SecretStore;
  ring: KeyRing;
  gate: PhraseGate;
  clock: Clock;
  onEvent(event: ReadEvent, requestId?: string): void;
  delivery: Delivery;
  /**
   * Secrets created at this instant or before may have been read already, and are never handed out again.
   * @throws AppError STORAGE_UNAVAILABLE while the instant is unknown.
   */
  refusedUntil(): number;
};
type Reader = {
  key: SecretKey;
  proof: string | undefined;
  idempotencyKey: string | undefined;
  requestId: string | undefined;
  room: AnswerRoom | undefined;
};
type FoundUnanswered = Extract<Found, { state: 'requested' }>;
/** What can be read. */
type Readable = Exclude<Found, { state: 'requested' }>;
type Seen = { found: Readable; opener: Opener; label: Label | undefined };

export function createReading(parts: ReadingParts): Reading {
  return {
    async look(text) {
      const key = parseSecret(text);
      const found = await findSecret(parts, key);
      if (found.state === 'requested') return lookAtUnanswered(parts, key, found);
      if (found.state !== 'waiting') throw new AppError('KEY_NOT_FOUND');
      const { envelope, expiresAt } = found;
      const label = holdsJwe(envelope) ? prepare(parts, key, found).openLabel() : undefined;
      return { needsPhrase: needsPhrase(envelope), expiresAt, ...(label && { sealed: describeLabel(label) }) };
    },

    async read(text, { proof, phrase, idempotencyKey, requestId, room }) {
      const reader = { key: parseSecret(text), proof, idempotencyKey, requestId, room };
      const seen = await see(parts, reader);
      if (!seen.opener.salt) return take(parts, reader, seen);
      if (!phrase) throw new AppError('PHRASE_REQUIRED');
      return parts.gate.run(reader.key.text, (hashPhrase) => readWithPhrase(parts, reader, phrase, hashPhrase));
    },
  };
}

/** What the asker sees. */
function lookAtUnanswered(
  { ring }: ReadingParts,
  key: SecretKey,
  { expiresAt, ...found }: FoundUnanswered,
): Unanswered {
  const { id } = key;
  const asked = openRequest(ring, requestTokenOf(key.bytes), { id, expiresAt, ...found }, found.envelope);
  if (!asked) throw withoutMasterKey();
  return { answered: false, ...(asked.note && { note: asked.note }), expiresAt };
}

/** Finds what this reader may act on: a copy is only for the reader that claimed the secret. */
async function see(parts: ReadingParts, { key, proof, idempotencyKey, room }: Reader): Promise<Seen> {
  const found = await findSecret(parts, key);
  if (found.state === 'requested') throw new AppError('NOT_ANSWERED');
  const opener = prepare(parts, key, found, idempotencyKey);
  if (found.state === 'copy' && !opener.claimTag?.equals(found.claimTag)) throw new AppError('KEY_NOT_FOUND');
  const label = opener.openLabel();
  if (label?.proofHash && !isRightProof(label.proofHash, proof)) throw new AppError('PROOF_REQUIRED');
  room?.hold(found.envelope.length); // the path alone takes no room
  return { found, opener, label };
}

function prepare({ ring }: ReadingParts, key: SecretKey, found: Readable, idempotencyKey?: string): Opener {
  const identity = { id: key.id, createdAt: found.createdAt, expiresAt: found.expiresAt };
  const opener = createOpener(ring, key.bytes, identity, found.envelope, idempotencyKey);
  if (!opener) throw withoutMasterKey();
  return opener;
}

async function readWithPhrase(
  parts: ReadingParts,
  reader: Reader,
  phrase: string,
  hashPhrase: HashPhrase,
): Promise<Read> {
  const seen = await see(parts, reader); // again, because the request may have waited in the queue
  const { opener } = seen;
  return withTry(parts, reader.key, async (triesLeft) => {
    const phraseKey = await hashPhrase(normalisePhrase(phrase), opener.salt as Uint8Array);
    if (!opener.isRightPhrase(phraseKey)) {
      parts.onEvent('wrong_try');
      if (triesLeft === 0) parts.onEvent('tries_exhausted', reader.requestId);
      throw new AppError('WRONG_PHRASE', { members: { tries_left: triesLeft } });
    }
    return take(parts, reader, seen, phraseKey);
  });
}

/** Takes a try, and gives it back unless the phrase was found wrong or the outcome is unknown. */
async function withTry<T>(
  { store, clock }: ReadingParts,
  { id }: SecretKey,
  check: (triesLeft: number) => Promise<T>,
): Promise<T> {
  const reservation = await store.reserveTry(id, clock());
  if (!reservation) throw new AppError('KEY_NOT_FOUND');
  if (!reservation.granted) {
    throw new AppError('TOO_MANY_TRIES', { retryAfterSeconds: Math.ceil(reservation.retryAfterMs / 1000) });
  }
  try {
    return await check(reservation.triesLeft);
  } catch (error) {
    if (!spendsTry(error)) await store.refundTry(id);
    throw error;
  }
}

async function take(parts: ReadingParts, reader: Reader, first: Seen, phraseKey?: Uint8Array): Promise<Read> {
  let seen = first;
  await reader.room?.takeTurn();
  for (let looks = 1; ; looks++) {
    const text = seen.opener.open(phraseKey); // before the claim: a secret that does not open must not be used up
    reader.room?.reserve(text);
    if (await end(parts, reader.key, seen, text, phraseKey)) {
      parts.onEvent(seen.found.state === 'waiting' ? 'read' : 'reread');
      return { secret: text.toString(), ...(seen.label && { sealed: describeLabel(seen.label) }) };
    }
    // Lost. The winner may be another request of this reader: then there is a copy to find.
    if (!reader.idempotencyKey || looks === MAX_LOOKS) throw new AppError('KEY_NOT_FOUND');
    seen = await see(parts, reader);
  }
}

/** One atomic step with one winner. @returns false when another request was faster, or the time is over. */
function end(
  parts: ReadingParts,
  { id }: SecretKey,
  { found, opener }: Seen,
  text: Buffer,
  phraseKey?: Uint8Array,
): Promise<boolean> {
  const { store } = parts;
  const { claimTag } = opener;
  const refundTry = phraseKey !== undefined;
  const now = parts.clock();
  if (found.state === 'copy') {
    return store.reread(id, now, { claimTag: found.claimTag, maxReads: MAX_READS, refundTry });
  }
  const copy = claimTag && { envelope: opener.sealCopy(text, phraseKey), claimTag, until: now + REREAD_MS };
  const options = { copy, refundTry, share: found.share };
  return found.notify ? claimWithEvent(parts, id, now, options, found.notify) : store.claim(id, now, options);
}

/** The claim writes the event, so that an event without room here is not lost. */
async function claimWithEvent(
  { store, delivery }: ReadingParts,
  id: Uint8Array,
  now: number,
  options: ClaimOptions,
  notify: Notify,
): Promise<boolean> {
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
