import { createHmac, type KeyObject } from 'node:crypto';

const DIGITS = 8;

/**
 * What an installation calls itself in `Via` (RFC 9110 §7.6.3): `hushbox-` and 8 hex digits. All its workers and hosts have
 * the same key, so they have the same name; another installation has another one, and may be on the way.
 * @param key that signs requests. The name says nothing about it, and no token begins with this text.
 */
export function ownNameOf(key: KeyObject): string {
  return `hushbox-${createHmac('sha512', key).update('hushbox v1 via').digest('hex').slice(0, DIGITS)}`;
}
