/** The value of each series, by the series as it is written: `name{label="value"}`. */
export type Series = Map<string, number>;

export function parseMetrics(text: string): Series {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

/** The sum of all series of a name, or of those whose labels hold this text. */
export function sumOf(series: Series, name: string, labels = ''): number {
  let sum = 0;
  for (const [key, value] of series) {
    if ((key === name || key.startsWith(`${name}{`)) && key.includes(labels)) sum += value;
  }
  return sum;
}
