import type { NewAccount } from '../auth/accounts/store.ts';
import type { NewSecret, Notify } from '../secrets/store.ts';

const HEAD_BYTES = 256;
const INLINE_BYTES = 768;
const BLOCK_BYTES = 4096;

/** The size that a record counts for: its head, and its content, which is kept in blocks unless it is short. */
export function storedBytes(contentBytes: number): number {
  const inBlocks = Math.max(0, contentBytes - INLINE_BYTES);
  return HEAD_BYTES + (contentBytes - inBlocks) + BLOCK_BYTES * Math.ceil(inBlocks / BLOCK_BYTES);
}

/** The content of a waiting secret. */
export function contentBytesOf({
  envelope,
  notify,
}: { envelope: { length: number } } & Pick<NewSecret, 'notify'>): number {
  return envelope.length + (notify ? notifyBytesOf(notify) : 0);
}

/** The content of an event. */
function notifyBytesOf({ sealed, destination }: Notify): number {
  return sealed.length + destination.length;
}

/** The content of an account. The hash of its password, of about 100 bytes, is a part of the head. */
export function accountBytesOf({ email, profile }: Pick<NewAccount, 'email' | 'profile'>): number {
  return Buffer.byteLength(email) + Buffer.byteLength(profile);
}

/** The content of a link: of one that creates an account, as much as that account's. */
export function linkBytesOf({ email, profile }: { email: string; profile: string | null | undefined }): number {
  return accountBytesOf({ email, profile: profile ?? '' });
}
