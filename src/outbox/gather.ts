import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Gathers items for a while and handles all of them in one step: a write for each item would cost a wake-up of the
 * storage thread and a sync of the disk.
 * @returns a function that settles as the step of its item does.
 */
export function gather<Item>(
  gatherMs: number,
  run: (items: readonly Item[]) => Promise<void>,
): (item: Item) => Promise<void> {
  let gathering: { items: Item[]; done: Promise<void> } | undefined;

  async function runSoon(items: readonly Item[]): Promise<void> {
    await sleep(gatherMs);
    gathering = undefined;
    await run(items);
  }

  return (item) => {
    if (!gathering) {
      const items: Item[] = [];
      gathering = { items, done: runSoon(items) };
    }
    gathering.items.push(item);
    return gathering.done;
  };
}
