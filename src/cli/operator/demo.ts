import { setTimeout as sleep } from 'node:timers/promises';
import { createAccounts } from '../../auth/accounts/accounts.ts';
import { createPasswordRules } from '../../auth/accounts/password.ts';
import { createCustomers } from '../../business/customers.ts';
import type { Config } from '../../config/config.ts';
import { hashPhraseSync } from '../../hashing/argon2.ts';
import { openStorage } from '../../storage/open.ts';
import type { Storage } from '../../storage/storage.ts';
import { EXIT, type Exit, Failure, type Terminal } from '../terminal.ts';

const EMAIL = 'demo@example.com';
const PASSWORD = 'demo-password';
const CUSTOMERS = 200;
/** A database that starts together with this command needs time. */
const PATIENCE_MS = 60_000;

const FIRST_NAMES = ['Anna', 'Роман', 'Mei', 'Jürgen', 'Zoë', 'Omar', 'Łukasz', 'Aiko', 'Ingrid', 'Дарья'];
const LAST_NAMES = ['Novak', 'Романов', 'Chen', 'Müller', "O'Brien", 'Haddad', 'Wójcik', 'Tanaka', 'Berg', 'Silva'];

/**
 * Fills a database for trials: the account of the demonstration and its customers, once. The account comes last, so that
 * it shows that everything is there.
 */
export async function makeDemoData(terminal: Terminal, config: Config): Promise<Exit> {
  if (config.NODE_ENV === 'production') {
    throw new Failure('production gets no demonstration account: everybody knows its password');
  }
  const storage = await openStorage(config, {
    onLost: (error) => terminal.complain(`hushbox: ${error.message}`),
    onWarning: () => {}, // doctor says what is to be changed about the server
  });
  try {
    await untilItAnswers(storage);
    if (!(await storage.accounts.findByEmail(EMAIL))) await fill(terminal, storage);
    terminal.say(`The demonstration has the account ${EMAIL}: README.md shows how to log in.`);
    return EXIT.fine;
  } finally {
    await storage.close();
  }
}

async function fill(terminal: Terminal, { accounts, customers: store }: Storage): Promise<void> {
  const customers = createCustomers({ store, clock: terminal.now, onChange: () => {} });
  const { length: already } = (await customers.page(undefined, CUSTOMERS)).customers;
  for (let index = already; index < CUSTOMERS; index++) {
    await customers.create(customerOf(index), { userId: 'demo', requestId: 'demo' });
  }
  const hash = async (...input: Parameters<typeof hashPhraseSync>): Promise<Uint8Array> => hashPhraseSync(...input);
  const rules = createPasswordRules();
  await createAccounts({ store: accounts, rules, hash, clock: terminal.now }).create({
    email: EMAIL,
    password: PASSWORD,
    role: 'member',
  });
}

function customerOf(index: number): { name: string; dob: string } {
  const name = `${FIRST_NAMES[index % 10]} ${LAST_NAMES[Math.floor(index / 10) % 10]}`;
  const [year, month, day] = [1940 + ((index * 37) % 70), 1 + ((index * 7) % 12), 1 + ((index * 11) % 28)];
  return { name, dob: [year, month, day].map((part) => String(part).padStart(2, '0')).join('-') };
}

async function untilItAnswers({ ping }: Storage): Promise<void> {
  for (const endAt = performance.now() + PATIENCE_MS; ; await sleep(250)) {
    try {
      return await ping();
    } catch (error) {
      if (performance.now() > endAt) throw error;
    }
  }
}
