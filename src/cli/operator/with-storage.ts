import { type Accounts, createAccounts } from '../../auth/accounts/accounts.ts';
import { createPasswordRules } from '../../auth/accounts/password.ts';
import type { Config } from '../../config/config.ts';
import { hashAtOnce } from '../../hashing/argon2.ts';
import { openStorage } from '../../storage/open.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Terminal } from '../terminal.ts';

/** Opens the storage beside a service that may run, and its accounts by the rules for an operator; closes it at the end. */
export async function withStorage<Result>(
  terminal: Terminal,
  config: Config,
  run: (storage: Storage, accounts: Accounts) => Promise<Result>,
): Promise<Result> {
  const storage = await openStorage(config, {
    onLost: (error) => terminal.complain(`hushbox: ${error.message}`),
    onWarning: () => {}, // doctor says what is to be changed about the server
  });
  const { accounts: store } = storage;
  try {
    return await run(
      storage,
      createAccounts({ store, rules: createPasswordRules(), hash: hashAtOnce, clock: terminal.now }),
    );
  } finally {
    await storage.close();
  }
}
