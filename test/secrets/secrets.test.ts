import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { AppError } from '../../src/errors.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { createSecrets, type Secrets } from '../../src/secrets/secrets.ts';
import type { SecretStore } from '../../src/secrets/store.ts';
import { SQLITE } from '../support/storage/storage.ts';

const CREATE = { secret: 's', ttlMs: 60_000, receipt: true, client: Buffer.alloc(16, 'c'), notify: 'http://a.test/' };

type World = { secrets: Secrets; checked: string[]; wakes: number; reservations: string[] };

/** Each client may create one secret a minute. Keeps what was asked of the notifier and of delivery. */
async function createWorld(t: ExecutionContext, changes: Partial<SecretStore> = {}): Promise<World> {
  const { secrets: store } = await (await SQLITE.place(t)).open({ clientCreatesPerMinute: 1 });
  const world = { checked: [] as string[], wakes: 0, reservations: [] as string[] };
  const secrets = createSecrets({
    store: { ...store, ...changes },
    ring: createKeyRing([randomBytes(32)]),
    clock: () => Date.UTC(2066, 0, 1),
    onEvent: () => {},
    refusedUntil: () => 0,
    gate: { run: (_group, work) => work(async () => randomBytes(32)) },
    notifier: {
      check: async (url) => void world.checked.push(url),
      subscribe: () => ({ notify: { sealed: randomBytes(64), destination: randomBytes(16) }, webhookSecret: 'x' }),
    },
    delivery: {
      reserve: (_notify, now) => ({
        leaseUntil: now + 1,
        start: ({ dueAt }) => void world.reservations.push(`start ${dueAt - now}`),
        cancel: () => void world.reservations.push('cancel'),
      }),
      wake: () => {
        world.wakes += 1;
      },
    },
  });
  return Object.assign(world, { secrets });
}

test('a creation beyond the rate is refused before its address is looked up', async (t) => {
  const { secrets, checked } = await createWorld(t);
  await secrets.create(CREATE);
  t.deepEqual(checked, [CREATE.notify]);
  await t.throwsAsync(secrets.create(CREATE), { code: 'RATE_LIMITED' });
  t.is(checked.length, 1);
});

test('a creation with phrase and address counts once towards the rate', async (t) => {
  const { secrets } = await createWorld(t);
  await t.notThrowsAsync(secrets.create({ ...CREATE, phrase: 'p' }));
  await t.throwsAsync(secrets.create({ ...CREATE, phrase: 'p' }), { code: 'RATE_LIMITED' });
});

test('a burn wakes delivery, because its event is due at once', async (t) => {
  const world = await createWorld(t);
  const { receiptKey } = await world.secrets.create(CREATE);
  t.is(world.wakes, 0);
  await world.secrets.burn(receiptKey as string);
  t.is(world.wakes, 1);
});

test('a read that ends a secret starts the delivery of its event, until the lease', async (t) => {
  const { secrets, reservations } = await createWorld(t);
  const { secretKey } = await secrets.create(CREATE);
  await secrets.read(secretKey, {});
  t.deepEqual(reservations, ['start 1']);
});

test('a read that loses, or whose outcome is unknown, gives its place in delivery back', async (t) => {
  for (const claim of [async () => false, () => Promise.reject(new AppError('STORAGE_UNAVAILABLE'))]) {
    const { secrets, reservations } = await createWorld(t, { claim });
    const { secretKey } = await secrets.create(CREATE);
    await t.throwsAsync(secrets.read(secretKey, {}));
    t.deepEqual(reservations, ['cancel']);
  }
});
