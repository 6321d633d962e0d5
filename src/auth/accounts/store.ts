/**
 * What accounts need from an engine. Every verb is one atomic step across processes, and durable once it resolves. An
 * engine that cannot answer, or does not know whether it has written, rejects with AppError STORAGE_UNAVAILABLE.
 *
 * Instants are ms since the epoch. An email address is compared as it is: callers give it in its one form.
 */
export interface AccountStore {
  /** Exactly one of N callers with one email gets `created`. `full`: the limit on everything stored would be exceeded. */
  create(account: NewAccount): Promise<'created' | 'taken' | 'full'>;

  find(id: string): Promise<Account | undefined>;

  findByEmail(email: string): Promise<Account | undefined>;

  /** By id, in the order of ids. @param after the id before the first one; undefined for the beginning. */
  list(after: string | undefined, limit: number): Promise<readonly Account[]>;

  /** Replaces the hash by another one of the same password, if it still is `from`. Sessions stay. @returns whether it was. */
  rehash(id: string, from: string, to: string): Promise<boolean>;

  /** Sets another password and ends all sessions and links. @returns false if there is no such account. */
  setPassword(id: string, passwordHash: string): Promise<boolean>;

  /**
   * As `setPassword`, if the account is enabled, still has this version, and this session was not ended; that session
   * stays.
   * @returns whether it was set.
   */
  changePassword(account: AccountVersion, sessionId: string, passwordHash: string): Promise<boolean>;

  /** Replaces the profile, if it still is `from`. `other`: it is not, or there is no such account. */
  setProfile(id: string, from: string, to: string): Promise<'set' | 'other' | 'full'>;

  /**
   * Disables an account, or with undefined enables it again. Either way all its sessions and links end.
   * @returns false if there is no such account.
   */
  setDisabled(id: string, disabledAt: number | undefined): Promise<boolean>;

  /**
   * Removes an account, its sessions and its links.
   * @param version that it must still have, if given.
   * @returns false if there is no such account.
   */
  delete(id: string, version?: number): Promise<boolean>;
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

/** Names an account as it was when it was looked at. */
export type AccountVersion = { id: string; version: number };

export type Account = NewAccount & {
  /**
   * From 1. Grows with each change of the password, of the address, and of whether it is enabled: a log-in that was
   * verified before creates no session, and links of before are not good.
   */
  version: number;
  disabledAt: number | undefined;
};
