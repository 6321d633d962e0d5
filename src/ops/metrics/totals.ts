import type { Samples } from './families.ts';

export type Totals = {
  /** Adds the counts of a report. They stay when the worker ends. */
  add(counts: Samples): void;
  /** All counts so far, with the gauges of the workers that are alive; gauges with equal labels add up. */
  read(gauges: readonly Samples[]): Samples;
};

/** The counts of all workers, ended ones included: no counter ever goes back. */
export function createTotals(): Totals {
  const counted: Samples = {};
  return {
    add: (counts) => addTo(counted, counts),
    read(gauges) {
      const all: Samples = { ...counted };
      const standing: Samples = {};
      for (const samples of gauges) addTo(standing, samples);
      return Object.assign(all, standing);
    },
  };
}

function addTo(sums: Samples, samples: Samples): void {
  for (const [name, byLabels] of Object.entries(samples)) {
    sums[name] ??= {};
    const sum = sums[name];
    for (const [labels, values] of Object.entries(byLabels)) {
      const before = sum[labels] ?? [];
      sum[labels] = values.map((value, index) => value + (before[index] ?? 0));
    }
  }
}
