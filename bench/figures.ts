export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** A whole number, with commas between thousands. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
