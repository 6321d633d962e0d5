/** What a record is. If any member changes, what is sealed in the record no longer opens. */
export type Identity = { id: Uint8Array; createdAt: number; expiresAt: number };

export function encodeIdentity({ id, createdAt, expiresAt }: Identity): Buffer {
  const instants = Buffer.allocUnsafe(16);
  instants.writeDoubleBE(createdAt, 0);
  instants.writeDoubleBE(expiresAt, 8);
  return Buffer.concat([id, instants]);
}
