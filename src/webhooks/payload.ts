import { hash } from 'node:crypto';
import type { EventType } from './store.ts';

/**
 * What an event calls its secret: the first 32 hex digits of SHA-256 over the secret key's text. Whoever has the key
 * can compute it (`printf %s KEY | sha256sum`); of 256 random bits it gives nothing back.
 */
export function fingerprintOf(secretKey: string): string {
  return hash('sha256', secretKey, 'hex').slice(0, 32);
}

/** The body of an event: the same bytes at every attempt, for they are made of what is stored. */
export function formatPayload(type: EventType, occurredAt: number, fingerprint: string): string {
  return JSON.stringify({
    type: `secret.${type}`,
    timestamp: new Date(occurredAt).toISOString(),
    data: { secret_id: fingerprint },
  });
}
