const LENGTH_BYTES = 4;
const LEAST_BYTES = 64;

/**
 * Text between its length (4 bytes, big-endian) and zeros, as long as Padmé allows (PURBs, Nikitin et al. 2019, §4): what is
 * sealed shows the length of the text only in steps, and is at most 12 % longer.
 */
export function pad(text: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.max(LEAST_BYTES, padme(LENGTH_BYTES + text.length)));
  padded.writeUInt32BE(text.length, 0);
  padded.set(text, LENGTH_BYTES);
  return padded;
}

/** @throws Error if `pad` cannot have made it. */
export function unpad(padded: Buffer): Buffer {
  const end = LENGTH_BYTES + padded.readUInt32BE(0);
  if (end > padded.length) throw new Error('the length is not that of what follows');
  return padded.subarray(LENGTH_BYTES, end);
}

/** Of a length of E + 1 bits, as many of the last bits are zero as leave the bits that it takes to write E. */
function padme(length: number): number {
  const exponent = Math.floor(Math.log2(length));
  const step = 2 ** (exponent - Math.floor(Math.log2(exponent)) - 1);
  return Math.ceil(length / step) * step;
}
