import type { EventStore, TakenEvent } from '../../src/webhooks/store.ts';

/** The port in memory, for the dispatcher's rules alone: everything else is tested on the engines. */
export function createEventStore(events: readonly TakenEvent[] = []): EventStore & { all: Map<string, TakenEvent> } {
  const all = new Map(events.map((event) => [hexOf(event.id), event]));
  return {
    all,
    async takeDue(now, { limit, perDestination, leaseUntil, without }) {
      const left = new Set(without.map(hexOf));
      const counts = new Map<string, number>();
      const due = [...all.values()].filter(({ dueAt, notify }) => {
        const key = hexOf(notify.destination);
        if (dueAt > now || left.has(key) || (counts.get(key) ?? 0) >= perDestination) return false;
        counts.set(key, (counts.get(key) ?? 0) + 1);
        return true;
      });
      const taken = due.slice(0, limit).map((event) => ({ ...event, dueAt: leaseUntil }));
      for (const event of taken) all.set(hexOf(event.id), event);
      return taken;
    },
    async finish(ids) {
      for (const id of ids) all.delete(hexOf(id));
    },
    async postpone({ id, dueAt }, next) {
      const event = all.get(hexOf(id));
      if (event?.dueAt !== dueAt) return false;
      all.set(hexOf(id), { ...event, ...next });
      return true;
    },
    async hasDue(now) {
      return [...all.values()].some(({ dueAt }) => dueAt <= now);
    },
    async countWaiting() {
      const oldestAt = all.size === 0 ? undefined : Math.min(...[...all.values()].map(({ occurredAt }) => occurredAt));
      return { events: all.size, oldestAt };
    },
  };
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
