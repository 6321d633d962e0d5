import type { Account, AccountVersion } from './store.ts';

/**
 * What the links of mails need from an engine. Every verb is one atomic step across processes, and durable once it
 * resolves. An engine that cannot answer, or does not know whether it has written, rejects with AppError
 * STORAGE_UNAVAILABLE.
 *
 * A link can be used once, while `now < expiresAt`. One for an account is good only while the account is enabled and still
 * has the version that it had: whatever raises the version ends them. One that creates an account is good only while no
 * account has its address; it ends before its address gets free again. Links count towards everything stored.
 */
export interface LinkStore {
  /** Of the links with the same `owner` and kind only the newest `most` stay. `full`: nothing was added. */
  addLink(link: NewLink, most: number): Promise<'added' | 'full'>;

  /** A link that is good. */
  findLink(tokenHash: Uint8Array, now: number): Promise<Link | undefined>;

  /**
   * The registration of an address that waits for one of its links.
   * @returns undefined also if there are several, told apart by the hash of their password: each stands alone, and one of
   *   them may be somebody else's.
   */
  soleRegistration(email: string, now: number): Promise<Registration | undefined>;

  /**
   * Creates the account of a registration, with an id, and ends the other links of its address: one of N callers does,
   * whichever of these links they have.
   * @returns undefined if the link is not good.
   */
  activate(tokenHash: Uint8Array, accountId: string, now: number): Promise<Account | undefined>;

  /** Sets another password; ends all sessions and all other links of the account. @returns false if it is not good. */
  resetPassword(tokenHash: Uint8Array, passwordHash: string, now: number): Promise<boolean>;

  /**
   * Gives the account another address, and ends the links of both addresses and of the account. Sessions stay.
   * @returns false if the link is not good, or another account has the address.
   */
  changeEmail(tokenHash: Uint8Array, now: number): Promise<boolean>;

  /** Removes up to `limit` links that have expired. @returns how many; fewer than `limit` means that none is left. */
  sweepLinks(now: number, limit: number): Promise<number>;
}

export type LinkKind = NewLink['kind'];

export type Registration = { email: string; passwordHash: string; profile: string };

/** `tokenHash` is SHA-256, 32 bytes, of its token. Instants are ms since the epoch. */
export type NewLink = { tokenHash: Uint8Array; createdAt: number; expiresAt: number } & (
  | ({ kind: 'activate' } & Registration)
  | { kind: 'reset'; account: AccountVersion }
  /** @param email the address that the account gets. */
  | { kind: 'change'; account: AccountVersion; email: string }
);

export type Link = { createdAt: number } & (
  | { kind: 'activate'; email: string }
  | { kind: 'reset'; account: Account }
  | { kind: 'change'; account: Account; email: string }
);

/** Whose link it is: an address, or the id of an account. None of the two can be the other. */
export function ownerOf(link: NewLink): string {
  return link.kind === 'activate' ? link.email : link.account.id;
}
