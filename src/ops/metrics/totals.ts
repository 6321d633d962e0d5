import type { Samples } from './families.ts';

export type Totals = {
  /** Adds counts; they stay when their worker is gone. */
  add(counts: Samples): void;
  /** Everything counted so far, and these gauges of the current workers; equal labels are added up. */
  read(gauges: readonly Samples[]): Samples;
};

/** The counts of all workers, including those that ended, so that no count ever decreases. */
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
