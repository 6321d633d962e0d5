import type { MasterKey } from './key-ring.ts';

/** The first bytes of everything sealed: format and master key. */
export const HEAD_BYTES = 10;
/** Secrets have had two formats (secrets/envelope.ts), everything else has one. */
export type Format = 1 | 2;

/**
 * The head of everything sealed, from which the master key is known without opening it:
 *
 *     0  1  format = 1 or 2
 *     1  1  flags, defined by the module that seals
 *     2  8  id of the master key
 */
export function createHead(format: Format, flags: number, { id }: MasterKey): Buffer {
  return Buffer.concat([Buffer.of(format, flags), id]);
}

/** The id of the master key that sealed it; undefined when the format is unknown. The head is enough. */
export function masterKeyIdIn(sealed: Uint8Array): Buffer | undefined {
  return formatOf(sealed) && Buffer.from(sealed.subarray(2, HEAD_BYTES));
}

export function formatOf([format]: Uint8Array): Format | undefined {
  return format === 1 || format === 2 ? format : undefined;
}
