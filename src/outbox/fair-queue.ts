import { createLines, type Line, MAX_HELD_EACH } from './lines.ts';
import type { Pace } from './pace.ts';

/** Items that a worker has in memory, under way or waiting; the others stay in the store. */
const MAX_HELD = 3_200;
/** Deliveries under way. */
const MAX_UNDER_WAY = 256;

export type Begun<Item> = {
  item: Item;
  /**
   * Counts the delivery for the address that it goes to. May be called again when that changes.
   * @returns false if too many deliveries to that address are under way: then it must not go on but be put back.
   */
  enter(address: string): boolean;
  /** Lets the item wait again, as the first of its destination, until its address has a place. */
  putBack(): void;
  end(result: 'succeeded' | 'failed' | 'unknown'): void;
};

/**
 * Items in memory that wait for their delivery, so that a slow or hostile receiver delays its own items and no others.
 * Limits count by address, because one receiver can have any number of names; an item that waits for its address takes
 * no place of the others. Everything is bounded. Has no clock and starts nothing.
 */
export type FairQueue<Item> = {
  /** How many more items may be held. */
  readonly room: number;
  readonly underWay: number;
  /** Takes a place. @returns false if there is no place, for this destination or at all. */
  hold(destination: Uint8Array): boolean;
  /** Gives back a place that `hold` took and nothing used. */
  drop(destination: Uint8Array): void;
  /** Lets an item wait in the place that was taken for it. */
  add(destination: Uint8Array, item: Item): void;
  /** The next item to begin: destinations take turns. @returns undefined if none may begin now. */
  next(): Begun<Item> | undefined;
  /** Takes out the waiting items that are chosen, and those beyond what their address may hold, with their places. */
  remove(isChosen: (item: Item) => boolean): Item[];
  /** Destinations that may have no place for this many items now. */
  listFull(count: number): Uint8Array[];
};

export function createFairQueue<Item>(pace: Pick<Pace, 'underWayEach'>): FairQueue<Item> {
  const lines = createLines<Item>(pace);
  const { all, hold } = lines;
  /** Lines with items, first the one whose last turn was longest ago. */
  const waiting = new Set<Line<Item>>();

  function begin(line: Line<Item>): Begun<Item> {
    const { enter, leave } = lines.begin(line);
    const item = line.items.shift() as Item;
    waiting.delete(line);
    if (line.items.length > 0) waiting.add(line);
    return {
      item,
      enter,
      putBack() {
        leave();
        line.items.unshift(item);
        waiting.add(line);
      },
      end(result) {
        leave();
        if (result !== 'unknown') lines.judge(line, result === 'succeeded');
        hold(line, -1);
      },
    };
  }

  function removeFrom(line: Line<Item>, isChosen: (item: Item) => boolean): Item[] {
    const { true: removed = [], false: kept = [] } = Object.groupBy(line.items, (item) => `${isChosen(item)}`);
    const tooMany = lines.heldAt(line) - removed.length - MAX_HELD_EACH;
    if (tooMany > 0) removed.push(...kept.splice(-tooMany));
    line.items = kept;
    if (kept.length === 0) waiting.delete(line);
    hold(line, -removed.length);
    return removed;
  }

  return {
    get room() {
      return MAX_HELD - all.held;
    },
    get underWay() {
      return all.underWay;
    },
    hold(destination) {
      const line = lines.of(destination);
      const isRoom = all.held < MAX_HELD && !lines.isFull(line);
      hold(line, isRoom ? 1 : 0);
      return isRoom;
    },
    drop: (destination) => hold(lines.of(destination), -1),
    add(destination, item) {
      const line = lines.of(destination);
      line.items.push(item);
      waiting.add(line);
    },
    next() {
      if (all.underWay >= MAX_UNDER_WAY) return undefined;
      for (const line of waiting) if (lines.mayBegin(line)) return begin(line);
      return undefined;
    },
    // From the line that had its turn last: it has waited least.
    remove: (isChosen) => [...waiting].toReversed().flatMap((line) => removeFrom(line, isChosen)),
    listFull: (count) =>
      [...lines.list()]
        .filter((line) => lines.isFull(line) || lines.heldAt(line) + count > MAX_HELD_EACH)
        .map(({ destination }) => destination),
  };
}
