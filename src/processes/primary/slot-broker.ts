/** Hands a fixed number of hash slots to workers, first come, first served. */
export type SlotBroker<Holder> = {
  want(holder: Holder): void;
  free(holder: Holder): void;
  /** The holder is gone: its slots become free, its requests are dropped. */
  forget(holder: Holder): void;
};

export function createSlotBroker<Holder>(slots: number, grant: (holder: Holder) => void): SlotBroker<Holder> {
  let waiting: Holder[] = [];
  let held: Holder[] = [];

  function serve(): void {
    while (held.length < slots) {
      const next = waiting.shift();
      if (next === undefined) return;
      held.push(next);
      grant(next);
    }
  }

  return {
    want(holder) {
      waiting.push(holder);
      serve();
    },
    free(holder) {
      const index = held.indexOf(holder);
      if (index >= 0) held.splice(index, 1);
      serve();
    },
    forget(holder) {
      waiting = waiting.filter((other) => other !== holder);
      held = held.filter((other) => other !== holder);
      serve();
    },
  };
}
