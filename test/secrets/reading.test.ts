import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { parseSecretKey } from '../../src/secrets/keys.ts';
import { createSecrets, type Secrets } from '../../src/secrets/secrets.ts';
import type { SecretStore } from '../../src/secrets/store.ts';
import { SQLITE } from '../support/storage/storage.ts';
import { NO_WEBHOOKS } from '../support/webhooks/webhooks.ts';

const NOW = Date.UTC(2066, 0, 1);
const CREATE = { secret: 's', phrase: 'p', ttlMs: 60_000, receipt: false };

type World = { secrets: Secrets; store: SecretStore; hashes(): number };

/** @param between runs after each look at a secret, before anything else happens to it. */
async function createWorld(
  t: ExecutionContext,
  between: (store: SecretStore, looks: number) => unknown,
): Promise<World> {
  const { secrets: store } = await (await SQLITE.place(t)).open();
  let hashes = 0;
  let looks = 0;
  const secrets = createSecrets({
    store: {
      ...store,
      async find(id, now) {
        const found = await store.find(id, now);
        looks += 1;
        await between(store, looks);
        return found;
      },
    },
    ring: createKeyRing([randomBytes(32)]),
    clock: () => NOW,
    onEvent: () => {},
    refusedUntil: () => 0,
    gate: {
      run: (_group, work) =>
        work(async (phrase, salt) => {
          hashes += 1;
          return Buffer.concat([phrase, salt], 32);
        }),
    },
    ...NO_WEBHOOKS,
  });
  return { secrets, store, hashes: () => hashes };
}

test('a phrase is not checked for a secret that ends before a try is reserved', async (t) => {
  let key = '';
  const world = await createWorld(t, async (store, looks) => {
    // The first look is before the queue, the second one behind it.
    if (looks === 2) t.true(await store.claim(parseSecretKey(key)?.id as Buffer, NOW, { refundTry: false }));
  });
  key = (await world.secrets.create(CREATE)).secretKey;
  const hashes = world.hashes();
  await t.throwsAsync(world.secrets.read(key, { phrase: 'wrong' }), { code: 'KEY_NOT_FOUND' });
  t.is(world.hashes(), hashes);
});
