/**
 * What the signing keys need from an engine: one small record. Every verb is atomic across processes, and durable once it
 * resolves. An engine that cannot answer, or does not know whether it has written, rejects with AppError
 * STORAGE_UNAVAILABLE. A restore of an older database removes the record.
 */
export interface SigningKeyStore {
  read(): Promise<Uint8Array | undefined>;

  /** Replaces the record, if it still is `from`; undefined stands for no record. @returns whether it was. */
  replace(from: Uint8Array | undefined, to: Uint8Array): Promise<boolean>;
}
