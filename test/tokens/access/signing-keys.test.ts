import { randomBytes } from 'node:crypto';
import test from 'ava';
import { createKeyRing } from '../../../src/sealing/key-ring.ts';
import { createAccessTokens } from '../../../src/tokens/access/access-tokens.ts';
import {
  ACCESS_TOKEN_MS,
  createSigningKeys,
  JWKS_MAX_AGE_MS,
  ROTATION_MS,
  type SigningKeys,
} from '../../../src/tokens/access/signing-keys.ts';
import type { SigningKeyStore } from '../../../src/tokens/access/store.ts';

const KEYS = [randomBytes(32), randomBytes(32)] as const;

function createStore(): SigningKeyStore & { record: Uint8Array | undefined } {
  return {
    record: undefined,
    nameOnce: async (name) => name,
    async read() {
      return this.record;
    },
    async replace(from, to) {
      if (Buffer.compare(from ?? Buffer.alloc(0), this.record ?? Buffer.alloc(0)) !== 0) return false;
      this.record = to;
      return true;
    },
  };
}

function createHost(store: SigningKeyStore, clock: { now: number }, masterKeys = [KEYS[0]] as [Buffer, ...Buffer[]]) {
  const keys = createSigningKeys({ store, ring: createKeyRing(masterKeys), clock: () => clock.now });
  const tokens = createAccessTokens({ keys, issuer: async () => 'here', clock: () => clock.now });
  const of = { accountId: 'a', sessionId: 's' };
  return { keys, tokens, issue: async () => (await tokens.issue(of, clock.now + 10 * ROTATION_MS)).token };
}

async function kidsOf(keys: SigningKeys): Promise<string[]> {
  return (await keys.load()).all.map(({ kid }) => kid);
}

test('hosts that start at once make one key', async (t) => {
  const [store, clock] = [createStore(), { now: 1_000_000 }];
  const hosts = Array.from({ length: 8 }, () => createHost(store, clock));
  const all = await Promise.all(hosts.map(({ keys }) => kidsOf(keys)));
  t.is(new Set(all.flat()).size, 1);
  for (const host of hosts) t.truthy(await hosts[0]?.tokens.verify(await host.issue()));
});

test('what the storage cannot say is no verdict on a token', async (t) => {
  const clock = { now: 1_000_000 };
  const { keys, issue } = createHost(createStore(), clock);
  let isAway = true;
  const issuer = async (): Promise<string> => {
    if (isAway) throw new Error('away');
    return 'here';
  };
  const { verify } = createAccessTokens({ keys, issuer, clock: () => clock.now });
  const token = await issue();
  await t.throwsAsync(verify(token), { message: 'away' });
  isAway = false;
  t.like(await verify(token), { accountId: 'a' });
});

test('the next key is served before it signs, and the old one until its last token is dead', async (t) => {
  const [store, clock] = [createStore(), { now: 1_000_000 }];
  const host = createHost(store, clock);
  const first = (await kidsOf(host.keys))[0] as string;
  const [start, lead] = [clock.now, 2 * JWKS_MAX_AGE_MS];
  clock.now = start + ROTATION_MS - lead - 1;
  t.deepEqual(await kidsOf(host.keys), [first]);
  clock.now += 1;
  const second = (await kidsOf(host.keys))[1] as string;
  t.truthy(second);
  const signer = async (): Promise<string> => (await host.keys.load()).signerAt(clock.now).kid;
  clock.now = start + ROTATION_MS - 1;
  t.is(await signer(), first);
  const last = await host.issue();
  clock.now += 1;
  t.is(await signer(), second);
  t.truthy(await host.tokens.verify(last));
  clock.now = start + ROTATION_MS + ACCESS_TOKEN_MS - 2_000;
  t.truthy(await host.tokens.verify(last), 'until it expires');
  clock.now = start + ROTATION_MS + ACCESS_TOKEN_MS + 60_000;
  t.deepEqual(await kidsOf(host.keys), [second]);
});

test('a rotation by hand signs when everybody can know its key; one that revokes, at once', async (t) => {
  const [store, clock] = [createStore(), { now: 1_000_000 }];
  const [host, other] = [createHost(store, clock), createHost(store, clock)];
  const before = await host.issue();
  t.is(await host.keys.rotate(false), clock.now + 2 * JWKS_MAX_AGE_MS);
  t.is((await kidsOf(other.keys)).length, 2);
  t.truthy(await other.tokens.verify(await host.issue()));
  t.is(await host.keys.rotate(false), clock.now + 2 * JWKS_MAX_AGE_MS, 'a key that signs nothing yet is replaced');
  t.is((await kidsOf(other.keys)).length, 2);
  t.truthy(await other.tokens.verify(before));
  t.is(await host.keys.rotate(true), clock.now);
  t.is((await kidsOf(other.keys)).length, 1);
  t.is(await other.tokens.verify(before), undefined, 'on another host, with its next request');
  t.truthy(await other.tokens.verify(await host.issue()));
});

test('keys stay when the master key is replaced, and are sealed under the new one', async (t) => {
  const [store, clock] = [createStore(), { now: 1_000_000 }];
  const token = await createHost(store, clock).issue();
  const both = createHost(store, clock, [KEYS[1], KEYS[0]]);
  t.truthy(await both.tokens.verify(token));
  t.is(await both.keys.reseal(), 1);
  t.is(await both.keys.reseal(), 0);
  const only = createHost(store, clock, [KEYS[1]]);
  t.truthy(await only.tokens.verify(await only.issue()));
  t.truthy(await only.tokens.verify(token));
  await t.throwsAsync(createHost(store, clock).issue(), { code: 'MASTER_KEY_UNAVAILABLE' });
});

test('no token outlives its session, and a clock that was set back still signs', async (t) => {
  const [store, clock] = [createStore(), { now: 1_000_000_000 }];
  const host = createHost(store, clock);
  const { expiresAt } = await host.tokens.issue({ accountId: 'a', sessionId: 's' }, clock.now + 5_500);
  t.is(expiresAt, clock.now + 5_000);
  clock.now -= 500_000_000;
  t.truthy(await host.tokens.verify(await host.issue()));
});

test('what was verified is asked again when it expires, and when the keys change', async (t) => {
  const [store, clock] = [createStore(), { now: 1_000_000 }];
  const host = createHost(store, clock);
  const token = await host.issue();
  for (let uses = 0; uses < 3; uses++) t.truthy(await host.tokens.verify(token));
  clock.now += ACCESS_TOKEN_MS;
  t.is(await host.tokens.verify(token), undefined);
  clock.now -= ACCESS_TOKEN_MS;
  t.truthy(await host.tokens.verify(token));
  store.record = undefined; // as after a restore
  t.is(await host.tokens.verify(token), undefined);
});
