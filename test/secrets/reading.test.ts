import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { AppError } from '../../src/errors.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { TRY_BURST } from '../../src/secrets/budget.ts';
import { parseSecretKey } from '../../src/secrets/keys.ts';
import type { HashPhrase, PhraseGate } from '../../src/secrets/phrases.ts';
import { createSecrets, type Secrets } from '../../src/secrets/secrets.ts';
import type { SecretStore } from '../../src/secrets/store.ts';
import { SQLITE } from '../support/storage/storage.ts';
import { NO_WEBHOOKS } from '../support/webhooks/webhooks.ts';

const NOW = Date.UTC(2066, 0, 1);

type World = { secrets: Secrets; store: SecretStore; key: string; id: Buffer; hashes: number };

const gateOf = (hashPhrase: HashPhrase): PhraseGate => ({ run: (_group, work) => work(hashPhrase) });

/** One secret with the phrase "p". The test may change how `world.secrets` hashes and what its store does. */
async function createWorld(
  t: ExecutionContext,
  { hashPhrase, ...changes }: { hashPhrase?: HashPhrase } & Partial<SecretStore> = {},
): Promise<World> {
  const { secrets: store } = await (await SQLITE.place(t)).open();
  const parts = {
    store,
    ring: createKeyRing([randomBytes(32)]),
    clock: () => NOW,
    onEvent: () => {},
    refusedUntil: () => 0,
    ...NO_WEBHOOKS,
  };
  const hash: HashPhrase = async (phrase, salt) => Buffer.concat([phrase, salt], 32);
  const create = createSecrets({ ...parts, gate: gateOf(hash) }).create;
  const { secretKey: key } = await create({ secret: 's', phrase: 'p', ttlMs: 60_000, receipt: false });
  const world = { store, key, id: parseSecretKey(key)?.id as Buffer, hashes: 0 };
  const counted: HashPhrase = (phrase, salt) => {
    world.hashes += 1;
    return (hashPhrase ?? hash)(phrase, salt);
  };
  const secrets = createSecrets({ ...parts, store: { ...store, ...changes }, gate: gateOf(counted) });
  return Object.assign(world, { secrets });
}

/** Tries that are left, after one more was taken and given back. */
async function triesLeft({ store, id }: World): Promise<number> {
  const reservation = await store.reserveTry(id, NOW);
  await store.refundTry(id);
  return reservation?.granted ? reservation.triesLeft + 1 : 0;
}

test('a phrase is not checked for a secret that ends before a try is reserved', async (t) => {
  const world = await createWorld(t, {
    async reserveTry(id, now) {
      t.true(await world.store.claim(id, now, { refundTry: false })); // another reader was faster
      return world.store.reserveTry(id, now);
    },
  });
  await t.throwsAsync(world.secrets.read(world.key, { phrase: 'wrong' }), { code: 'KEY_NOT_FOUND' });
  t.is(world.hashes, 0);
});

test('a phrase that could not be checked costs no try', async (t) => {
  const world = await createWorld(t, { hashPhrase: () => Promise.reject(new AppError('BUSY')) });
  await t.throwsAsync(world.secrets.read(world.key, { phrase: 'p' }), { code: 'BUSY' });
  t.is(await triesLeft(world), TRY_BURST);
});

test('a wrong phrase costs a try; a right one whose claim failed may cost it, because nobody knows the outcome', async (t) => {
  const world = await createWorld(t, { claim: () => Promise.reject(new AppError('STORAGE_UNAVAILABLE')) });
  await t.throwsAsync(world.secrets.read(world.key, { phrase: 'wrong' }), { code: 'WRONG_PHRASE' });
  t.is(await triesLeft(world), TRY_BURST - 1);
  await t.throwsAsync(world.secrets.read(world.key, { phrase: 'p' }), { code: 'STORAGE_UNAVAILABLE' });
  t.is(await triesLeft(world), TRY_BURST - 2);
});

test('a right phrase costs no try when the claim was surely not written', async (t) => {
  const failure = new AppError('STORAGE_UNAVAILABLE', { isNotWritten: true });
  const world = await createWorld(t, { claim: () => Promise.reject(failure) });
  for (let tries = 0; tries < 20; tries++) {
    await t.throwsAsync(world.secrets.read(world.key, { phrase: 'p' }), { is: failure });
  }
  t.is(await triesLeft(world), TRY_BURST);
});

test('a secret that does not open is not used up', async (t) => {
  const world = await createWorld(t, {
    async find(id, now) {
      const found = await world.store.find(id, now);
      if (!found) return undefined;
      const envelope = Buffer.from(found.envelope);
      envelope[envelope.length - 1] = (envelope.at(-1) as number) ^ 1;
      return { ...found, envelope };
    },
  });
  await t.throwsAsync(world.secrets.read(world.key, { phrase: 'p' }));
  t.is((await world.store.find(world.id, NOW))?.state, 'waiting');
  t.is(await triesLeft(world), TRY_BURST);
});
