/** Names of other programs that are near to ours. */
const FOREIGN = new Set(['HTTPS_PORT']);
/** Shorter names are too close to those of other programs, such as PORT to HOST. */
const SHORTEST = 6;
const LETTERS_A_MISTAKE = 6;
/** A name that ends differently (CREATES_PER_MIN, TRUSTED_PROXY) may differ in this many letters. */
const ENDING = 3;
const COMMON_PART = 0.75;

/**
 * Finds variables that look like misspelt ones of ours.
 * @param names of the variables that are set.
 * @param known all names of ours.
 * @returns the misspelt name and the one that was probably meant.
 */
export function findMisspelt(names: readonly string[], known: readonly string[]): [found: string, meant: string][] {
  const ours = new Set(known);
  const long = known.filter((name) => name.length >= SHORTEST);
  return names
    .filter((name) => /^[A-Z][A-Z0-9_]*$/.test(name) && !ours.has(name) && !FOREIGN.has(name))
    .flatMap((found): [string, string][] => {
      const meant = long.find((name) => isNear(found, name));
      return meant === undefined ? [] : [[found, meant]];
    });
}

function isNear(found: string, meant: string): boolean {
  if (Math.abs(found.length - meant.length) > ENDING) return false;
  const mistakes = countMistakes(found, meant);
  if (mistakes === 1) return true;
  if (found[0] !== meant[0]) return false; // EXTERNAL_PORT is not INTERNAL_PORT
  const common = [...meant].findIndex((letter, index) => letter !== found[index]);
  const most = common >= meant.length * COMMON_PART ? ENDING : Math.floor(meant.length / LETTERS_A_MISTAKE);
  return mistakes <= most;
}

/** Letters that are missing, added, replaced or swapped with their neighbour (Damerau and Levenshtein). */
function countMistakes(one: string, other: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      const isSwapped = one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      const changed = (last[j - 1] as number) + (isSame ? 0 : 1);
      const swapped = isSwapped && beforeLast.length > 0 ? (beforeLast[j - 2] as number) + 1 : changed;
      row[j] = Math.min(changed, swapped, (last[j] as number) + 1, (row[j - 1] as number) + 1);
    }
    [beforeLast, last] = [last, row];
  }
  return last[other.length] as number;
}
