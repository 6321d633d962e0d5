import cluster, { type Worker } from 'node:cluster';
import { repeat } from '../../clock.ts';
import type { Log } from '../../ops/log.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import { ALIVE_MS, type DrainOrder, type ToPrimary, type ToWorker, WORKER_NUMBER } from '../ipc.ts';

/** A worker that is silent at this many looks in a row hangs. One that is not up yet gets more time. */
const MAX_SILENT_LOOKS = 3;
const MAX_SILENT_LOOKS_AT_START = 15;

/** A worker process, as the primary sees it. */
export type Child = {
  readonly worker: Worker;
  readonly number: number;
  readonly startedAt: number;
  /** How many looks ago it sent its last message. */
  silentLooks: number;
  /** It listens to the primary. Messages sent before are lost. */
  isUp: boolean;
  isReady: boolean;
  /** The gauges of its last report. */
  gauges: Samples;
  /** Set once it has been ordered to drain and end. */
  order: DrainOrder | undefined;
  /** A signal to the whole process group killed it before it could ignore the signal. */
  wasHit: boolean;
};

/**
 * The C library's default, set so that it stays: without it, one large body makes the library keep the memory of all later
 * ones, in pieces that it cannot give back (bench/bodies.ts).
 */
const GIVES_BACK = { MALLOC_MMAP_THRESHOLD_: '131072' };

export type ChildrenParts = {
  /** Variables that every worker gets. */
  env: Readonly<Record<string, string>>;
  log: Log;
  onReady(child: Child): void;
  /** Any message but `up`, `alive` and `ready`. */
  onMessage(child: Child, message: ToPrimary): void;
  onExit(child: Child, code: number | null, signal: string | null): void;
};

/** The worker processes that run. One that hangs is killed. */
export type Children = {
  readonly all: ReadonlySet<Child>;
  /** @returns undefined where no process can be started, mostly for a while, without memory or descriptors. */
  fork(number: number): Child | undefined;
};

export function createChildren({ env, log, onReady, onMessage, onExit }: ChildrenParts): Children {
  // Workers take connections from the kernel. If the primary handed them out, a connection on its way to a worker that
  // is killed or hangs would stay open for ever, with no process to answer it.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const all = new Set<Child>();

  function onAnyMessage(child: Child, message: ToPrimary): void {
    child.silentLooks = 0;
    if (message.type === 'up') onUp(child);
    else if (message.type === 'ready') {
      child.isReady = true;
      log.info({ worker: child.number, workerPid: child.worker.process.pid }, 'worker is ready');
      onReady(child);
    } else if (message.type !== 'alive') onMessage(child, message);
  }

  function onEnd(child: Child, code: number | null, signal: string | null): void {
    all.delete(child);
    child.wasHit = !child.isUp && (signal === 'SIGHUP' || signal === 'SIGINT' || signal === 'SIGTERM');
    onExit(child, code, signal);
  }

  function fork(number: number): Child {
    const child = createChild(cluster.fork({ ...GIVES_BACK, ...env, [WORKER_NUMBER]: String(number) }), number);
    const { worker } = child;
    all.add(child);
    worker.on('message', (message: ToPrimary) => onAnyMessage(child, message));
    worker.on('exit', (code, signal) => onEnd(child, code, signal));
    worker.on('error', (err) => {
      if (worker.process.pid !== undefined) return log.warn({ err, worker: number }, 'worker cannot be reached');
      log.error({ err, worker: number }, 'worker cannot be started');
      onEnd(child, null, null); // no exit follows
    });
    return child;
  }

  void repeat(ALIVE_MS, () => killSilent(all, log));
  return {
    all,
    fork(number) {
      try {
        return fork(number);
      } catch (err) {
        log.error({ err, worker: number }, 'worker cannot be started');
        return undefined;
      }
    },
  };
}

function createChild(worker: Worker, number: number): Child {
  return {
    worker,
    number,
    startedAt: performance.now(),
    silentLooks: 0,
    isUp: false,
    isReady: false,
    gauges: {},
    order: undefined,
    wasHit: false,
  };
}

function onUp(child: Child): void {
  child.isUp = true;
  if (child.order) send(child, child.order);
}

// Counts looks, not time: after a pause of the whole program no worker was silent for long.
function killSilent(children: Iterable<Child>, log: Log): void {
  for (const child of children) {
    child.silentLooks += 1;
    if (child.silentLooks <= (child.isUp ? MAX_SILENT_LOOKS : MAX_SILENT_LOOKS_AT_START)) continue;
    log.error({ worker: child.number }, 'worker hangs: killed');
    kill(child);
  }
}

export function send({ worker }: Child, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {}); // the exit of a worker that is going away follows soon
}

/** Orders a worker to answer its requests and end. */
export function drain(child: Child, order: DrainOrder): void {
  child.order = order;
  send(child, order);
}

export function kill({ worker }: Child): void {
  worker.process.kill('SIGKILL');
}
