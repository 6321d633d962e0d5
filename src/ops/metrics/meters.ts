import { emptyValues, FAMILIES, type Family, type FamilyName, type Samples } from './families.ts';

/** A worker's report: counts since its last report, and current values. */
export type Report = { counts: Samples; gauges: Samples };

/** Names of one type of family. */
type Of<Type> = { [Name in FamilyName]: (typeof FAMILIES)[Name]['type'] extends Type ? Name : never }[FamilyName];

export type Meters = {
  /** @param labels values in the family's order, joined by spaces. */
  count(name: Of<'counter'>, labels?: string, by?: number): void;
  observe(name: Of<'histogram'>, labels: string, value: number): void;
  /** Reads a value for each report: of a gauge the current value, of a counter the count since the start. */
  watch(name: Of<'counter' | 'gauge'>, labels: string, read: () => number): void;
  /** @param tell called when the first request since the last report is counted. */
  onNews(tell: () => void): void;
  takeReport(): Report;
};

const NEWS: FamilyName = 'hushbox_http_requests_total';

/** `isNew`: not reported yet, so that even a zero is reported. */
type Cell = { values: number[]; isNew: boolean };
type Meter = { family: Family; cells: Map<string, Cell> };

/**
 * Counts in plain numbers, cheap enough for every request. Each report takes the counts with it.
 * @param onUnreadable called once for each watched value that cannot be read; reports leave it out while that lasts.
 */
export function createMeters(onUnreadable: (name: string, error: unknown) => void = () => {}): Meters {
  const meters = new Map<string, Meter>();
  const watches: (() => void)[] = [];
  let gauges: Samples = {};
  let isNews = false;
  let tellNews = (): void => {};

  for (const [name, family] of Object.entries<Family>(FAMILIES)) {
    meters.set(name, { family, cells: new Map() });
    if (family.type !== 'gauge' && family.labels.length === 0) cellOf(name, '');
  }

  function cellOf(name: string, labels: string): Cell {
    const { family, cells } = meters.get(name) as Meter;
    let cell = cells.get(labels);
    if (!cell) {
      cell = { values: emptyValues(family), isNew: true };
      cells.set(labels, cell);
    }
    return cell;
  }

  function count(name: Of<'counter'>, labels = '', by = 1): void {
    const { values } = cellOf(name, labels);
    values[0] = (values[0] as number) + by;
    if (name === NEWS && !isNews) {
      isNews = true;
      tellNews();
    }
  }

  /** Reports are made by a timer, so an error here would end the process. */
  function guarded(name: string, look: () => void): () => void {
    let isReported = false;
    return () => {
      try {
        look();
      } catch (error) {
        if (!isReported) onUnreadable(name, error);
        isReported = true;
      }
    };
  }

  return {
    count,
    observe(name, labels, value) {
      const { values } = cellOf(name, labels);
      const bounds: readonly number[] = FAMILIES[name].bounds;
      let bucket = 0;
      while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
      values[bucket] = (values[bucket] as number) + 1;
      values[bounds.length + 1] = (values[bounds.length + 1] as number) + value;
    },
    watch(name, labels, read) {
      if (isCounter(name)) {
        let counted = 0;
        watches.push(
          guarded(name, () => {
            const now = read();
            count(name, labels, now - counted);
            counted = now;
          }),
        );
      } else watches.push(guarded(name, () => put(gauges, name, labels, [read()])));
    },
    onNews(tell) {
      tellNews = tell;
    },
    takeReport() {
      isNews = false;
      gauges = {};
      for (const look of watches) look();
      const counts: Samples = {};
      for (const [name, { family, cells }] of meters) {
        for (const [labels, cell] of cells) {
          if (!cell.isNew && cell.values.every(isZero)) continue;
          put(counts, name, labels, cell.values);
          cell.values = emptyValues(family);
          cell.isNew = false;
        }
      }
      return { counts, gauges };
    },
  };
}

function isCounter(name: FamilyName): name is Of<'counter'> {
  return FAMILIES[name].type === 'counter';
}

function isZero(value: number): boolean {
  return value === 0;
}

function put(samples: Samples, name: string, labels: string, values: number[]): void {
  samples[name] ??= {};
  samples[name][labels] = values;
}
