import { setTimeout as sleep } from 'node:timers/promises';
import { createCustomers } from '../../business/customers.ts';
import type { Config } from '../../config/config.ts';
import type { Storage } from '../../storage/storage.ts';
import { EXIT, type Exit, Failure, type Terminal } from '../terminal.ts';
import { withStorage } from './with-storage.ts';

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
  await withStorage(terminal, config, async (storage, accounts) => {
    await untilItAnswers(storage);
    if (await storage.accounts.findByEmail(EMAIL)) return;
    await makeCustomers(terminal, storage);
    await accounts.create({ email: EMAIL, password: PASSWORD, role: 'member' });
  });
  terminal.say(`The demonstration has the account ${EMAIL}: README.md shows how to log in.`);
  return EXIT.fine;
}

async function makeCustomers(terminal: Terminal, { customers: store }: Storage): Promise<void> {
  const customers = createCustomers({ store, clock: terminal.now, onChange: () => {} });
  const { length: already } = (await customers.page(undefined, CUSTOMERS)).customers;
  for (let index = already; index < CUSTOMERS; index++) {
    await customers.create(customerOf(index), { userId: 'demo', requestId: 'demo' });
  }
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
