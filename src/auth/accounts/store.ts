/**
 * What accounts need from an engine. Every verb is one atomic step across processes, and durable once it resolves. An
 * engine that cannot answer, or does not know whether it has written, rejects with AppError STORAGE_UNAVAILABLE.
 *
 * Instants are ms since the epoch. An email address is compared as it is: callers give it in its one form.
 */
export interface AccountStore {
  /** Exactly one of N callers with one email gets `created`. `full`: the limit on everything stored would be exceeded. */
  create(account: NewAccount): Promise<'created' | 'taken' | 'full'>;

  findByEmail(email: string): Promise<Account | undefined>;

  /** By id, in the order of ids. @param after the id before the first one; undefined for the beginning. */
  list(after: string | undefined, limit: number): Promise<readonly Account[]>;

  /** Replaces the hash by another one of the same password, if it still is `from`. Sessions stay. @returns whether it was. */
  rehash(id: string, from: string, to: string): Promise<boolean>;

  /** Sets another password and ends all sessions. @returns false if there is no such account. */
  setPassword(id: string, passwordHash: string): Promise<boolean>;

  /**
   * Disables an account, or with undefined enables it again. Either way all its sessions end.
   * @returns false if there is no such account.
   */
  setDisabled(id: string, disabledAt: number | undefined): Promise<boolean>;

  /** Removes an account with everything of it, and ends its sessions. @returns false if there is no such account. */
  delete(id: string): Promise<boolean>;
}

export type Role = 'admin' | 'member';

export type NewAccount = {
  /** 22 characters of base64url: 16 random bytes. */
  id: string;
  email: string;
  /** In the PHC string format. */
  passwordHash: string;
  role: Role;
  /** A JSON object. */
  profile: string;
  createdAt: number;
};

export type Account = NewAccount & {
  /** From 1. Grows with each change that ends all sessions, so that a log-in that was verified before creates none. */
  version: number;
  disabledAt: number | undefined;
};
