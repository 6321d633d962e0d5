/** After NFC. */
export const PHRASE_MAX_BYTES = 1024;
/** NFC leaves at least one byte of 3.5, so a phrase of more bytes than this is always too long. */
const MAX_BYTES_BEFORE = 4 * PHRASE_MAX_BYTES;

/**
 * Runs work that hashes phrases. It takes a place in a bounded queue first (AppError BUSY if the queue is full). Work of
 * the same `group` runs one at a time, so that guesses at one secret wait for each other and hold only one slot.
 */
export type PhraseGate = {
  run<T>(group: string, work: (hashPhrase: HashPhrase) => Promise<T>): Promise<T>;
};

/** argon2id; waits for a free slot. `phrase` comes from `normalisePhrase`; the result has 32 bytes. */
export type HashPhrase = (phrase: Uint8Array, salt: Uint8Array) => Promise<Uint8Array>;

/** UTF-8 after NFC: two keyboards can compose the same letter differently. */
export function normalisePhrase(phrase: string): Buffer {
  return Buffer.from(phrase.normalize('NFC'));
}

/** Looks at the length first: the time that NFC takes can grow with its square, to a minute for 400 KB. */
export function isPhraseTooLong(phrase: string): boolean {
  return Buffer.byteLength(phrase) > MAX_BYTES_BEFORE || normalisePhrase(phrase).length > PHRASE_MAX_BYTES;
}
