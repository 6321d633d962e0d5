/** Events that a worker has in memory, under way or waiting; the others stay in the store. */
const MAX_HELD = 1_000;
/** Of one destination. */
const MAX_HELD_EACH = 200;
/** Of destinations whose last delivery did not succeed, together: places are left for those where it did. */
const MAX_HELD_UNPROVEN = 500;
/** Deliveries under way, and of those the ones to one destination, and to unproven ones together. */
const MAX_UNDER_WAY = 88;
const MAX_UNDER_WAY_EACH = 8;
/** More than that to destinations whose last delivery succeeded, together: many events of one place need not wait. */
const MAX_UNDER_WAY_EXTRA = 24;
const MAX_UNDER_WAY_UNPROVEN = 32;
/** After so many failures in a row a destination is tried one event at a time, */
const FAILING_AFTER = 3;
/** and so many such destinations at once. */
const MAX_UNDER_WAY_FAILING = 8;
/** Destinations whose last outcome is remembered. */
const MAX_REMEMBERED = 2_000;

export type Begun<Item> = { item: Item; end(result: 'succeeded' | 'failed' | 'unknown'): void };

/**
 * The lines in which events wait for their delivery, one for each destination, so that a slow or hostile receiver
 * delays its own events and nobody else's. Bounded in everything; holds no clock and does nothing by itself.
 */
export type Lines<Item> = {
  /** How many more may be held. */
  readonly room: number;
  /** Begun and not ended. */
  readonly underWay: number;
  /** Takes a place. @returns false when there is none, for this destination or at all. */
  hold(destination: Uint8Array): boolean;
  /** Gives back a place that was taken by `hold` and not used. */
  drop(destination: Uint8Array): void;
  /** Lets an item wait in the place that was taken for it. */
  add(destination: Uint8Array, item: Item): void;
  /** The next to begin, each destination in its turn. @returns undefined when there is none, or no place to do it in. */
  next(): Begun<Item> | undefined;
  /** Takes out what waits and is chosen, with its place. */
  remove(isChosen: (item: Item) => boolean): Item[];
  /** Destinations that may have no place for so many now. */
  listFull(count: number): Uint8Array[];
};

type Line<Item> = {
  destination: Uint8Array;
  items: Item[];
  /** Its items, those under way, and places taken for others. */
  held: number;
  underWay: number;
  /** In a row; undefined while nothing is known of it. */
  failures: number | undefined;
};

export function createLines<Item>(): Lines<Item> {
  /** Those first whose last outcome is oldest. */
  const lines = new Map<string, Line<Item>>();
  /** Those with items, first those that had their turn longest ago. */
  const waiting = new Set<Line<Item>>();
  const held = { all: 0, unproven: 0 };
  const underWay = { all: 0, unproven: 0, failing: 0, extra: 0 };

  function lineOf(destination: Uint8Array): Line<Item> {
    const key = keyOf(destination);
    const known = lines.get(key);
    if (known) return known;
    const line = { destination, items: [], held: 0, underWay: 0, failures: undefined };
    lines.set(key, line);
    if (lines.size > MAX_REMEMBERED) forgetOne();
    return line;
  }

  function forgetOne(): void {
    for (const [key, line] of lines) {
      if (line.held === 0 && line.failures !== undefined) return void lines.delete(key);
    }
  }

  function isFull(line: Line<Item>): boolean {
    if (isFailing(line)) return line.held > 0 || underWay.failing >= MAX_UNDER_WAY_FAILING;
    return line.held >= MAX_HELD_EACH;
  }

  function mayBegin(line: Line<Item>): boolean {
    if (isFailing(line) && (line.underWay > 0 || underWay.failing >= MAX_UNDER_WAY_FAILING)) return false;
    if (isProven(line)) return !needsExtra(line) || underWay.extra < MAX_UNDER_WAY_EXTRA;
    return !needsExtra(line) && underWay.unproven < MAX_UNDER_WAY_UNPROVEN;
  }

  function count(line: Line<Item>, by: number): void {
    line.held += by;
    held.all += by;
    if (!isProven(line)) held.unproven += by;
    if (line.held === 0 && line.failures === undefined) lines.delete(keyOf(line.destination));
  }

  /** Remembers how a delivery ended; what the line holds counts as the line does. */
  function judge(line: Line<Item>, hasSucceeded: boolean): void {
    if (!isProven(line)) held.unproven -= line.held;
    line.failures = hasSucceeded ? 0 : (line.failures ?? 0) + 1;
    if (!isProven(line)) held.unproven += line.held;
    const key = keyOf(line.destination);
    lines.delete(key);
    lines.set(key, line);
  }

  function begin(line: Line<Item>): Begun<Item> {
    const item = line.items.shift() as Item;
    waiting.delete(line);
    if (line.items.length > 0) waiting.add(line);
    const kinds: (keyof typeof underWay)[] = ['all'];
    if (!isProven(line)) kinds.push('unproven');
    if (isFailing(line)) kinds.push('failing');
    if (needsExtra(line)) kinds.push('extra');
    line.underWay += 1;
    for (const kind of kinds) underWay[kind] += 1;
    return {
      item,
      end(result) {
        line.underWay -= 1;
        for (const kind of kinds) underWay[kind] -= 1;
        if (result !== 'unknown') judge(line, result === 'succeeded');
        count(line, -1);
      },
    };
  }

  return {
    get room() {
      return MAX_HELD - held.all;
    },
    get underWay() {
      return underWay.all;
    },
    hold(destination) {
      const line = lineOf(destination);
      const isRoom = held.all < MAX_HELD && (isProven(line) || held.unproven < MAX_HELD_UNPROVEN) && !isFull(line);
      count(line, isRoom ? 1 : 0);
      return isRoom;
    },
    drop: (destination) => count(lineOf(destination), -1),
    add(destination, item) {
      const line = lineOf(destination);
      line.items.push(item);
      waiting.add(line);
    },
    next() {
      if (underWay.all >= MAX_UNDER_WAY) return undefined;
      for (const line of waiting) if (mayBegin(line)) return begin(line);
      return undefined;
    },
    remove(isChosen) {
      return [...waiting].flatMap((line) => {
        const chosen = line.items.filter(isChosen);
        line.items = line.items.filter((item) => !chosen.includes(item));
        if (line.items.length === 0) waiting.delete(line);
        count(line, -chosen.length);
        return chosen;
      });
    },
    listFull: (count) =>
      [...lines.values()]
        .filter((line) => isFull(line) || line.held + count > MAX_HELD_EACH)
        .map(({ destination }) => destination),
  };
}

/** Its last delivery succeeded. */
function isProven({ failures }: { failures: number | undefined }): boolean {
  return failures === 0;
}

function needsExtra({ underWay }: { underWay: number }): boolean {
  return underWay >= MAX_UNDER_WAY_EACH;
}

function isFailing({ failures = 0 }: { failures: number | undefined }): boolean {
  return failures >= FAILING_AFTER;
}

function keyOf(destination: Uint8Array): string {
  return Buffer.from(destination.buffer, destination.byteOffset, destination.byteLength).toString('latin1');
}
