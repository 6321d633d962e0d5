import { setImmediate as turn } from 'node:timers/promises';
import type { OutboxStore } from '../../../outbox/store.ts';
import type { Reader } from '../engine/reader.ts';

/** Rows to count in one turn of the event loop: less than a millisecond. */
const COUNT_STEP = 500;

/** Counts the items of an outbox that are not finished, without holding up anything else. */
export function createWaitingCount(reader: Reader, name: 'events' | 'mails'): OutboxStore<never>['countWaiting'] {
  const oldest = reader.prepare(`SELECT min(occurred_at) FROM ${name}`);
  const countStep = reader.prepare(
    `SELECT max(id), count(*) FROM (SELECT id FROM ${name} WHERE id > ? ORDER BY id LIMIT ${COUNT_STEP})`,
  );
  return async () => {
    const oldestAt = ((await oldest())?.[0] as number | null) ?? undefined;
    let events = 0;
    for (let last: Uint8Array | null = new Uint8Array(); last; await turn()) {
      const step = await countStep(last);
      last = step?.[0] as Uint8Array | null;
      events += step?.[1] as number;
    }
    return { events, oldestAt };
  };
}
