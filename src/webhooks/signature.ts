import { createHmac, type KeyObject } from 'node:crypto';

const SECRET_PREFIX = 'whsec_';

/** A webhook secret as its owner gets it: `whsec_` and the bytes as base64. */
export function formatWebhookSecret(secret: Uint8Array): string {
  return SECRET_PREFIX + Buffer.from(secret).toString('base64');
}

/** One attempt to deliver `body`, which must be sent byte for byte as signed. */
export type SignedMessage = { id: string; timestampSeconds: number; body: string };

/**
 * The headers of Standard Webhooks 1.0 for one attempt. The id is the event's and stays the same at every attempt,
 * so that a receiver recognizes a repeat; the time is the attempt's.
 * @param key the bytes behind `whsec_`, not their text.
 */
export function signMessage(key: KeyObject, { id, timestampSeconds, body }: SignedMessage): Record<string, string> {
  const mac = createHmac('sha256', key).update(`${id}.${timestampSeconds}.${body}`).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': `v1,${mac}`,
  };
}
