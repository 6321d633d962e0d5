import fc from 'fast-check';

const PIECES = [
  ...['..', '/', '\\', '.', ' ', '\n', '\0', '\u202e', '\u2066', '\x1b[2J', '\x1b]0;x\x07', '\x9b31m'],
  ...['C:', 'CON', 'aux.', '-', '-rf', '~', 'a', 'é', '%2e%2e%2f'],
] as const;

/** Names and texts as a stranger may choose them: anything, and what is known to do harm. */
export const hostileString = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }).map((pieces) => pieces.join('')),
);

/** @param log is told what makes the same ones again. */
export function hostileStrings(count: number, log: (line: string) => void): string[] {
  const seed = Number(process.env.SEED ?? Date.now());
  log(`SEED=${seed}`);
  return fc.sample(hostileString, { numRuns: count, seed });
}
