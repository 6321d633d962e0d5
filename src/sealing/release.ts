/** What is smaller is left to be collected. */
const LEAST_BYTES = 65_536;

/**
 * Gives the memory of large bytes back at once: until they are collected, a hundred more would be there beside them.
 * Bytes that are a part of something are left alone. Nobody may use them afterwards: they are empty then.
 */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  const isWhole = bytes.length === buffer.byteLength && buffer instanceof ArrayBuffer;
  if (isWhole && bytes.length > LEAST_BYTES) buffer.transfer(0);
}
