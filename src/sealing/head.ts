import type { MasterKey } from './key-ring.ts';

/** The first bytes of whatever is sealed: they tell its format and its master key. */
export const HEAD_BYTES = 10;
const FORMAT = 1;

/**
 * The head of everything that is sealed, so that one look tells which master key it needs:
 *
 *     0  1  format = 1
 *     1  1  flags, whose meaning is their owner's
 *     2  8  id of the master key
 */
export function createHead(flags: number, { id }: MasterKey): Buffer {
  return Buffer.concat([Buffer.of(FORMAT, flags), id]);
}

/** The id of the master key it was sealed with; undefined when the format is unknown. Needs no more than its head. */
export function masterKeyIdIn(sealed: Uint8Array): Buffer | undefined {
  return sealed[0] === FORMAT ? Buffer.from(sealed.subarray(2, HEAD_BYTES)) : undefined;
}
