import type { KeyRing, MasterKey } from '../sealing/key-ring.ts';
import { openRecord, sealRecord } from '../sealing/sealed.ts';
import type { Mail } from './mailer.ts';

/** A waiting mail at rest is a sealed record (sealing/sealed.ts). Its content: the mail as JSON. */
const INFO = Buffer.from('hushbox v1 mail');

export function sealMail(masterKey: MasterKey, id: Uint8Array, { to, kind, language, values }: Mail): Buffer {
  return sealRecord(masterKey, INFO, id, Buffer.from(JSON.stringify({ to, kind, language, values })));
}

/**
 * @returns undefined if the format or the master key is unknown.
 * @throws Error if it does not open: tampered with, damaged, or another mail's.
 */
export function openMail(ring: Pick<KeyRing, 'find'>, id: Uint8Array, sealed: Uint8Array): Mail | undefined {
  const plain = openRecord(ring, INFO, id, sealed);
  return plain && (JSON.parse(plain.toString()) as Mail);
}
