import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import { masterKeyIdIn } from '../../sealing/head.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';
import { openRecord, sealRecord } from '../../sealing/sealed.ts';
import type { SigningKeyStore } from './store.ts';

/** The life of an access token. */
export const ACCESS_TOKEN_MS = 5 * 60_000;
/** How long others may keep the list of keys: `max-age` of the answer. */
export const JWKS_MAX_AGE_MS = 5 * 60_000;
/** A key is in the list for this long before it signs: nobody's copy of the list is older. */
const LEAD_MS = 2 * JWKS_MAX_AGE_MS;
/** How long a key signs. */
export const ROTATION_MS = 30 * 24 * 60 * 60_000;
/** A key stays for this long after it signed its last token: clocks of hosts differ. */
const KEPT_MS = ACCESS_TOKEN_MS + 60_000;
/** Each time, another process has replaced the keys. */
const MAX_ATTEMPTS = 20;
const NO_MASTER_KEY = 'This server does not have the master key that its signing key needs';
const INFO = Buffer.from('hushbox v1 signing key');

export type SigningKey = {
  /** RFC 7638 thumbprint. */
  kid: string;
  /** As it is served (RFC 7517). */
  jwk: JWK;
  publicKey: KeyObject;
  /** From this instant (ms) until that of the next key. */
  signsFrom: number;
};

/** In the order in which they sign. */
export type KeySet = {
  all: readonly SigningKey[];
  /** The one that signs at this instant. @throws AppError MASTER_KEY_UNAVAILABLE. */
  signerAt(now: number): { kid: string; privateKey: KeyObject };
};

export type SigningKeyParts = {
  store: SigningKeyStore;
  ring: Pick<KeyRing, 'current' | 'find'>;
  clock: Clock;
};

export type SigningKeys = {
  /** All of them, as they are now in the store; makes the first, and the next when it is time. */
  load(): Promise<KeySet>;
  /**
   * Makes a new key. @param isRevoking it signs at once, and no token of before is good any more; otherwise it signs as
   * soon as everybody can know it.
   * @returns the instant from which it signs.
   */
  rotate(isRevoking: boolean): Promise<number>;
  /** Seals those under the current master key that are sealed under another one. @returns how many; 0 if others were faster. */
  reseal(): Promise<number>;
};

/** As stored. @param sealed the private key, as a sealed record whose id is `kid`. */
type Stored = { kid: string; jwk: JWK; sealed: string; signsFrom: number };

/** The ES256 keys of access tokens. The store decides which there are, so that all workers and hosts have one set. */
export function createSigningKeys({ store, ring, clock }: SigningKeyParts): SigningKeys {
  let parsed: { record: Uint8Array; keys: KeySet } | undefined;

  function parse(record: Uint8Array): KeySet {
    if (parsed && Buffer.compare(parsed.record, record) === 0) return parsed.keys;
    parsed = { record, keys: createKeySet(decode(record), ring) };
    return parsed.keys;
  }

  /** @param next returns the new set; undefined to leave the old one. */
  async function change(next: (old: readonly Stored[]) => Promise<readonly Stored[] | undefined>): Promise<KeySet> {
    for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
      const record = await store.read();
      const wanted = await next(record ? decode(record) : []);
      if (!wanted && record) return parse(record);
      const written = encode(wanted ?? []);
      if (await store.replace(record, written)) return parse(written);
    }
    throw new Error('too many processes replace the signing keys');
  }

  return {
    async load() {
      const record = await store.read();
      if (record) {
        const keys = parse(record);
        if (!isChangeDue(keys.all, clock())) return keys;
      }
      return change(async (old) => {
        const now = clock();
        if (!isChangeDue(old, now)) return undefined;
        const kept = withoutOver(old, now);
        if (kept.length === 0) return [await createKey(ring, now)];
        return isNextDue(kept, now) ? [...kept, await createKey(ring, now + LEAD_MS)] : kept;
      });
    },

    async rotate(isRevoking) {
      const keys = await change(async (old) => {
        const now = clock();
        if (isRevoking || old.length === 0) return [await createKey(ring, now)];
        const kept = withoutOver(old, now).filter(({ signsFrom }, index) => index === 0 || signsFrom <= now);
        return [...kept, await createKey(ring, now + LEAD_MS)];
      });
      return keys.all.at(-1)?.signsFrom ?? 0;
    },

    async reseal() {
      const record = await store.read();
      const old = record ? decode(record) : [];
      const fresh = old.map((stored) => resealed(stored, ring));
      const count = fresh.filter((stored, index) => stored !== old[index]).length;
      return count > 0 && (await store.replace(record, encode(fresh))) ? count : 0;
    },
  };
}

