import { setTimeout as sleep } from 'node:timers/promises';
import { repeat } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { createSharedSlots } from '../../hashing/slots.ts';
import type { Log } from '../../ops/log.ts';
import { createMeters } from '../../ops/metrics/meters.ts';
import { addressesOf, type Place } from '../addresses.ts';
import { ALIVE_MS, type Door, type DrainOrder, EXIT_HOPELESS, type ToPrimary, type ToWorker } from '../ipc.ts';
import { createTotalsLink } from './totals-link.ts';
import { type RunningWorker, startWorker } from './worker.ts';

/** How long closing may take after all unanswered requests have been cut. */
const CLOSE_MS = 300;
/** How long the last report to the primary may take. */
const REPORT_MS = 200;

/** Runs a worker under the primary's orders. When the primary dies, node:cluster ends its workers. */
export async function runWorkerProcess(config: Config, place: Place, log: Log): Promise<void> {
  process.on('uncaughtException', (err) => die(log, err));

  const meters = createMeters((metric, err) => log.warn({ err, metric }, 'a metric cannot be read'));
  const totals = createTotalsLink(meters, send);
  const slots = createSharedSlots({ want: () => send({ type: 'want-slot' }), free: () => send({ type: 'free-slot' }) });
  const running = startWorker({
    config,
    addresses: addressesOf(config, place),
    workerNumber: place.number,
    slots,
    meters,
    readTotals: totals.ask,
    log,
    onLost: (err) => die(log, err),
    onBound: (door, { socketPath: path, firstName }, bound) =>
      send({ type: 'bound', door, path, bound, ...(firstName !== undefined && { firstName }) }),
  });
  let listening: RunningWorker | undefined;
  void running.then(
    (worker) => {
      listening = worker;
    },
    () => {}, // reported below
  );
  const cut = new AbortController();
  // A part that hangs while it closes, such as an unreachable storage, loses nothing when the process ends.
  const isOver = new Promise((resolve) => {
    cut.signal.addEventListener('abort', () => setTimeout(resolve, CLOSE_MS));
  });
  let isDraining = false;

  async function drain({ acceptMs, deadlineMs }: DrainOrder): Promise<void> {
    setTimeout(() => cut.abort(), deadlineMs).unref(); // the earliest of several deadlines counts
    if (!listening) process.exit(0); // nothing to answer, and on a busy machine the rest of the start may take long
    if (isDraining) return;
    isDraining = true;
    await Promise.race([listening.stop({ acceptMs, cut: cut.signal }), isOver]);
    await Promise.race([totals.report(), sleep(REPORT_MS)]);
    process.exit(0);
  }

  async function bindAgain(door: Door, firstName?: string): Promise<void> {
    try {
      await (await running).bindAgain(door, firstName);
    } catch (err) {
      log.warn({ err, door }, 'the socket cannot be bound again yet');
    }
  }

  process.on('message', (message: ToWorker) => {
    if (message.type === 'want-report') void totals.report();
    else if (message.type === 'slot') slots.grant();
    else if (message.type === 'totals') totals.onTotals(message.id, message.totals);
    else if (message.type === 'bind') void bindAgain(message.door, message.firstName);
    else void drain(message);
  });
  send({ type: 'up' });
  void repeat(ALIVE_MS, () => send({ type: 'alive' }));

  try {
    await (await running).ready;
    send({ type: 'ready' });
  } catch (error) {
    log.fatal({ err: error }, 'cannot start');
    send({ type: 'hopeless', reason: (error as Error).message }, () => process.exit(EXIT_HOPELESS));
  }
}

/** The state of the process is unknown: it ends at once, and the primary starts another worker. */
function die(log: Log, err: Error): never {
  log.fatal({ err }, 'worker ends');
  process.exit(1);
}

function send(message: ToPrimary, onSent: () => void = () => {}): void {
  if (process.connected) process.send?.(message, onSent);
}
