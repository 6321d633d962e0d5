import { emptyValues, FAMILIES, type Family, type Samples } from './families.ts';

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Prometheus' text format, version 0.0.4. A family without samples and labels is written as zero. */
export function writeExposition(samples: Samples): string {
  return Object.entries<Family>(FAMILIES)
    .map(([name, family]) => writeFamily(name, family, samples[name] ?? {}))
    .join('');
}

function writeFamily(name: string, family: Family, samples: Samples[string]): string {
  const found = Object.entries(samples).sort(([a], [b]) => (a < b ? -1 : 1));
  const isEmpty = found.length === 0 && family.labels.length === 0 && !family.isOptional;
  const all: typeof found = isEmpty ? [['', emptyValues(family)]] : found;
  const lines = all.flatMap(([labels, values]) =>
    writeSeries(name, family, labels === '' ? [] : labels.split(' '), values),
  );
  return `# HELP ${name} ${family.help}\n# TYPE ${name} ${family.type}\n${lines.join('')}`;
}

function writeSeries(
  name: string,
  { labels, bounds }: Family,
  labelValues: readonly string[],
  values: number[],
): string[] {
  const pairs = labels.map((label, index) => [label, labelValues[index] ?? ''] as const);
  if (!bounds) return [writeLine(name, pairs, values[0])];
  let count = 0;
  const buckets = [...bounds, '+Inf'].map((bound, index) => {
    count += values[index] ?? 0;
    return writeLine(`${name}_bucket`, [...pairs, ['le', String(bound)]], count);
  });
  const sum = values[bounds.length + 1];
  return [...buckets, writeLine(`${name}_sum`, pairs, sum), writeLine(`${name}_count`, pairs, count)];
}

function writeLine(name: string, pairs: readonly (readonly [string, string])[], value = 0): string {
  const labels = pairs.map(([label, text]) => `${label}=${JSON.stringify(text)}`).join(',');
  return `${name}${labels && `{${labels}}`} ${value}\n`;
}
