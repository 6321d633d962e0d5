import type { Pace } from './pace.ts';

/** Items of one address that a worker has in memory. */
export const MAX_HELD_EACH = 200;
/** After this many failures in a row a destination gets one item at a time. */
const FAILING_AFTER = 3;
/** Destinations without items whose last outcome or address is remembered. */
const MAX_REMEMBERED = 2_000;

/** What waits for one destination. */
export type Line<Item> = {
  destination: Uint8Array;
  items: Item[];
  /** Its items, those under way, and places taken for others. */
  held: number;
  underWay: number;
  /** In a row; undefined before the first outcome. */
  failures: number | undefined;
  /** The address of its last delivery; before the first, a name that no address has. */
  address: string;
};

type Count = { held: number; underWay: number };

/** A delivery that counts for an address. */
type Passage = {
  /** Counts it for another address from now on. @returns false if that has no place: then it counts as before. */
  enter(address: string): boolean;
  leave(): void;
};

/** All lines, and what is held for and under way to each address, which may be that of many of them. */
export type Lines<Item> = {
  /** Of all addresses together. */
  all: Readonly<Count>;
  /** The line of a destination, made on demand. */
  of(destination: Uint8Array): Line<Item>;
  list(): Iterable<Line<Item>>;
  /** How many items its address holds, those of other lines included. */
  heldAt(line: Line<Item>): number;
  /** Counts items that a line holds from now on, or no longer. */
  hold(line: Line<Item>, more: number): void;
  isFull(line: Line<Item>): boolean;
  mayBegin(line: Line<Item>): boolean;
  begin(line: Line<Item>): Passage;
  /** Remembers how a delivery ended. */
  judge(line: Line<Item>, hasSucceeded: boolean): void;
};

export function createLines<Item>({ underWayEach }: Pick<Pace, 'underWayEach'>): Lines<Item> {
  /** First the line whose last outcome is oldest. */
  const lines = new Map<string, Line<Item>>();
  const { all, at, count } = createCounts();

  function forgetOne(): void {
    for (const [key, line] of lines) if (line.held === 0 && isKnown(line)) return void lines.delete(key);
  }

  return {
    all,
    of(destination) {
      const key = keyOf(destination);
      const known = lines.get(key);
      if (known) return known;
      const address = unknownAddress(destination);
      const line = { destination, items: [], held: 0, underWay: 0, failures: undefined, address };
      lines.set(key, line);
      if (lines.size > MAX_REMEMBERED) forgetOne();
      return line;
    },
    list: () => lines.values(),
    heldAt: ({ address }) => at(address).held,
    hold(line, more) {
      line.held += more;
      count(line.address, more, 0);
      if (line.held === 0 && !isKnown(line)) lines.delete(keyOf(line.destination));
    },
    isFull: (line) => (isFailing(line) ? line.held > 0 : at(line.address).held >= MAX_HELD_EACH),
    mayBegin: (line) => (line.underWay === 0 || !isOneAtATime(line)) && at(line.address).underWay < underWayEach,
    begin(line) {
      let current = line.address;
      line.underWay += 1;
      count(current, 0, 1);
      return {
        enter(address) {
          count(line.address, -line.held, 0);
          line.address = address;
          count(address, line.held, 0);
          if (address === current) return true;
          if (at(address).underWay >= underWayEach) return false;
          count(current, 0, -1);
          count(address, 0, 1);
          current = address;
          return true;
        },
        leave() {
          line.underWay -= 1;
          count(current, 0, -1);
        },
      };
    },
    judge(line, hasSucceeded) {
      line.failures = hasSucceeded ? 0 : (line.failures ?? 0) + 1;
      const key = keyOf(line.destination);
      lines.delete(key);
      lines.set(key, line);
    },
  };
}

type Counts = { all: Readonly<Count>; at(address: string): Readonly<Count>; count: CountMore };
type CountMore = (address: string, held: number, underWay: number) => void;

function createCounts(): Counts {
  const all = { held: 0, underWay: 0 };
  const none = { held: 0, underWay: 0 };
  const counts = new Map<string, Count>();
  return {
    all,
    at: (address) => counts.get(address) ?? none,
    count(address, held, underWay) {
      const one = counts.get(address) ?? { ...none };
      for (const counted of [one, all]) {
        counted.held += held;
        counted.underWay += underWay;
      }
      if (one.held === 0 && one.underWay === 0) counts.delete(address);
      else counts.set(address, one);
    },
  };
}

/** Whether there is anything to remember. */
function isKnown(line: Line<unknown>): boolean {
  return line.failures !== undefined || hasAddress(line);
}

/** Where the first item goes, the others follow: until then they would look the address up for nothing. */
function isOneAtATime(line: Line<unknown>): boolean {
  return isFailing(line) || !hasAddress(line);
}

function hasAddress({ address, destination }: Line<unknown>): boolean {
  return address !== unknownAddress(destination);
}

function isFailing({ failures = 0 }: Line<unknown>): boolean {
  return failures >= FAILING_AFTER;
}

function unknownAddress(destination: Uint8Array): string {
  return `unknown ${keyOf(destination)}`;
}

function keyOf(destination: Uint8Array): string {
  return Buffer.from(destination.buffer, destination.byteOffset, destination.byteLength).toString('latin1');
}
