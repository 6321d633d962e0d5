import { hash } from 'node:crypto';
import { formatInstant } from '../http/instant.ts';
import type { EventType } from './store.ts';

/**
 * The name of a secret in its event: the first 32 hex digits of SHA-256 over the text of the secret key. Anyone with the
 * key can compute it (`printf %s KEY | sha256sum`); it reveals nothing about a key of 256 random bits.
 */
export function fingerprintOf(secretKey: string): string {
  return hash('sha256', secretKey, 'hex').slice(0, 32);
}

/** What an event is called. */
export const EVENT_NAMES = {
  answered: 'request.answered',
  unanswered: 'request.expired',
  read: 'secret.read',
  burned: 'secret.burned',
  expired: 'secret.expired',
} as const satisfies Record<EventType, string>;

/** The body of an event: the same bytes at every attempt, because they are made from stored values. */
export function formatPayload(type: EventType, occurredAt: number, fingerprint: string): string {
  return JSON.stringify({
    type: EVENT_NAMES[type],
    timestamp: formatInstant(occurredAt),
    data: { secret_id: fingerprint },
  });
}
