import type { ExecutionContext } from 'ava';
import type { Customer, CustomerStore } from '../../src/business/store.ts';
import type { StoreLimits } from '../../src/limits/limits.ts';
import type { SecretStore } from '../../src/secrets/store.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { storedBytes } from '../../src/storage/usage.ts';
import { until } from '../support/process/program.ts';
import type { Engine } from '../support/storage/storage.ts';
import { openInProcess } from './contract/store-process.ts';
import { CREATED_AT, countOf, creator, times } from './contract/world.ts';

type CustomerWorld = {
  customers: CustomerStore;
  secrets: SecretStore;
  url: string;
  open(limits?: Partial<StoreLimits>): Promise<Storage>;
  close(): Promise<void>;
};

const NOW = CREATED_AT;
const PROCESSES = 3;
const ROUNDS = 1000;
const LONGEST_NAME = '\u{1F511}'.repeat(200);

let made = 0;

/** Ids have 32 characters; those of later calls are greater. */
export function newCustomer(given: Partial<Customer> = {}): Customer {
  made += 1;
  const id = made.toString(16).padStart(32, '0');
  return { id, name: `name ${made}`, dob: '1999-12-31', updatedAt: NOW, ...given };
}

/** Every engine passes this suite: what `CustomerStore` promises. */
export function customerStoreContract(engine: Engine): void {
  const test = (
    title: string,
    run: (t: ExecutionContext, world: CustomerWorld) => Promise<void>,
    limits?: Partial<StoreLimits>,
  ): void => {
    engine.test(`${engine.name}: customers: ${title}`, async (t) => {
      const { url, open } = await engine.place(t);
      const { customers, secrets, close } = await open(limits);
      await run(t, { customers, secrets, url, open, close });
    });
  };

  async function createAll(store: CustomerStore, all: readonly Customer[]): Promise<void> {
    for (const customer of all) await store.createCustomer(customer);
  }

  test('they come back as they were given, in the order of ids, also when it is opened again', async (t, world) => {
    const { customers } = world;
    t.deepEqual(await customers.listCustomers(undefined, 100), []);
    t.deepEqual(await customers.youngestCustomers(100), []);
    const names = ['Роман Романов', '山田 太郎', 'عمر', 'e\u0301 is not \u00e9', ' \u0000 "\\\n', LONGEST_NAME, '$ne'];
    const all = names.map((name, index) => newCustomer({ name, updatedAt: NOW + index }));
    for (const customer of all.toReversed()) t.is(await customers.createCustomer(customer), 'created');
    t.deepEqual(await customers.listCustomers(undefined, 100), all);
    await world.close();
    t.deepEqual(await (await world.open()).customers.listCustomers(undefined, 100), all);
  });

  test('pages continue after an id, also after one that is gone', async (t, { customers }) => {
    const all = Array.from({ length: 10 }, () => newCustomer());
    await createAll(customers, all);
    const [first, second, third] = all as [Customer, Customer, Customer];
    t.deepEqual(await customers.listCustomers(undefined, 3), all.slice(0, 3));
    t.deepEqual(await customers.listCustomers(third.id, 3), all.slice(3, 6));
    t.deepEqual(await customers.listCustomers(all[8]?.id, 3), all.slice(9));
    t.deepEqual(await customers.listCustomers(all[9]?.id, 3), []);
    await customers.deleteCustomer(second.id);
    t.deepEqual(await customers.listCustomers(second.id, 2), all.slice(2, 4));
    t.deepEqual(await customers.listCustomers(undefined, 2), [first, third]);
  });

  test('the youngest come first; of one day, the one created last', async (t, { customers, open }) => {
    const dobs = ['2000-01-01', '0001-01-01', '1999-12-31', '2000-01-01', '2066-01-02', '1900-02-28', '9999-12-31'];
    const all = dobs.map((dob) => newCustomer({ dob }));
    const other = (await open()).customers;
    for (const [n, customer] of all.entries()) await (n % 2 ? other : customers).createCustomer(customer);
    const expected = [6, 4, 3, 0, 2, 5, 1].map((n) => all[n]) as Customer[];
    t.deepEqual(await customers.youngestCustomers(100), expected);
    t.deepEqual(await other.youngestCustomers(3), expected.slice(0, 3));
    const last = all[1] as Customer;
    await customers.updateCustomer(last.id, { dob: '2055-05-05' }, NOW);
    t.deepEqual(await other.youngestCustomers(3), [expected[0], expected[1], { ...last, dob: '2055-05-05' }]);
  });

  test('an update changes what it names and nothing else', async (t, { customers }) => {
    const [first, second] = [newCustomer(), newCustomer()];
    await createAll(customers, [first, second]);
    const renamed = { ...first, name: 'новое', updatedAt: NOW + 1 };
    t.deepEqual(await customers.updateCustomer(first.id, { name: 'новое' }, NOW + 1), renamed);
    const moved = { ...renamed, dob: '2001-02-03', updatedAt: NOW + 2 };
    t.deepEqual(await customers.updateCustomer(first.id, { dob: '2001-02-03' }, NOW + 2), moved);
    const both = { ...moved, name: 'b', dob: '1950-01-01', updatedAt: NOW + 3 };
    t.deepEqual(await customers.updateCustomer(first.id, { name: 'b', dob: '1950-01-01' }, NOW + 3), both);
    t.deepEqual(await customers.updateCustomer(first.id, {}, NOW + 4), { ...both, updatedAt: NOW + 4 });
    t.deepEqual(await customers.listCustomers(undefined, 10), [{ ...both, updatedAt: NOW + 4 }, second]);
  });

  test('one that is not there is neither updated nor deleted', async (t, { customers }) => {
    const { id } = newCustomer();
    const there = newCustomer();
    await customers.createCustomer(there);
    t.is(await customers.updateCustomer(id, { name: 'x' }, NOW), undefined);
    t.false(await customers.deleteCustomer(id));
    t.true(await customers.deleteCustomer(there.id));
    t.false(await customers.deleteCustomer(there.id));
    t.is(await customers.updateCustomer(there.id, { name: 'x' }, NOW), undefined);
    t.deepEqual(await customers.listCustomers(undefined, 10), []);
  });

  test('an id is there once', async (t, { customers }) => {
    const customer = newCustomer();
    await customers.createCustomer(customer);
    await t.throwsAsync(customers.createCustomer({ ...customer, name: 'other' }));
    t.deepEqual(await customers.listCustomers(undefined, 10), [customer]);
  });

  test('of many that delete one customer, one did, and no update brings it back', async (t, { customers }) => {
    for (let round = 0; round < ROUNDS; round++) {
      const customer = newCustomer();
      await customers.createCustomer(customer);
      const [first, updated, second] = await Promise.all([
        customers.deleteCustomer(customer.id),
        customers.updateCustomer(customer.id, { name: 'x' }, NOW),
        customers.deleteCustomer(customer.id),
      ]);
      if (first === second) t.fail(`${first} twice`);
      if (updated !== undefined && updated !== 'full' && updated.name !== 'x') t.fail('another one');
    }
    t.deepEqual(await customers.listCustomers(undefined, 10), []);
  });

  test('updates of several processes at once lose none of each other', async (t, { customers, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const customer = newCustomer();
    await customers.createCustomer(customer);
    for (let round = 0; round < 100; round++) {
      const dob = `2000-01-${String((round % 28) + 1).padStart(2, '0')}`;
      await Promise.all([
        processes[0]?.updateCustomer(customer.id, { name: `${round}` }, NOW + round),
        processes[1]?.updateCustomer(customer.id, { dob }, NOW + round),
      ]);
      t.like((await customers.listCustomers(undefined, 1))[0], { name: `${round}`, dob });
    }
    const gone = await Promise.all(processes.map(({ deleteCustomer }) => deleteCustomer(customer.id)));
    t.is(countOf(gone, true), 1);
  });

  test('kill -9 of who creates them loses none that was acknowledged', async (t, { customers, url }) => {
    const writer = await openInProcess(t, url);
    const acknowledged: Customer[] = [];
    const lanes = times(8, async () => {
      for (;;) {
        const customer = newCustomer();
        await writer.createCustomer(customer);
        if (acknowledged.push(customer) === 60) await writer.kill();
      }
    });
    await t.throwsAsync(lanes, { message: 'the process ended' });
    const there = new Map((await customers.listCustomers(undefined, 1000)).map((customer) => [customer.id, customer]));
    t.true(acknowledged.length >= 60);
    t.deepEqual(
      acknowledged.filter(({ id, name }) => there.get(id)?.name !== name),
      [],
    );
  });

  test(
    'they count towards everything stored, as secrets do, until they are deleted',
    async (t, { customers, secrets }) => {
      const isFull = async () => (await secrets.admit(creator().client, NOW))?.reason === 'full'; // stores nothing
      const kept: Customer[] = [];
      for (let outcome = 'created'; outcome === 'created' && kept.length < 1000; ) {
        const customer = newCustomer({ name: 'x'.repeat(200) });
        outcome = await customers.createCustomer(customer);
        if (outcome === 'created') kept.push(customer);
        else t.is(outcome, 'full');
      }
      t.true(kept.length >= 20 && kept.length < 1000, `${kept.length}`);
      await until('no room for a secret', isFull);
      const [first, second] = kept as [Customer, Customer];
      const grow = () => customers.updateCustomer(first.id, { name: LONGEST_NAME }, NOW);
      await until('no room for a longer name', async () => (await grow()) === 'full');
      t.is(await customers.updateCustomer(newCustomer().id, { name: LONGEST_NAME }, NOW), undefined);
      t.like(await customers.updateCustomer(first.id, { name: 'y'.repeat(200) }, NOW), { name: 'y'.repeat(200) });
      t.like(await customers.updateCustomer(first.id, { dob: '2000-01-01' }, NOW), { dob: '2000-01-01' });
      t.true((await customers.listCustomers(undefined, 1000)).length >= kept.length, 'reading goes on');
      t.true(await customers.deleteCustomer(second.id));
      for (const { id } of [first, ...kept.slice(2)]) t.true(await customers.deleteCustomer(id));
      await until('room', async () => !(await isFull()));
      const more = () => customers.createCustomer(newCustomer({ name: 'x'.repeat(200) }));
      await until('room for a customer', async () => (await more()) === 'created');
    },
    { maxBytes: 40 * storedBytes(200) },
  );
}

/** Every verb, ready to be called. */
export function customerVerbsOn(customers: CustomerStore): Record<keyof CustomerStore, () => Promise<unknown>> {
  return {
    createCustomer: () => customers.createCustomer(newCustomer()),
    updateCustomer: () => customers.updateCustomer(newCustomer().id, { name: 'x' }, NOW),
    deleteCustomer: () => customers.deleteCustomer(newCustomer().id),
    youngestCustomers: () => customers.youngestCustomers(100),
    listCustomers: () => customers.listCustomers(undefined, 100),
  };
}
