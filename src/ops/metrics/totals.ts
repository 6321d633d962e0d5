import type { Samples } from './families.ts';

export type Totals = {
  /** Adds what was counted; it stays when who counted it is gone. */
  add(counts: Samples): void;
  /** Everything counted so far, and the gauges of who is there now, which add up where two are alike. */
  read(gauges: readonly Samples[]): Samples;
};

/** The counts of all workers, those that ended included: nothing in them ever goes back. */
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
