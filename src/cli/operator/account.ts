import { closeSync, openSync, readSync } from 'node:fs';
import type { Accounts, Refused } from '../../auth/accounts/accounts.ts';
import type { Account } from '../../auth/accounts/store.ts';
import type { Config } from '../../config/config.ts';
import type { AccountCommand } from '../arguments.ts';
import { count, EXIT, type Exit, Failure, instant, isDatabaseThere, type Terminal } from '../terminal.ts';
import { withStorage } from './with-storage.ts';

/** More than any password has. */
const FILE_BYTES = 8192;

type Input = { terminal: Terminal; accounts: Accounts; command: AccountCommand };

/** Creates, shows and changes accounts. */
export async function runAccount(terminal: Terminal, config: Config, command: AccountCommand): Promise<Exit> {
  if (!isDatabaseThere(config)) {
    throw new Failure(`there is no database at ${config.sqlitePath}: the first start of the service creates it`);
  }
  return withStorage(terminal, config, (_storage, accounts) => VERBS[command.verb]({ terminal, accounts, command }));
}

const VERBS: Readonly<Record<AccountCommand['verb'], (input: Input) => Promise<Exit>>> = {
  async create({ terminal, accounts, command: { email, isAdmin, passwordFile } }) {
    const password = await readPassword(terminal, passwordFile);
    const created = await accounts.create({ email, password, role: isAdmin ? 'admin' : 'member' });
    refuseIf(created);
    terminal.say(`Created the account ${(created as { email: string }).email}${isAdmin ? ', an admin' : ''}.`);
    return EXIT.fine;
  },

  async list({ terminal, accounts, command: { json } }) {
    const all: Account[] = [];
    for await (const account of accounts.list()) all.push(account);
    if (json) terminal.say(JSON.stringify(all.map(describe)));
    else for (const account of all) terminal.say(lineOf(account));
    if (!json) terminal.complain(`${count(all.length, 'account')}.`);
    return EXIT.fine;
  },

  async disable({ terminal, accounts, command: { email } }) {
    refuseIf(await accounts.disable(email));
    terminal.say('Disabled the account. Its sessions have ended.');
    return EXIT.fine;
  },

  async enable({ terminal, accounts, command: { email } }) {
    refuseIf(await accounts.enable(email));
    terminal.say('Enabled the account.');
    return EXIT.fine;
  },

  async 'reset-password'({ terminal, accounts, command: { email, passwordFile } }) {
    refuseIf(await accounts.resetPassword(email, await readPassword(terminal, passwordFile)));
    terminal.say('Set the password. All sessions of the account have ended.');
    return EXIT.fine;
  },

  async delete({ terminal, accounts, command: { email, isConfirmed } }) {
    if (!isConfirmed) {
      const answer = await terminal.ask(
        'Delete the account, its sessions and everything it holds? Type yes to go on: ',
      );
      if (answer === undefined) throw new Failure('nothing was changed: without a terminal, confirm with --yes');
      if (answer.trim().toLowerCase() !== 'yes') {
        terminal.complain('Nothing was changed.');
        return EXIT.problems;
      }
    }
    refuseIf(await accounts.delete(email));
    terminal.say('Deleted the account. Its sessions have ended.');
    return EXIT.fine;
  },
};

/** @throws Failure where there is neither a file nor a terminal, or the two answers differ. */
async function readPassword(terminal: Terminal, file: string | undefined): Promise<string> {
  if (file !== undefined) return readLine(file);
  const password = await terminal.askHidden('Password: ');
  if (password === undefined) throw new Failure('nothing was changed: without a terminal, use --password-file FILE');
  if ((await terminal.askHidden('The same password again: ')) !== password) {
    throw new Failure('nothing was changed: the two passwords differ');
  }
  return password;
}

/** The first line of a file. */
function readLine(path: string): string {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(FILE_BYTES);
    const length = readSync(file, bytes);
    return (
      bytes
        .toString('utf8', 0, length)
        .replace(/^\ufeff/, '')
        .split(/\r?\n/, 1)[0] ?? ''
    );
  } finally {
    closeSync(file);
  }
}

const REASONS = {
  'no address': 'this is not an email address',
  taken: 'there is an account with this address already',
  full: 'the storage is full: raise STORAGE_MAX_BYTES',
  unknown: 'there is no account with this address',
} as const;

/** @throws Failure that says why nothing was changed. */
function refuseIf(outcome: Refused | object | undefined): void {
  if (!outcome || !('refused' in outcome)) return;
  const refused = outcome as Refused;
  throw new Failure(refused.refused === 'password' ? `the password ${refused.fault}` : REASONS[refused.refused]);
}

function describe({ id, email, role, createdAt, disabledAt }: Account): object {
  return {
    ...{ id, email, role, created_at: instant(createdAt) },
    disabled_at: disabledAt === undefined ? null : instant(disabledAt),
  };
}

function lineOf({ email, role, createdAt, disabledAt }: Account): string {
  const state = disabledAt === undefined ? '' : `, disabled ${instant(disabledAt)}`;
  return `${email}  ${role}, created ${instant(createdAt)}${state}`;
}
