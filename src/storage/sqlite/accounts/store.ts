import type { SQLOutputValue } from 'node:sqlite';
import type { Account, AccountStore, Role } from '../../../auth/accounts/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { AccountProcedures } from './procedures.ts';

/** In the order of `accountOf`. */
export const ACCOUNT_COLUMNS = [
  ...['id', 'email', 'password_hash', 'role', 'profile', 'created_at', 'version', 'disabled_at'],
] as const;
const COLUMNS = ACCOUNT_COLUMNS.join();

/** Accounts in SQLite. */
export function createSqliteAccountStore(commit: GroupCommit<AccountProcedures>, reader: Reader): AccountStore {
  const byId = reader.prepare(`SELECT ${COLUMNS} FROM accounts WHERE id = ?`);
  const byEmail = reader.prepare(`SELECT ${COLUMNS} FROM accounts WHERE email = ?`);
  const after = reader.prepareList(`SELECT ${COLUMNS} FROM accounts WHERE id > ? ORDER BY id LIMIT ?`);

  return {
    create: async ({ id, email, passwordHash, role, profile, createdAt }) =>
      commit.run('createAccount', id, email, passwordHash, role, profile, createdAt),

    async find(id) {
      const found = await byId(id);
      return found && accountOf(found);
    },

    async findByEmail(email) {
      const found = await byEmail(email);
      return found && accountOf(found);
    },

    list: async (last = '', limit) => (await after(last, limit)).map(accountOf),

    rehash: async (id, from, to) => commit.run('rehash', id, from, to),

    setPassword: async (id, passwordHash) => commit.run('setPassword', id, passwordHash),

    changePassword: async ({ id, version }, sessionId, passwordHash) =>
      commit.run('changePassword', id, version, sessionId, passwordHash),

    setProfile: async (id, from, to) => commit.run('setProfile', id, from, to),

    setDisabled: async (id, disabledAt) => commit.run('setDisabled', id, disabledAt ?? null),

    delete: async (id, version) => commit.run('deleteAccount', id, version ?? null),
  } satisfies AccountStore;
}

export function accountOf(row: readonly SQLOutputValue[]): Account {
  const [id, email, passwordHash, role, profile, createdAt, version, disabledAt] = row;
  return {
    id: id as string,
    email: email as string,
    passwordHash: passwordHash as string,
    role: role as Role,
    profile: profile as string,
    createdAt: createdAt as number,
    version: version as number,
    disabledAt: (disabledAt as number | null) ?? undefined,
  };
}