type Timed = Pick<Stored, 'signsFrom'>;

/** The clock may have been set back since the first key was made: it signs all the same. */
function signerIndex(keys: readonly Timed[], now: number): number {
  return Math.max(
    0,
    keys.findLastIndex(({ signsFrom }) => signsFrom <= now),
  );
}

function isNextDue(keys: readonly Timed[], now: number): boolean {
  const last = keys.at(-1);
  return !last || now >= last.signsFrom + ROTATION_MS - LEAD_MS;
}

function isChangeDue(keys: readonly Timed[], now: number): boolean {
  return isNextDue(keys, now) || withoutOver(keys, now).length < keys.length;
}

/** Without those whose last token is dead. */
function withoutOver<Kind extends Timed>(keys: readonly Kind[], now: number): Kind[] {
  return keys.filter((_key, index) => {
    const next = keys[index + 1];
    return !next || now < next.signsFrom + KEPT_MS;
  });
}

async function createKey(ring: Pick<KeyRing, 'current'>, signsFrom: number): Promise<Stored> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' }) as JWK;
  const kid = await calculateJwkThumbprint(jwk, 'sha256');
  const plain = privateKey.export({ format: 'der', type: 'pkcs8' });
  const sealed = sealRecord(ring.current, INFO, Buffer.from(kid), plain).toString('base64url');
  return { kid, jwk: { ...jwk, kid, alg: 'ES256', use: 'sig' }, sealed, signsFrom };
}

function openKey({ kid, sealed }: Stored, ring: Pick<KeyRing, 'find'>): Buffer | undefined {
  return openRecord(ring, INFO, Buffer.from(kid), Buffer.from(sealed, 'base64url'));
}

/** The ids of the master keys that the keys of a record are sealed under; one for each key. */
export function masterKeysIn(record: Uint8Array): string[] {
  return decode(record).flatMap((stored) => masterKeyOf(stored)?.toString('hex') ?? []);
}

function masterKeyOf({ sealed }: Stored): Buffer | undefined {
  return masterKeyIdIn(Buffer.from(sealed, 'base64url'));
}

/** @returns the same, if it is sealed under the current master key, or cannot be opened. */
function resealed(stored: Stored, ring: Pick<KeyRing, 'current' | 'find'>): Stored {
  const plain = masterKeyOf(stored)?.equals(ring.current.id) ? undefined : openKey(stored, ring);
  if (!plain) return stored;
  const sealed = sealRecord(ring.current, INFO, Buffer.from(stored.kid), plain).toString('base64url');
  return { ...stored, sealed };
}

function createKeySet(stored: readonly Stored[], ring: Pick<KeyRing, 'find'>): KeySet {
  const all = stored.map(({ kid, jwk, signsFrom }) => {
    return { kid, jwk, signsFrom, publicKey: createPublicKey({ key: jwk as never, format: 'jwk' }) };
  });
  const opened = new Map<string, KeyObject>();
  return {
    all,
    signerAt(now) {
      const signer = stored[signerIndex(stored, now)] as Stored;
      let privateKey = opened.get(signer.kid);
      if (!privateKey) {
        const key = openKey(signer, ring);
        if (!key) throw new AppError('MASTER_KEY_UNAVAILABLE', { detail: NO_MASTER_KEY, retryAfterSeconds: 60 });
        privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' });
        opened.set(signer.kid, privateKey);
      }
      return { kid: signer.kid, privateKey };
    },
  };
}

function encode(keys: readonly Stored[]): Buffer {
  return Buffer.from(JSON.stringify(keys));
}

function decode(record: Uint8Array): readonly Stored[] {
  return JSON.parse(Buffer.from(record).toString()) as Stored[];
}
