import { DESTINATION_BYTES } from '../outbox/store.ts';
import { createHmacKey, hkdf, hmac, sha256 } from '../sealing/hkdf.ts';
import type { KeyRing, MasterKey } from '../sealing/key-ring.ts';
import { randomBytes } from '../sealing/random.ts';
import { openRecord, sealRecord } from '../sealing/sealed.ts';
import { isRequestEvent } from './event-ids.ts';
import { fingerprintOf } from './payload.ts';
import { formatWebhookSecret } from './signature.ts';
import type { EventType } from './store.ts';

/** What is needed to report the end of a secret. */
export type Subscription = {
  url: string;
  /** The 64 bytes that its events are signed with. */
  secret: Uint8Array;
  /** `msg_` and 24 characters: that of the secret's own event (see `webhookIdOf`). */
  webhookId: string;
  /** See `fingerprintOf`. */
  fingerprint: string;
};

const SECRET_BYTES = 64;
const WEBHOOK_ID_PREFIX = 'msg_';
const WEBHOOK_ID_BYTES = 18;
const FINGERPRINT_BYTES = 16;
const URL_AT = SECRET_BYTES + WEBHOOK_ID_BYTES + FINGERPRINT_BYTES;

/**
 * A subscription at rest is a sealed record (sealing/sealed.ts) whose id is that of the secret. Its content: webhook secret
 * (64), webhook id (18), fingerprint (16), URL in UTF-8.
 */
const INFO = Buffer.from('hushbox v1 webhook');
const REQUEST_LABEL = Buffer.from('hushbox v1 webhook of a request');
const DESTINATION_INFO = Buffer.from('hushbox v1 webhook destination');

/** As stored. `destination` is the same for all URLs of one origin, and reveals nothing about it without the master key. */
export type SealedSubscription = { sealed: Buffer; destination: Buffer };

/** Makes the webhook of a new secret: its own secret, its id, and the stored form. */
export function createSubscription(
  ring: Pick<KeyRing, 'current'>,
  url: string,
  { id, text }: { id: Uint8Array; text: string },
): SealedSubscription & { webhookSecret: string } {
  const secret = randomBytes(SECRET_BYTES);
  const webhookId = WEBHOOK_ID_PREFIX + randomBytes(WEBHOOK_ID_BYTES).toString('base64url');
  const sealed = sealSubscription(ring.current, id, { url, secret, webhookId, fingerprint: fingerprintOf(text) });
  return {
    sealed,
    destination: destinationOf(ring.current, new URL(url).origin),
    webhookSecret: formatWebhookSecret(secret),
  };
}

export function sealSubscription(masterKey: MasterKey, id: Uint8Array, subscription: Subscription): Buffer {
  const { url, secret, webhookId, fingerprint } = subscription;
  const plain = Buffer.concat([
    secret,
    Buffer.from(webhookId.slice(WEBHOOK_ID_PREFIX.length), 'base64url'),
    Buffer.from(fingerprint, 'hex'),
    Buffer.from(url),
  ]);
  return sealRecord(masterKey, INFO, id, plain);
}

/**
 * @returns undefined if the format or the master key is unknown.
 * @throws Error if it does not open: tampered with, damaged, or another secret's.
 */
export function openSubscription(
  ring: Pick<KeyRing, 'find'>,
  id: Uint8Array,
  sealed: Uint8Array,
): Subscription | undefined {
  const plain = openRecord(ring, INFO, id, sealed);
  if (!plain) return undefined;
  const fingerprintAt = SECRET_BYTES + WEBHOOK_ID_BYTES;
  return {
    url: plain.toString('utf8', URL_AT),
    secret: plain.subarray(0, SECRET_BYTES),
    webhookId: WEBHOOK_ID_PREFIX + plain.toString('base64url', SECRET_BYTES, fingerprintAt),
    fingerprint: plain.toString('hex', fingerprintAt, URL_AT),
  };
}

/** The id of an event: the same at every attempt. A request and the secret that it becomes have events with ids of their own. */
export function webhookIdOf({ webhookId }: Subscription, type: EventType): string {
  if (!isRequestEvent(type)) return webhookId;
  const bytes = sha256(REQUEST_LABEL, Buffer.from(webhookId)).subarray(0, WEBHOOK_ID_BYTES);
  return WEBHOOK_ID_PREFIX + bytes.toString('base64url');
}

/** The stored name of an origin, so that events to one place can be counted without opening them. */
export function destinationOf({ salt }: MasterKey, origin: string): Buffer {
  const key = createHmacKey(hkdf(salt, Buffer.alloc(0), DESTINATION_INFO));
  return hmac(key, Buffer.from(origin)).subarray(0, DESTINATION_BYTES);
}
