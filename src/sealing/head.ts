import type { MasterKey } from './key-ring.ts';

/** The first bytes of everything sealed: format and master key. */
export const HEAD_BYTES = 10;
const FORMAT = 1;

/**
 * The head of everything sealed, from which the master key is known without opening it:
 *
 *     0  1  format = 1
 *     1  1  flags, defined by the module that seals
 *     2  8  id of the master key
 */
export function createHead(flags: number, { id }: MasterKey): Buffer {
  return Buffer.concat([Buffer.of(FORMAT, flags), id]);
}

/** The id of the master key that sealed it; undefined when the format is unknown. The head is enough. */
export function masterKeyIdIn(sealed: Uint8Array): Buffer | undefined {
  return sealed[0] === FORMAT ? Buffer.from(sealed.subarray(2, HEAD_BYTES)) : undefined;
}
