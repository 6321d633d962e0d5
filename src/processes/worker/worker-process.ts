import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import { createSharedSlots } from '../../hashing/slots.ts';
import type { Log } from '../../ops/log.ts';
import { createMeters } from '../../ops/metrics/meters.ts';
import { type DrainOrder, EXIT_HOPELESS, type ToPrimary, type ToWorker } from '../ipc.ts';
import { createTotalsLink } from './totals-link.ts';
import { addressesOf, type Place, startWorker } from './worker.ts';

/** How long closing may take once everything that was not answered has been cut. */
const CLOSE_MS = 500;
/** How long the last report to the primary may take. */
const REPORT_MS = 200;

/** Runs a worker under the primary's orders. When the primary dies, node:cluster ends its workers by itself. */
export async function runWorkerProcess(config: Config, place: Place, log: Log): Promise<void> {
  process.on('uncaughtException', (err) => die(log, err));

  const meters = createMeters();
  const totals = createTotalsLink(meters, tell);
  const slots = createSharedSlots({ want: () => tell({ type: 'want-slot' }), free: () => tell({ type: 'free-slot' }) });
  const running = startWorker({
    config,
    addresses: addressesOf(config, place),
    workerNumber: place.number,
    slots,
    meters,
    readTotals: totals.ask,
    onCounted: totals.touch,
    log,
    onLost: (err) => die(log, err),
  });
  const cut = new AbortController();
  // What hangs in closing, a storage that is away for one, loses nothing by the end of its process.
  const isOver = new Promise((resolve) => {
    cut.signal.addEventListener('abort', () => setTimeout(resolve, CLOSE_MS));
  });
  let isLeaving = false;

  async function leave({ acceptMs, deadlineMs }: DrainOrder): Promise<void> {
    setTimeout(() => cut.abort(), deadlineMs).unref(); // the earliest of several counts
    if (isLeaving) return;
    isLeaving = true;
    const stopped = (await running).stop({ acceptMs, cut: cut.signal });
    await Promise.race([stopped, isOver]);
    await Promise.race([totals.report(), sleep(REPORT_MS)]);
    process.exit(0);
  }

  process.on('message', (message: ToWorker) => {
    if (message.type === 'ping') tell({ type: 'pong' });
    else if (message.type === 'slot') slots.grant();
    else if (message.type === 'totals') totals.receive(message.id, message.totals);
    else void leave(message);
  });
  tell({ type: 'up' });

  try {
    await (await running).ready;
    tell({ type: 'ready' });
  } catch (error) {
    log.fatal({ err: error }, 'cannot start');
    tell({ type: 'hopeless', reason: (error as Error).message }, () => process.exit(EXIT_HOPELESS));
  }
}

/** State is unknown now: end at once, the primary starts another. */
function die(log: Log, err: Error): never {
  log.fatal({ err }, 'worker ends');
  process.exit(1);
}

function tell(message: ToPrimary, onSent: () => void = () => {}): void {
  if (process.connected) process.send?.(message, onSent);
}
