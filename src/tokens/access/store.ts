/**
 * What access tokens need from an engine: one small record with the signing keys, and a name. Every verb is atomic across processes, and durable once it
 * resolves. An engine that cannot answer, or does not know whether it has written, rejects with AppError
 * STORAGE_UNAVAILABLE. A restore of an older database removes the record, and keeps the name.
 */
export interface SigningKeyStore {
  read(): Promise<Uint8Array | undefined>;

  /** Replaces the record, if it still is `from`; undefined stands for no record. @returns whether it was. */
  replace(from: Uint8Array | undefined, to: Uint8Array): Promise<boolean>;

  /** @returns the first name that was ever given. */
  nameOnce(name: string): Promise<string>;
}
